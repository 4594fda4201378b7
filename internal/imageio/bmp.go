package imageio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// Compression values of a BMP header.
const (
	bmpRaw       = 0
	bmpRLE8      = 1
	bmpRLE4      = 2
	bmpBitfields = 3
)

type bmpHeader struct {
	w, h        int
	topDown     bool
	depth       int // bits per pixel
	compression uint32
	masks       [4]uint32 // red, green, blue, alpha; all 0 where the file names none
	colours     int       // of the palette
	entry       int       // bytes per palette entry
	paletteAt   int
	pixelsAt    int
}

func (d *decoder) bmp() (*Picture, error) {
	h, err := d.bmpHeader()
	if err != nil {
		return nil, err
	}
	switch {
	case h.depth <= 8:
		return d.bmpIndexed(h)
	case h.compression == bmpRLE8 || h.compression == bmpRLE4:
		return nil, fmt.Errorf("run-length coding with %d bits per pixel: only 4 and 8 have it", h.depth)
	}
	return d.bmpDirect(h)
}

func (d *decoder) bmpHeader() (*bmpHeader, error) {
	b := d.data
	if len(b) < 18 {
		return nil, errTruncated
	}
	u16 := func(at int) int { return int(binary.LittleEndian.Uint16(b[at:])) }
	u32 := func(at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
	size := u32(14)
	if uint64(len(b)) < 14+uint64(size) {
		return nil, errTruncated
	}
	h := &bmpHeader{pixelsAt: int(u32(10)), entry: 4}
	h.paletteAt = 14 + int(size)
	switch size {
	case 12: // OS/2
		h.w, h.h, h.depth, h.entry = u16(18), u16(20), u16(24), 3
	case 40, 52, 56, 64, 108, 124:
		h.w = int(u32(18))
		rows := int32(u32(22))
		h.topDown = rows < 0
		h.h = max(int(rows), -int(rows))
		h.depth, h.compression, h.colours = u16(28), u32(30), int(u32(46))
		if h.compression == bmpBitfields {
			at, n := 54, 4
			if size == 40 { // the masks come after the header, and alpha has none
				h.paletteAt += 12
				n = 3
			} else if size == 52 {
				n = 3
			}
			if len(b) < at+4*n {
				return nil, errTruncated
			}
			for i := range n {
				h.masks[i] = u32(at + 4*i)
			}
		}
	default:
		return nil, fmt.Errorf("a header of %d bytes is unknown", size)
	}
	switch h.compression {
	case bmpRaw, bmpRLE8, bmpRLE4, bmpBitfields:
	default:
		return nil, fmt.Errorf("compression %d isn't supported", h.compression)
	}
	switch h.depth {
	case 1, 4, 8:
		if h.compression == bmpBitfields {
			return nil, fmt.Errorf("bit fields with %d bits per pixel", h.depth)
		}
		if h.colours == 0 {
			h.colours = 1 << h.depth
		}
	case 16, 24, 32:
	default:
		return nil, fmt.Errorf("%d bits per pixel aren't supported", h.depth)
	}
	if err := d.checkSize(h.w, h.h); err != nil {
		return nil, err
	}
	if h.pixelsAt > len(b) {
		return nil, errTruncated
	}
	return h, nil
}

// bmpIndexed reads 1, 4 and 8 bits per pixel. As Pillow has it, a palette that is a plain grey ramp makes the picture grey.
func (d *decoder) bmpIndexed(h *bmpHeader) (*Picture, error) {
	if h.colours > 65536 {
		return nil, fmt.Errorf("a palette of %d colours", h.colours)
	}
	// Writers that count more or fewer colours than they wrote leave the pixels right behind what they wrote.
	if h.pixelsAt == h.paletteAt {
		h.pixelsAt += h.entry * h.colours
	}
	table := d.data[min(h.paletteAt, len(d.data)):]
	table = table[:min(len(table), h.entry*h.colours)]
	p := newPicture(Palette, h.w, h.h)
	p.Palette = make([][3]byte, min(256, len(table)/h.entry))
	grey := len(table)/h.entry >= h.colours
	for i := range len(table) / h.entry {
		e := table[i*h.entry:]
		want := i
		if h.colours == 2 {
			want = 255 * i
		}
		if want > 255 || int(e[0]) != want || e[1] != e[0] || e[2] != e[0] {
			grey = false
		}
		if i < 256 {
			p.Palette[i] = [3]byte{e[2], e[1], e[0]}
		}
	}
	if grey {
		p.Palette, p.Mode = nil, Grey
		if h.colours <= 2 {
			p.Mode = Bilevel
		}
	}
	if h.pixelsAt > len(d.data) {
		return nil, errTruncated
	}
	src := d.data[h.pixelsAt:]
	if h.compression != bmpRaw {
		if err := h.runs(p, src); err != nil {
			return nil, err
		}
	} else {
		stride := (h.w*h.depth + 31) / 32 * 4
		last := (h.w*h.depth + 7) / 8 // padding of the last row may be missing
		if len(src) < stride*(h.h-1)+last {
			return nil, errTruncated
		}
		for y := range h.h {
			row := src[y*stride:]
			unpackBits(h.row(p, y), row, h.depth, h.w, 1, 1)
		}
	}
	if p.Mode == Bilevel {
		for i, v := range p.Pix {
			if v != 0 {
				p.Pix[i] = 255
			}
		}
	}
	return p, nil
}

// row returns the bytes of the picture that hold the file's y-th row.
func (h *bmpHeader) row(p *Picture, y int) []byte {
	if !h.topDown {
		y = h.h - 1 - y
	}
	n := h.w * p.Mode.bytesPerPixel()
	return p.Pix[y*n : (y+1)*n]
}

// runs undoes run-length coding: pairs of (count, value), or 0 and: 0 end of row, 1 end of picture, 2 skip (right, up),
// n >= 3: n literal pixels, padded to 16 bits. Skipped pixels are 0.
func (h *bmpHeader) runs(p *Picture, src []byte) error {
	out := make([]byte, 0, h.w*h.h) // pixels in file order
	total := h.w * h.h
	x := 0
	nibble := func(b byte, i int) byte {
		if h.compression == bmpRLE8 {
			return b
		}
		if i%2 == 0 {
			return b >> 4
		}
		return b & 15
	}
	at := 0
loop:
	for len(out) < total && at+2 <= len(src) {
		n, v := int(src[at]), src[at+1]
		at += 2
		if n > 0 {
			n = min(n, max(0, h.w-x))
			for i := range n {
				out = append(out, nibble(v, i))
			}
			x += n
			continue
		}
		switch v {
		case 0:
			out = append(out, make([]byte, (h.w-len(out)%h.w)%h.w)...)
			x = 0
		case 1:
			break loop
		case 2:
			if at+2 > len(src) {
				break loop
			}
			skip := min(int(src[at])+int(src[at+1])*h.w, total-len(out))
			at += 2
			out = append(out, make([]byte, skip)...)
			x = len(out) % h.w
		default:
			n := min(int(v), total-len(out))
			size := n
			if h.compression == bmpRLE4 {
				size = (n + 1) / 2
			}
			if at+size > len(src) {
				break loop
			}
			for i := range n {
				j := i
				if h.compression == bmpRLE4 {
					j = i / 2
				}
				out = append(out, nibble(src[at+j], i))
			}
			x += int(v)
			at += size
			if (h.pixelsAt+at)%2 != 0 {
				at++
			}
		}
	}
	if len(out) < total {
		return fmt.Errorf("%d of %d pixels: %w", len(out), total, errTruncated)
	}
	for y := range h.h {
		copy(h.row(p, y), out[y*h.w:(y+1)*h.w])
	}
	return nil
}

// The bit fields that Pillow reads; the others are refused as it does. Channels are bytes but in the 16-bit ones.
var bmpFields = map[int][][4]uint32{
	32: {
		{0xff0000, 0xff00, 0xff, 0}, {0xff000000, 0xff0000, 0xff00, 0}, {0xff000000, 0xff00, 0xff, 0},
		{0xff000000, 0xff0000, 0xff00, 0xff}, {0xff, 0xff00, 0xff0000, 0xff000000},
		{0xff0000, 0xff00, 0xff, 0xff000000}, {0xff000000, 0xff00, 0xff, 0xff0000}, {0, 0, 0, 0},
	},
	24: {{0xff0000, 0xff00, 0xff, 0}},
	16: {{0xf800, 0x7e0, 0x1f, 0}, {0x7c00, 0x3e0, 0x1f, 0}},
}

var errBitfields = errors.New("unsupported layout of bit fields")

// bmpDirect reads 16, 24 and 32 bits per pixel.
func (d *decoder) bmpDirect(h *bmpHeader) (*Picture, error) {
	masks := h.masks
	if h.compression == bmpRaw {
		switch h.depth {
		case 16:
			masks = [4]uint32{0x7c00, 0x3e0, 0x1f, 0}
		default:
			masks = [4]uint32{0xff0000, 0xff00, 0xff, 0}
		}
	} else {
		if h.depth != 32 {
			masks[3] = 0
		}
		known := false
		for _, m := range bmpFields[h.depth] {
			known = known || m == masks
		}
		if !known {
			return nil, fmt.Errorf("%w: %x", errBitfields, h.masks)
		}
		if masks == [4]uint32{} {
			masks = [4]uint32{0xff0000, 0xff00, 0xff, 0xff000000}
		}
	}
	bytes := h.depth / 8
	stride := (h.w*h.depth + 31) / 32 * 4
	src := d.data[h.pixelsAt:]
	if len(src) < stride*(h.h-1)+h.w*bytes {
		return nil, errTruncated
	}
	mode := RGB24
	if masks[3] != 0 {
		mode = RGBA32
	}
	p := newPicture(mode, h.w, h.h)
	n := mode.bytesPerPixel()
	for y := range h.h {
		row, dst := src[y*stride:], h.row(p, y)
		for x := range h.w {
			var v uint32
			for i := range bytes {
				v |= uint32(row[x*bytes+i]) << (8 * i)
			}
			for c := range n {
				top := uint32(1)<<bits.OnesCount32(masks[c]) - 1
				dst[x*n+c] = byte(v & masks[c] >> bits.TrailingZeros32(masks[c]) * 255 / top)
			}
		}
	}
	return p, nil
}
