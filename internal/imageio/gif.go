package imageio

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// gif decodes the first frame on the canvas that the header names. Pixels outside the frame have the transparent colour, or
// index 0 where there is none.
func (d *decoder) gif() (*Picture, error) {
	b := d.data
	if len(b) < 13 {
		return nil, errTruncated
	}
	w, h := int(binary.LittleEndian.Uint16(b[6:])), int(binary.LittleEndian.Uint16(b[8:]))
	palette, b, err := gifPalette(b[13:], b[10])
	if err != nil {
		return nil, err
	}
	transparent := byte(0)
	for {
		if len(b) < 1 {
			return nil, errTruncated
		}
		switch b[0] {
		case 0x21: // extension: a label, then blocks
			if len(b) < 2 {
				return nil, errTruncated
			}
			// Graphic control: flags, duration, transparent index.
			if b[1] == 0xf9 && len(b) >= 7 && b[2] >= 4 && b[3]&1 != 0 {
				transparent = b[6]
			}
			if _, b, err = gifBlocks(b[2:], false); err != nil {
				return nil, err
			}
		case 0x2c:
			if len(b) < 10 {
				return nil, errTruncated
			}
			u16 := func(at int) int { return int(binary.LittleEndian.Uint16(b[at:])) }
			frame := gifFrame{x: u16(1), y: u16(3), w: u16(5), h: u16(7), interlaced: b[9]&0x40 != 0}
			local, rest, err := gifPalette(b[10:], b[9])
			if err != nil {
				return nil, err
			}
			if b[9]&0x80 != 0 {
				palette = local
			}
			// A frame that sticks out makes the canvas larger.
			w, h = max(w, frame.x+frame.w), max(h, frame.y+frame.h)
			if err := d.checkSize(w, h); err != nil {
				return nil, err
			}
			p := newPicture(Palette, w, h)
			p.Palette = palette
			if palette == nil {
				p.Mode = Grey
			}
			if transparent != 0 {
				for i := range p.Pix {
					p.Pix[i] = transparent
				}
			}
			return p, frame.decode(p, rest)
		case 0x3b:
			return nil, errors.New("no picture in it")
		default: // stray bytes between blocks are skipped
			b = b[1:]
		}
	}
}

// gifPalette reads the table that flags announce. A ramp of greys is no palette: its indices are the greys.
func gifPalette(b []byte, flags byte) (palette [][3]byte, rest []byte, err error) {
	if flags&0x80 == 0 {
		return nil, b, nil
	}
	n := 3 << (flags&7 + 1)
	if len(b) < n {
		return nil, nil, errTruncated
	}
	palette = rgbTriples(b[:n])
	for i, c := range palette {
		if c != [3]byte{byte(i), byte(i), byte(i)} {
			return palette, b[n:], nil
		}
	}
	return nil, b[n:], nil
}

// gifBlocks joins a chain of blocks (a length byte each, 0 ends it), and returns what follows. A chain that ends with the file is
// an error unless open.
func gifBlocks(b []byte, open bool) (data, rest []byte, err error) {
	for {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			if open {
				return append(data, b[min(1, len(b)):]...), nil, nil
			}
			return nil, nil, errTruncated
		}
		n := int(b[0])
		if n == 0 {
			return data, b[1:], nil
		}
		data = append(data, b[1:1+n]...)
		b = b[1+n:]
	}
}

type gifFrame struct {
	x, y, w, h int
	interlaced bool
}

func (f gifFrame) decode(p *Picture, b []byte) error {
	if f.w == 0 || f.h == 0 {
		return errors.New("the first frame has no pixels")
	}
	if len(b) < 1 {
		return errTruncated
	}
	if b[0] > 11 {
		return fmt.Errorf("LZW code size %d: at most 11 expected", b[0])
	}
	data, _, _ := gifBlocks(b[1:], true)
	pix := make([]byte, f.w*f.h)
	if n := gifLZW(pix, data, int(b[0])); n < len(pix) {
		return fmt.Errorf("%d of %d pixels: %w", n, len(pix), errTruncated)
	}
	for i, y := range f.rows() {
		copy(p.Pix[(f.y+y)*p.W+f.x:], pix[i*f.w:(i+1)*f.w])
	}
	return nil
}

// gifLZW decodes src into dst and returns how many bytes it got. A code stands for the string of an earlier code and one byte
// more; codes grow from bits+1 to 12 bits, lowest bit first. 1<<bits clears the table, the next one ends the data.
func gifLZW(dst, src []byte, bits int) int {
	const maxCodes = 1 << 12
	var prefix [maxCodes]uint16
	var first, suffix [maxCodes]byte // of each code's string
	var length [maxCodes]uint16
	clearCode := 1 << bits
	for i := range clearCode {
		first[i], suffix[i], length[i] = byte(i), byte(i), 1
	}
	width, next, last := bits+1, clearCode+2, -1
	var acc uint32
	have, at, n := 0, 0, 0
	for n < len(dst) {
		for have < width {
			if at == len(src) {
				return n
			}
			acc |= uint32(src[at]) << have
			at++
			have += 8
		}
		code := int(acc & (1<<width - 1))
		acc >>= width
		have -= width
		switch {
		case code == clearCode:
			width, next, last = bits+1, clearCode+2, -1
			continue
		case code == clearCode+1:
			return n
		case code > next || code == next && last < 0 || last < 0 && code > clearCode:
			return n // a code that can't be known yet
		}
		if last >= 0 && next < maxCodes {
			// The new string: the last one and the first byte of this one, which may be that very string.
			prefix[next], length[next], first[next] = uint16(last), length[last]+1, first[last]
			suffix[next] = first[code]
			next++
			if next == 1<<width && width < 12 {
				width++
			}
		} else if code >= next {
			return n
		}
		last = code
		// Strings are chained from their end.
		end := n + int(length[code])
		for i, c := end-1, code; i >= n; i, c = i-1, int(prefix[c]) {
			if i < len(dst) {
				dst[i] = suffix[c]
			}
		}
		n = min(end, len(dst))
	}
	return n
}

// rows is the order in which the frame's rows are stored.
func (f gifFrame) rows() []int {
	out := make([]int, 0, f.h)
	passes := [][2]int{{0, 1}}
	if f.interlaced {
		passes = [][2]int{{0, 8}, {4, 8}, {2, 4}, {1, 2}}
	}
	for _, pass := range passes {
		for y := pass[0]; y < f.h; y += pass[1] {
			out = append(out, y)
		}
	}
	return out
}
