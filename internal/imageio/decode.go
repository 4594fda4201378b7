// Package imageio decodes pictures from bytes that nobody vouches for.
//
// What comes out equals Pillow's `Image.open(f)`, Upright its `ImageOps.exif_transpose`, and ToRGB its convert("RGB"): models were trained on
// pixels that went that way. The format is found from the content, never from a name. Sizes are checked in the header, before
// anything is allocated for pixels.
package imageio

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/clipgo/clipgo/internal/sysmem"
)

// DefaultMaxPixels is Pillow's own limit for opening a picture: a quarter of a gibibyte of 24-bit pixels, twice.
const DefaultMaxPixels = 178_956_970

// DefaultMaxBytes limits what DecodeReader reads.
const DefaultMaxBytes = 1 << 28

// Options of Decode; the zero value means the defaults.
type Options struct {
	MaxPixels int   // pictures with more pixels are refused; 0: DefaultMaxPixels
	MaxBytes  int64 // DecodeReader refuses longer input; 0: DefaultMaxBytes

	// ShortSide, if not 0, lets a JPEG be decoded at a half, a quarter or an eighth of its size, as long as its shorter side keeps
	// that many pixels.
	ShortSide int

	// JPEG, if not nil, decodes JPEG files of the common kinds: w x h pixels into dst, [h, w, 3] red, green, blue, or [h, w, 1]
	// of a grey one, to the bytes that libjpeg makes of them. Files for which it returns an error are decoded here.
	JPEG func(dst, data []byte, w, h, channels int) error

	// IDCT, if not nil, makes the samples of a row of blocks faster than Go does: coeffs [blocks, 64] in file order, of which those
	// behind last[block] are 0, to 8 rows of dst, stride bytes apart. Several goroutines call it. Where it returns an error they are
	// made here.
	IDCT func(coeffs []int16, last []uint8, quant *[64]int32, dst []byte, stride int) error

	// YCC, if not nil, makes rows of common JPEG pictures faster than Go does. Several goroutines call it. Where it returns an error
	// they are made here.
	YCC func(*YCCRows) error
}

// YCCRows are rows to be made of the components of a JPEG picture: chroma interpolated, colours converted to RGB.
type YCCRows struct {
	Width, Height         int // of the picture
	Across, Down          int // pixels of a chroma sample: 1 x 1, 2 x 1 or 2 x 2
	First, Rows           int // which of the picture's rows
	Planes                []byte
	YStride, ChromaStride int    // bytes from a row to the next
	CbOffset, CrOffset    int    // in Planes, which begin with Y
	Dst                   []byte // [Rows, Width, 3]
}

var (
	// ErrFormat is wrapped by errors for content that is not a picture, or one of a kind that isn't read.
	ErrFormat = errors.New("not a supported picture")
	// ErrTooLarge is wrapped by errors for pictures over the limit of pixels or bytes.
	ErrTooLarge = errors.New("over the limit")
)

// A format is known by how its files begin.
type format struct {
	name   string
	match  func(data []byte) bool
	decode func(d *decoder) (*Picture, error)
}

var formats = []format{
	{"JPEG", prefix("\xff\xd8\xff"), (*decoder).jpeg},
	{"PNG", prefix("\x89PNG\r\n\x1a\n"), (*decoder).png},
	{"GIF", prefix("GIF87a", "GIF89a"), (*decoder).gif},
	{"WebP", riffWebP, (*decoder).webp},
	{"BMP", prefix("BM"), (*decoder).bmp},
	{"TIFF", prefix("II*\x00", "MM\x00*"), (*decoder).tiff},
	{"PNM", prefix("P1", "P2", "P3", "P4", "P5", "P6"), (*decoder).pnm},
}

// Kinds that people do have; the refusal names them.
var refused = []struct {
	name  string
	match func([]byte) bool
}{
	{"JPEG 2000", prefix("\x00\x00\x00\x0cjP  \r\n\x87\n", "\xff\x4f\xff\x51")},
	{"JPEG XL", prefix("\xff\x0a", "\x00\x00\x00\x0cJXL \r\n\x87\n")},
	{"AVIF", brand("avif", "avis")},
	{"HEIC", brand("heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1")},
	{"BigTIFF", prefix("II+\x00", "MM\x00+")},
	{"icon", prefix("\x00\x00\x01\x00")},
	{"Photoshop", prefix("8BPS")},
	{"PDF", prefix("%PDF-")},
	{"SVG", prefix("<svg", "<?xml")},
	{"HTML", prefix("<!DOCTYPE", "<!doctype", "<html")},
}

func prefix(starts ...string) func([]byte) bool {
	return func(data []byte) bool {
		for _, s := range starts {
			if bytes.HasPrefix(data, []byte(s)) {
				return true
			}
		}
		return false
	}
}

func riffWebP(data []byte) bool {
	return len(data) >= 12 && string(data[:4]) == "RIFF" && string(data[8:12]) == "WEBP"
}

// brand matches ISO media files by their major brand.
func brand(brands ...string) func([]byte) bool {
	return func(data []byte) bool {
		if len(data) < 12 || string(data[4:8]) != "ftyp" {
			return false
		}
		for _, b := range brands {
			if string(data[8:12]) == b {
				return true
			}
		}
		return false
	}
}

// decoder is what the readers of the formats share.
type decoder struct {
	Options
	data        []byte
	orientation Orientation // 0 where the file has none
}

// checkSize refuses a picture by the size that its header names; each format calls it before it allocates.
func (d *decoder) checkSize(w, h int) error {
	if w <= 0 || h <= 0 {
		return fmt.Errorf("%d x %d pixels: a picture needs at least one", w, h)
	}
	if w > d.MaxPixels/h {
		return fmt.Errorf("%d x %d pixels: %w of %d", w, h, ErrTooLarge, d.MaxPixels)
	}
	return nil
}

// Decode decodes one picture. Of an animation it is the first frame; of a multi-page TIFF, the first page. It never panics: what a
// decoder does not survive becomes that picture's error. Errors don't name the file; the caller does.
func Decode(data []byte, o Options) (p *Picture, err error) {
	d := &decoder{Options: o, data: data}
	if d.MaxPixels == 0 {
		d.MaxPixels = DefaultMaxPixels
	}
	f, err := sniff(data)
	if err != nil {
		return nil, err
	}
	defer func() {
		if r := recover(); r != nil {
			p, err = nil, fmt.Errorf("decoding %s: the decoder failed (%v): the file is broken", f.name, r)
		}
	}()
	p, err = f.decode(d)
	if err != nil {
		return nil, fmt.Errorf("decoding %s: %w", f.name, err)
	}
	p.Orientation = d.orientation
	return p, nil
}

// DecodeReader reads all of r, within the limit of bytes, and decodes it.
func DecodeReader(r io.Reader, o Options) (*Picture, error) {
	limit := o.MaxBytes
	if limit == 0 {
		limit = DefaultMaxBytes
	}
	var data bytes.Buffer
	if n := sizeOf(r); n > 0 && n <= limit {
		room := int(n) + bytes.MinRead // and no copies on the way there
		b := spare.take(room)
		if b == nil {
			b = sysmem.Large(room)
		}
		data = *bytes.NewBuffer(b[:0])
	}
	if _, err := data.ReadFrom(io.LimitReader(r, limit+1)); err != nil {
		return nil, fmt.Errorf("reading a picture: %w", err)
	}
	if int64(data.Len()) > limit {
		return nil, fmt.Errorf("reading a picture: more than %d bytes: %w", limit, ErrTooLarge)
	}
	p, err := Decode(data.Bytes(), o)
	if err == nil { // else some goroutine may still look at them
		spare.put(data.Bytes())
	}
	return p, err
}

// sizeOf is how many bytes are to be read of r, as far as it knows.
func sizeOf(r io.Reader) int64 {
	switch r := r.(type) {
	case interface{ Len() int }:
		return int64(r.Len())
	case interface{ Stat() (fs.FileInfo, error) }:
		if info, err := r.Stat(); err == nil && info.Mode().IsRegular() {
			return info.Size()
		}
	}
	return 0
}

func sniff(data []byte) (format, error) {
	if len(data) == 0 {
		return format{}, fmt.Errorf("empty: %w", ErrFormat)
	}
	for _, f := range formats {
		if f.match(data) {
			return f, nil
		}
	}
	for _, r := range refused {
		if r.match(data) {
			return format{}, fmt.Errorf("%s is %w: convert it to JPEG, PNG, GIF, WebP, BMP, TIFF or PNM", r.name, ErrFormat)
		}
	}
	return format{}, fmt.Errorf("%w: begins with %q; JPEG, PNG, GIF, WebP, BMP, TIFF and PNM are read", ErrFormat, data[:min(8, len(data))])
}
