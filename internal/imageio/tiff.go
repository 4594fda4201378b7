package imageio

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"golang.org/x/image/ccitt"
	"golang.org/x/image/tiff/lzw"
)

// Tags of a TIFF directory.
const (
	tagWidth           = 256
	tagHeight          = 257
	tagBits            = 258
	tagCompression     = 259
	tagPhotometric     = 262
	tagFillOrder       = 266
	tagStripOffsets    = 273
	tagSamplesPerPixel = 277
	tagRowsPerStrip    = 278
	tagStripBytes      = 279
	tagPlanar          = 284
	tagT4Options       = 292
	tagPredictor       = 317
	tagColorMap        = 320
	tagTileWidth       = 322
	tagTileHeight      = 323
	tagTileOffsets     = 324
	tagTileBytes       = 325
	tagExtraSamples    = 338
	tagSampleFormat    = 339
	tagJPEGTables      = 347
	tagXMP             = 700
)

// Values of Photometric.
const (
	photoWhiteIsZero = 0
	photoBlackIsZero = 1
	photoRGB         = 2
	photoPalette     = 3
	photoCMYK        = 5
	photoYCbCr       = 6
)

// tiffReader reads the first page of a TIFF: grey, palette, RGB and CMYK of 1 to 16 bits (32 for grey), in strips or tiles, one
// plane or several.
type tiffReader struct {
	d     *decoder
	order binary.ByteOrder
	tags  map[int][]byte
	kinds map[int]uint16

	w, h, bits, samples int
	photo, compression  int
	planar              bool
	predictor, format   int
	extra               int // meaning of the fourth sample of RGB, -1: not said
	chunkW, chunkH      int // strips are chunks as wide as the picture
	offsets, sizes      []int
}

func (d *decoder) tiff() (*Picture, error) {
	t := &tiffReader{d: d}
	if err := t.directory(); err != nil {
		return nil, err
	}
	d.orient(d.data, t.tags[tagXMP])
	if err := t.layout(); err != nil {
		return nil, err
	}
	mode, err := t.mode()
	if err != nil {
		return nil, err
	}
	p := newPicture(mode, t.w, t.h)
	if mode == Palette {
		if p.Palette = t.palette(); len(p.Palette) < 1<<t.bits {
			return nil, fmt.Errorf("a colour map of %d colours for %d bits", len(p.Palette), t.bits)
		}
	}
	across := ceilDiv(t.w, t.chunkW)
	for i := range across * ceilDiv(t.h, t.chunkH) {
		if err := t.chunk(p, i, i%across*t.chunkW, i/across*t.chunkH); err != nil {
			return nil, fmt.Errorf("strip or tile %d: %w", i, err)
		}
	}
	return p, nil
}

// directory reads the tags of the first page; those whose values lie outside the file are left out.
func (t *tiffReader) directory() error {
	b := t.d.data
	if len(b) < 8 {
		return errTruncated
	}
	t.order = binary.LittleEndian
	if b[0] == 'M' {
		t.order = binary.BigEndian
	}
	at := uint64(t.order.Uint32(b[4:]))
	if at+2 > uint64(len(b)) {
		return errTruncated
	}
	n := uint64(t.order.Uint16(b[at:]))
	if at+2+12*n > uint64(len(b)) {
		return errTruncated
	}
	widths := [...]uint64{0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8}
	t.tags, t.kinds = map[int][]byte{}, map[int]uint16{}
	for i := range n {
		e := b[at+2+12*i : at+14+12*i]
		tag, kind := int(t.order.Uint16(e)), t.order.Uint16(e[2:])
		if int(kind) >= len(widths) {
			continue
		}
		size, where := widths[kind]*uint64(t.order.Uint32(e[4:])), uint64(t.order.Uint32(e[8:]))
		switch {
		case size <= 4:
			t.tags[tag] = e[8 : 8+size]
		case where+size <= uint64(len(b)):
			t.tags[tag] = b[where : where+size]
		}
		t.kinds[tag] = kind
	}
	return nil
}

// numbers returns the values of a tag of bytes, shorts or longs.
func (t *tiffReader) numbers(tag int) []int {
	b := t.tags[tag]
	var out []int
	switch t.kinds[tag] {
	case 1:
		for _, v := range b {
			out = append(out, int(v))
		}
	case 3:
		for ; len(b) >= 2; b = b[2:] {
			out = append(out, int(t.order.Uint16(b)))
		}
	case 4:
		for ; len(b) >= 4; b = b[4:] {
			out = append(out, int(t.order.Uint32(b)))
		}
	}
	return out
}

// number returns the first value of a tag, def where it is missing.
func (t *tiffReader) number(tag, def int) int {
	if v := t.numbers(tag); len(v) > 0 {
		return v[0]
	}
	return def
}

func (t *tiffReader) layout() error {
	t.w, t.h = t.number(tagWidth, 0), t.number(tagHeight, 0)
	if err := t.d.checkSize(t.w, t.h); err != nil {
		return err
	}
	t.samples = t.number(tagSamplesPerPixel, 1)
	if t.samples < 1 || t.samples > 8 {
		return fmt.Errorf("%d samples per pixel: 1 to 8 expected", t.samples)
	}
	t.bits = t.number(tagBits, 1)
	for _, b := range t.numbers(tagBits) {
		if b != t.bits {
			return fmt.Errorf("samples of different sizes: %v bits", t.numbers(tagBits))
		}
	}
	if !slices.Contains([]int{1, 2, 4, 8, 16, 32}, t.bits) {
		return fmt.Errorf("%d bits per sample aren't supported", t.bits)
	}
	t.photo = t.number(tagPhotometric, photoBlackIsZero)
	t.compression = t.number(tagCompression, 1)
	t.planar = t.number(tagPlanar, 1) == 2 && t.samples > 1
	t.predictor, t.format = t.number(tagPredictor, 1), t.number(tagSampleFormat, 1)
	t.extra = t.number(tagExtraSamples, -1)
	switch {
	case t.predictor != 1 && (t.predictor != 2 || t.bits < 8 || t.bits > 16):
		return fmt.Errorf("predictor %d for %d bits per sample isn't supported", t.predictor, t.bits)
	case t.format != 1 && t.bits != 32 && (t.format != 2 || t.bits != 16):
		return fmt.Errorf("sample format %d of %d bits isn't supported", t.format, t.bits)
	case t.format > 3:
		return fmt.Errorf("sample format %d isn't supported", t.format)
	}
	t.chunkW, t.chunkH = t.w, min(t.h, t.number(tagRowsPerStrip, t.h))
	t.offsets, t.sizes = t.numbers(tagStripOffsets), t.numbers(tagStripBytes)
	if t.tags[tagTileWidth] != nil {
		t.chunkW, t.chunkH = t.number(tagTileWidth, 0), t.number(tagTileHeight, 0)
		t.offsets, t.sizes = t.numbers(tagTileOffsets), t.numbers(tagTileBytes)
	}
	if err := t.d.checkSize(t.chunkW, t.chunkH); err != nil {
		return fmt.Errorf("tile: %w", err)
	}
	want := ceilDiv(t.w, t.chunkW) * ceilDiv(t.h, t.chunkH)
	if t.planar {
		want *= t.samples
	}
	if len(t.offsets) < want {
		return fmt.Errorf("%d strips or tiles, %d expected", len(t.offsets), want)
	}
	if len(t.sizes) < want {
		if t.compression != 1 || want > 1 {
			return fmt.Errorf("%d sizes of strips or tiles, %d expected", len(t.sizes), want)
		}
		t.sizes = []int{max(0, len(t.d.data)-t.offsets[0])}
	}
	return t.checkPromise(want)
}

// tiffRatio is how many bytes a byte can stand for at most, by compression. Fax coding has no bound, and only bits.
var tiffRatio = map[int]int{1: 1, 5: 4096, 7: 2048, 8: 1040, 32946: 1040, 32773: 128}

// checkPromise refuses sizes that the n strips or tiles can't hold, before memory is taken for them.
func (t *tiffReader) checkPromise(n int) error {
	perPlane := t.samples
	if t.planar {
		perPlane = 1
	}
	if t.chunkW*perPlane > 1<<24 {
		return fmt.Errorf("rows of %d samples: %w", t.chunkW*perPlane, ErrTooLarge)
	}
	ratio, ok := tiffRatio[t.compression]
	if !ok {
		return nil
	}
	stride := (t.chunkW*perPlane*t.bits + 7) / 8
	for i := range n {
		rows := t.chunkH
		if t.tags[tagTileWidth] == nil && i == n-1 {
			rows = 1 // the last strip may be short
		}
		if stride*rows/ratio > t.sizes[i]+64 {
			return fmt.Errorf("strip or tile %d: %d rows of %d bytes can't be in %d bytes: %w", i, rows, stride, t.sizes[i], errTruncated)
		}
	}
	return nil
}

var errTIFFColours = errors.New("unsupported colours")

// mode finds the picture's mode from the colours, as Pillow does.
func (t *tiffReader) mode() (Mode, error) {
	colour8 := t.bits == 8 || t.bits == 16
	switch {
	case t.photo <= photoBlackIsZero && t.samples == 1:
		switch t.bits {
		case 1:
			return Bilevel, nil
		case 16:
			if t.format == 1 {
				return Grey16, nil
			}
		}
		return Grey, nil // 32 bits and signed ones are clipped to bytes
	case t.photo == photoBlackIsZero && t.samples == 2 && t.bits == 8:
		return GreyAlpha, nil
	case t.photo == photoPalette && t.bits <= 8 && t.samples <= 2:
		return Palette, nil
	case t.photo == photoYCbCr && t.compression == 7 && t.samples == 3 && t.bits == 8:
		return RGB24, nil
	case t.photo == photoRGB && colour8 && t.samples >= 3:
		if t.samples == 3 || t.extra == 0 {
			return RGB24, nil
		}
		return RGBA32, nil
	case t.photo == photoCMYK && colour8 && t.samples >= 4:
		return CMYK32, nil
	}
	return "", fmt.Errorf("%w: photometric interpretation %d with %d samples of %d bits", errTIFFColours, t.photo, t.samples, t.bits)
}

// palette takes the high bytes of the colour map: all reds, all greens, all blues.
func (t *tiffReader) palette() [][3]byte {
	m := t.numbers(tagColorMap)
	n := len(m) / 3
	out := make([][3]byte, min(n, 256))
	for i := range out {
		out[i] = [3]byte{byte(m[i] >> 8), byte(m[n+i] >> 8), byte(m[2*n+i] >> 8)}
	}
	return out
}

// chunk decodes strip or tile i, whose upper left pixel is (x0, y0).
func (t *tiffReader) chunk(p *Picture, i, x0, y0 int) error {
	w, h := min(t.chunkW, t.w-x0), min(t.chunkH, t.h-y0) // the part inside the picture
	rowsStored := t.chunkH
	if t.tags[tagTileWidth] == nil {
		rowsStored = h // the last strip is shorter
	}
	planes, perPlane := 1, t.samples
	if t.planar {
		planes, perPlane = t.samples, 1
	}
	stride := (t.chunkW*perPlane*t.bits + 7) / 8
	raw := make([][]byte, planes)
	for s := range planes {
		at := i + s*ceilDiv(t.w, t.chunkW)*ceilDiv(t.h, t.chunkH)
		offset, size := t.offsets[at], t.sizes[at]
		if offset > len(t.d.data) || size > len(t.d.data)-offset {
			return errTruncated
		}
		if t.compression == 7 {
			pix, err := t.jpeg(t.d.data[offset:offset+size], perPlane, rowsStored)
			if err != nil {
				return err
			}
			raw[s] = pix
			continue
		}
		raw[s] = make([]byte, stride*rowsStored)
		if err := t.unpack(raw[s], t.d.data[offset:offset+size], rowsStored); err != nil {
			return err
		}
	}
	n := p.Mode.bytesPerPixel()
	values := make([]int, t.chunkW*t.samples)
	for y := range h {
		for s, b := range raw {
			t.row(values, b[y*stride:(y+1)*stride], s, perPlane)
		}
		dst := p.Pix[((y0+y)*p.W+x0)*n:]
		for x := range w {
			t.pixel(dst[x*n:x*n+n], values[x*t.samples:(x+1)*t.samples], p.Mode)
		}
	}
	return nil
}

// unpack undoes the compression of src into dst, which it fills.
func (t *tiffReader) unpack(dst, src []byte, rows int) error {
	var r io.Reader = bytes.NewReader(src)
	switch t.compression {
	case 1:
	case 3, 4:
		if t.compression == 3 && t.number(tagT4Options, 0)&1 != 0 {
			return errors.New("two-dimensional group 3 coding isn't supported")
		}
		order, kind := ccitt.MSB, ccitt.Group3
		if t.number(tagFillOrder, 1) == 2 {
			order = ccitt.LSB
		}
		if t.compression == 4 {
			kind = ccitt.Group4
		}
		if t.bits != 1 || t.samples != 1 {
			return errors.New("fax coding of something other than bits")
		}
		r = ccitt.NewReader(r, order, kind, t.chunkW, rows, &ccitt.Options{Invert: true}) // runs of white are zeros
	case 5:
		z := lzw.NewReader(r, lzw.MSB, 8)
		defer z.Close()
		r = z
	case 8, 32946:
		z, err := zlib.NewReader(r)
		if err != nil {
			return noEOF(err)
		}
		defer z.Close()
		r = z
	case 32773:
		return unpackBytes(dst, src)
	default:
		return fmt.Errorf("compression %d isn't supported", t.compression)
	}
	_, err := io.ReadFull(r, dst)
	return noEOF(err)
}

// unpackBytes undoes PackBits: n < 128 before n+1 literal bytes, n > 128 before a byte that stands for 257-n of it.
func unpackBytes(dst, src []byte) error {
	for len(dst) > 0 {
		if len(src) < 2 {
			return errTruncated
		}
		n := int(src[0])
		src = src[1:]
		switch {
		case n < 128:
			n = min(n+1, len(dst))
			if len(src) < n {
				return errTruncated
			}
			copy(dst, src[:n])
			src = src[n:]
		case n > 128:
			n = min(257-n, len(dst))
			for i := range n {
				dst[i] = src[0]
			}
			src = src[1:]
		default:
			n = 0
		}
		dst = dst[n:]
	}
	return nil
}

// jpeg decodes a strip or tile that is a JPEG without the tables that all of them share.
func (t *tiffReader) jpeg(b []byte, samples, rows int) ([]byte, error) {
	if tables := t.tags[tagJPEGTables]; len(tables) > 4 && len(b) > 2 {
		b = slices.Concat(tables[:len(tables)-2], b[2:]) // less one end marker and one start marker
	}
	j := &jpegReader{d: &decoder{Options: Options{MaxPixels: t.d.MaxPixels}, data: b}, keepColours: t.photo != photoYCbCr}
	p, err := j.decode()
	if err != nil {
		return nil, err
	}
	if p.W != t.chunkW || p.H < rows || p.Mode.bytesPerPixel() != samples || t.bits != 8 {
		return nil, fmt.Errorf("a JPEG of %d x %d pixels of mode %s for %d x %d", p.W, p.H, p.Mode, t.chunkW, rows)
	}
	return p.Pix, nil
}

// row spreads the samples of a stored row over values, beginning at sample s of each pixel, and undoes the predictor.
func (t *tiffReader) row(values []int, b []byte, s, perPlane int) {
	step := t.samples / perPlane // 1, or the distance between samples of one plane
	n := t.chunkW * perPlane
	for i := range n {
		v := 0
		switch t.bits {
		case 8:
			v = int(b[i])
		case 16:
			v = int(t.order.Uint16(b[2*i:]))
		case 32:
			v = t.clip32(t.order.Uint32(b[4*i:]))
		default:
			bit := i * t.bits
			v = int(b[bit>>3]) >> (8 - t.bits - bit&7) & (1<<t.bits - 1)
		}
		if t.predictor == 2 && i >= perPlane {
			v = (v + values[s+(i-perPlane)*step]) & (1<<t.bits - 1)
		}
		values[s+i*step] = v
	}
	if t.format == 2 && t.bits == 16 {
		for i, v := range values {
			values[i] = min(max(int(int16(v)), 0), 255)
		}
	}
}

// clip32 makes a byte of a 32-bit sample: unsigned, signed or float, truncated.
func (t *tiffReader) clip32(v uint32) int {
	switch t.format {
	case 2:
		return int(min(max(int32(v), 0), 255))
	case 3:
		f := math.Float32frombits(v)
		if !(f > 0) {
			return 0
		}
		return int(min(f, 255))
	}
	return int(min(v, 255))
}

// pixel stores the samples of one pixel.
func (t *tiffReader) pixel(dst []byte, values []int, mode Mode) {
	switch mode {
	case Bilevel, Grey:
		v := values[0]
		if t.bits < 8 {
			v *= 255 / (1<<t.bits - 1)
		}
		if t.photo == photoWhiteIsZero {
			v = 255 - v
		}
		dst[0] = byte(v)
	case Grey16:
		dst[0], dst[1] = byte(values[0]), byte(values[0]>>8)
	default:
		for i := range dst {
			dst[i] = byte(values[i] >> max(0, t.bits-8))
		}
		if a := int(dst[len(dst)-1]); mode == RGBA32 && t.extra == 1 && a != 0 && a != 255 { // premultiplied
			for c := range 3 {
				dst[c] = byte(min(255, 255*int(dst[c])/a))
			}
		}
	}
}
