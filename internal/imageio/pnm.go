package imageio

import (
	"errors"
	"fmt"
)

// pnm decodes PBM, PGM and PPM, plain (P1 to P3) and raw (P4 to P6).
func (d *decoder) pnm() (*Picture, error) {
	s := &pnmScanner{b: d.data, at: 2}
	kind := d.data[1] - '0'
	plain := kind <= 3
	if plain {
		kind += 3
	}
	w, err := s.number("width")
	if err != nil {
		return nil, err
	}
	h, err := s.number("height")
	if err != nil {
		return nil, err
	}
	top := 1
	if kind != 4 {
		if top, err = s.number("maximum"); err != nil {
			return nil, err
		}
	}
	if top < 1 || top > 65535 {
		return nil, fmt.Errorf("maximum %d: 1 to 65535 expected", top)
	}
	if err := d.checkSize(w, h); err != nil {
		return nil, err
	}
	mode := map[byte]Mode{4: Bilevel, 5: Grey, 6: RGB24}[kind]
	if kind == 5 && top > 255 {
		mode = Grey16
	}
	samples := w * h
	if kind == 6 {
		samples *= 3
	}
	if plain && samples > len(d.data) || !plain && kind != 4 && samples > len(d.data) {
		return nil, errTruncated
	}
	p := newPicture(mode, w, h)
	if kind == 4 {
		return p, s.bits(p, plain)
	}
	if !plain {
		s.at++ // one white space ends the header
	}
	for i := range samples {
		v := 0
		if plain {
			if v, err = s.number("sample"); err != nil {
				return nil, err
			}
			if v > top {
				return nil, fmt.Errorf("sample %d is over the maximum of %d", v, top)
			}
		} else if v, err = s.sample(top); err != nil {
			return nil, err
		}
		if mode == Grey16 {
			v = scale(v, top, 65535)
			p.Pix[2*i], p.Pix[2*i+1] = byte(v), byte(v>>8)
		} else {
			p.Pix[i] = byte(scale(v, top, 255))
		}
	}
	return p, nil
}

// scale maps 0..top to 0..full, rounded to nearest.
func scale(v, top, full int) int {
	if top == full {
		return v
	}
	return min(full, (2*v*full+top)/(2*top))
}

type pnmScanner struct {
	b  []byte
	at int
}

func space(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// skip moves past white space and comments.
func (s *pnmScanner) skip() {
	for s.at < len(s.b) {
		switch c := s.b[s.at]; {
		case space(c):
			s.at++
		case c == '#':
			for s.at < len(s.b) && s.b[s.at] != '\n' && s.b[s.at] != '\r' {
				s.at++
			}
		default:
			return
		}
	}
}

func (s *pnmScanner) number(what string) (int, error) {
	s.skip()
	v, digits := 0, 0
	for ; s.at < len(s.b) && s.b[s.at] >= '0' && s.b[s.at] <= '9'; s.at++ {
		if digits++; digits > 9 {
			return 0, fmt.Errorf("%s: a number of more than 9 digits", what)
		}
		v = 10*v + int(s.b[s.at]-'0')
	}
	if digits == 0 {
		if s.at >= len(s.b) {
			return 0, fmt.Errorf("%s: %w", what, errTruncated)
		}
		return 0, fmt.Errorf("%s: a number expected at offset %d", what, s.at)
	}
	return v, nil
}

func (s *pnmScanner) sample(top int) (int, error) {
	n := 1
	if top > 255 {
		n = 2
	}
	if s.at+n > len(s.b) {
		return 0, errTruncated
	}
	v := 0
	for range n {
		v = v<<8 | int(s.b[s.at])
		s.at++
	}
	return min(v, top), nil
}

// bits reads a bitmap, where 1 is black.
func (s *pnmScanner) bits(p *Picture, plain bool) error {
	if plain {
		for i := range p.Pix {
			s.skip()
			if s.at >= len(s.b) {
				return errTruncated
			}
			switch s.b[s.at] {
			case '0':
				p.Pix[i] = 255
			case '1':
			default:
				return errors.New("a bitmap of something other than 0 and 1")
			}
			s.at++
		}
		return nil
	}
	s.at++
	stride := (p.W + 7) / 8
	if s.at > len(s.b) || len(s.b)-s.at < stride*p.H {
		return errTruncated
	}
	for y := range p.H {
		unpackBits(p.Pix[y*p.W:(y+1)*p.W], s.b[s.at+y*stride:], 1, p.W, 1, 255)
	}
	for i := range p.Pix {
		p.Pix[i] ^= 255
	}
	return nil
}
