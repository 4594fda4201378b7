package imageio

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// A PNG is its signature, then chunks: length, name, data, CRC-32 of name and data. Own reader, since the picture's mode, its
// metadata and the errors that Pillow forgives are not to be had from the standard library's.

type pngHeader struct {
	w, h      int
	depth     int // bits per channel
	colour    byte
	channels  int
	interlace bool
}

// The channels and depths of each colour type, and the mode that Pillow gives it.
var pngColours = map[byte]struct {
	channels int
	depths   string
	mode     Mode
}{
	0: {1, "\x01\x02\x04\x08\x10", Grey},
	2: {3, "\x08\x10", RGB24},
	3: {1, "\x01\x02\x04\x08", Palette},
	4: {2, "\x08\x10", GreyAlpha},
	6: {4, "\x08\x10", RGBA32},
}

const maxText = 1 << 20 // a text chunk that inflates to more is not metadata

var errTruncated = errors.New("the file is truncated")

func (d *decoder) png() (*Picture, error) {
	rest := d.data[8:]
	cut := false // the last IDAT is not all there
	var head *pngHeader
	var palette [][3]byte
	var idat [][]byte
	var exif, rawExif, xmp []byte
	for ended := false; !ended; {
		if len(rest) < 8 {
			if len(idat) > 0 {
				break // Pillow asks for no end chunk
			}
			return nil, errTruncated
		}
		name := string(rest[4:8])
		size := uint64(binary.BigEndian.Uint32(rest))
		if size > uint64(len(rest)-8) {
			if name == "IDAT" {
				idat = append(idat, rest[8:])
				cut = true
				break
			}
			return nil, fmt.Errorf("chunk %q: %d bytes announced, %d left: %w", name, size, len(rest)-8, errTruncated)
		}
		data := rest[8 : 8+size]
		if len(idat) == 0 && name != "IDAT" {
			sum := rest[8+size:]
			if len(sum) < 4 {
				return nil, errTruncated
			}
			if crc32.ChecksumIEEE(rest[4:8+size]) != binary.BigEndian.Uint32(sum) {
				return nil, fmt.Errorf("chunk %q: bad checksum", name)
			}
		}
		rest = rest[min(len(rest), int(size)+12):]
		var err error
		switch name {
		case "IHDR":
			if head == nil {
				if head, err = d.pngHeader(data); err != nil {
					return nil, err
				}
			}
		case "PLTE":
			palette = rgbTriples(data)
		case "IDAT":
			idat = append(idat, data)
		case "eXIf":
			exif = data
		case "tEXt", "zTXt", "iTXt":
			switch key, text := pngText(name, data); key {
			case "XML:com.adobe.xmp":
				xmp = text
			case "Raw profile type exif":
				rawExif = rawProfile(text)
			}
		case "IEND":
			ended = true
		}
	}
	if head == nil || len(idat) == 0 {
		return nil, errors.New("no picture in it (IHDR or IDAT is missing)")
	}
	if exif == nil {
		exif = rawExif
	}
	d.orient(exif, xmp)
	return head.pixels(idat, cut, palette)
}

func (d *decoder) pngHeader(b []byte) (*pngHeader, error) {
	if len(b) < 13 {
		return nil, fmt.Errorf("IHDR: %d bytes, 13 expected", len(b))
	}
	h := &pngHeader{
		w: int(binary.BigEndian.Uint32(b)), h: int(binary.BigEndian.Uint32(b[4:])),
		depth: int(b[8]), colour: b[9], interlace: b[12] != 0,
	}
	kind, ok := pngColours[h.colour]
	if !ok || bytes.IndexByte([]byte(kind.depths), b[8]) < 0 {
		return nil, fmt.Errorf("IHDR: %d bits of colour type %d is no PNG", h.depth, h.colour)
	}
	if b[10] != 0 || b[11] != 0 {
		return nil, fmt.Errorf("IHDR: compression %d, filter %d: 0 and 0 expected", b[10], b[11])
	}
	h.channels = kind.channels
	return h, d.checkSize(h.w, h.h)
}

func (h *pngHeader) mode() Mode {
	switch {
	case h.colour == 0 && h.depth == 1:
		return Bilevel
	case h.colour == 0 && h.depth == 16:
		return Grey16
	case h.colour == 4 && h.depth == 16:
		return RGBA32 // as Pillow, which has no 16-bit LA
	}
	return pngColours[h.colour].mode
}

// rowBytes of a row of w pixels, without the filter byte.
func (h *pngHeader) rowBytes(w int) int { return (w*h.channels*h.depth + 7) / 8 }

// adam7 are the seven passes of an interlaced picture: first column and row, distance of columns and rows.
var adam7 = [7][4]int{{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}}

func (h *pngHeader) pixels(idat [][]byte, cut bool, palette [][3]byte) (*Picture, error) {
	// Deflate shrinks at most 1032 times: a header that promises more than that is refused before memory is taken for it.
	packed := 0
	readers := make([]io.Reader, len(idat))
	var last *bytes.Reader
	for i, b := range idat {
		packed += len(b)
		last = bytes.NewReader(b)
		readers[i] = last
	}
	if h.rowBytes(h.w)*h.h/1040 > packed+1024 {
		return nil, fmt.Errorf("%d x %d pixels can't be in %d bytes: %w", h.w, h.h, packed, errTruncated)
	}
	z, err := zlib.NewReader(io.MultiReader(readers...))
	if err != nil {
		return nil, fmt.Errorf("IDAT: %w", noEOF(err))
	}
	defer z.Close()
	p := newPicture(h.mode(), h.w, h.h)
	p.Palette = palette
	passes := [][4]int{{0, 0, 1, 1}}
	if h.interlace {
		passes = adam7[:]
	}
	line := make([]byte, h.rowBytes(h.w)+1)
	above := make([]byte, h.rowBytes(h.w)+1)
	for _, pass := range passes {
		w := (h.w - pass[0] + pass[2] - 1) / pass[2]
		n := h.rowBytes(w) + 1
		if w <= 0 {
			continue
		}
		clear(above[:n])
		for y := pass[1]; y < h.h; y += pass[3] {
			if _, err := io.ReadFull(z, line[:n]); err != nil {
				return nil, fmt.Errorf("row %d: %w", y, noEOF(err))
			}
			if err := unfilter(line[:n], above[:n], max(1, h.channels*h.depth/8)); err != nil {
				return nil, fmt.Errorf("row %d: %w", y, err)
			}
			h.unpack(p, line[1:n], y, pass[0], pass[2], w)
			line, above = above, line
		}
	}
	// A file cut off behind its last needed byte is whole enough, one cut off in a chunk that it didn't need is not.
	if cut && int64(last.Len()) == last.Size() {
		return nil, errTruncated
	}
	return p, nil
}

// noEOF turns an end of data that came too early into words.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errTruncated
	}
	return err
}

// unfilter undoes in place the filter that line[0] names (PNG specification, 9.2). above is the line before, bpp the distance
// in bytes to the pixel on the left.
func unfilter(line, above []byte, bpp int) error {
	cur, up := line[1:], above[1:]
	switch line[0] {
	case 0:
	case 1:
		for i := bpp; i < len(cur); i++ {
			cur[i] += cur[i-bpp]
		}
	case 2:
		for i, v := range up {
			cur[i] += v
		}
	case 3:
		for i := range cur {
			left := 0
			if i >= bpp {
				left = int(cur[i-bpp])
			}
			cur[i] += byte((left + int(up[i])) / 2)
		}
	case 4:
		for i := range min(bpp, len(cur)) {
			cur[i] += up[i]
		}
		for i := bpp; i < len(cur); i++ {
			cur[i] += paeth(int(cur[i-bpp]), int(up[i]), int(up[i-bpp]))
		}
	default:
		return fmt.Errorf("filter %d: 0 to 4 expected", line[0])
	}
	return nil
}

// paeth returns the one of left, up, upper left that is nearest to left + up - upper left.
func paeth(a, b, c int) byte {
	pa, pb := b-c, a-c
	pc := pa + pb
	pa, pb, pc = max(pa, -pa), max(pb, -pb), max(pc, -pc)
	switch {
	case pa <= pb && pa <= pc:
		return byte(a)
	case pb <= pc:
		return byte(b)
	}
	return byte(c)
}

// unpack spreads the w pixels of src over row y of p, from column x0 on, each step columns apart.
func (h *pngHeader) unpack(p *Picture, src []byte, y, x0, step, w int) {
	n := p.Mode.bytesPerPixel()
	dst := p.Pix[(y*p.W+x0)*n:]
	switch {
	case h.depth == 16 && h.colour == 0: // big-endian in the file
		for i := range w {
			dst[i*step*2], dst[i*step*2+1] = src[2*i+1], src[2*i]
		}
	case h.depth == 16 && h.colour == 4:
		for i := range w {
			v, o := src[4*i], i*step*4
			dst[o], dst[o+1], dst[o+2], dst[o+3] = v, v, v, src[4*i+2]
		}
	case h.depth == 16: // the high bytes
		for i := range w {
			for c := range n {
				dst[i*step*n+c] = src[2*(i*n+c)]
			}
		}
	case h.depth == 8 && step == 1:
		copy(dst, src)
	case h.depth == 8:
		for i := range w {
			copy(dst[i*step*n:i*step*n+n], src[i*n:])
		}
	default:
		scale := 1
		if h.colour == 0 {
			scale = 255 / (1<<h.depth - 1)
		}
		unpackBits(dst, src, h.depth, w, step, scale)
	}
}

// unpackBits spreads w values of depth bits, highest bits first, multiplied by scale, over dst, step bytes apart.
func unpackBits(dst, src []byte, depth, w, step, scale int) {
	mask := 1<<depth - 1
	for i := range w {
		bit := i * depth
		v := int(src[bit>>3]) >> (8 - depth - bit&7) & mask
		dst[i*step] = byte(v * scale)
	}
}

func rgbTriples(b []byte) [][3]byte {
	out := make([][3]byte, min(256, len(b)/3))
	for i := range out {
		copy(out[i][:], b[3*i:])
	}
	return out
}

// pngText returns the keyword and the text of a tEXt, zTXt or iTXt chunk; broken or huge ones are nothing.
func pngText(chunk string, data []byte) (string, []byte) {
	k, text, ok := bytes.Cut(data, []byte{0})
	if !ok {
		return "", nil
	}
	packed := chunk == "zTXt"
	switch chunk {
	case "zTXt": // compression method
		if len(text) < 1 || text[0] != 0 {
			return "", nil
		}
		text = text[1:]
	case "iTXt": // compression flag and method, language, translated keyword
		if len(text) < 2 || text[1] != 0 && text[0] != 0 {
			return "", nil
		}
		packed = text[0] != 0
		parts := bytes.SplitN(text[2:], []byte{0}, 3)
		if len(parts) < 3 {
			return "", nil
		}
		text = parts[2]
	}
	key := string(k)
	if key != "XML:com.adobe.xmp" && key != "Raw profile type exif" {
		return "", nil // nothing else is inflated
	}
	if packed {
		z, err := zlib.NewReader(bytes.NewReader(text))
		if err != nil {
			return "", nil
		}
		if text, err = io.ReadAll(io.LimitReader(z, maxText+1)); err != nil || len(text) > maxText {
			return "", nil
		}
	}
	return key, text
}
