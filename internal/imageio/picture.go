package imageio

import "github.com/clipgo/clipgo/internal/sysmem"

// Mode says what the bytes of a Picture mean. The names are Pillow's, since its conversions are the ones that models saw.
type Mode string

const (
	Bilevel   Mode = "1"    // one byte per pixel, 0 or 255
	Grey      Mode = "L"    // one byte
	GreyAlpha Mode = "LA"   // two bytes: grey, alpha (not premultiplied)
	Grey16    Mode = "I;16" // two bytes, little-endian
	Palette   Mode = "P"    // one byte: an index into Picture.Palette
	RGB24     Mode = "RGB"  // three bytes
	RGBA32    Mode = "RGBA" // four bytes: red, green, blue, alpha (not premultiplied)
	CMYK32    Mode = "CMYK" // four bytes, 255 = full ink
)

// bytesPerPixel is 0 for an unknown mode.
func (m Mode) bytesPerPixel() int {
	switch m {
	case Bilevel, Grey, Palette:
		return 1
	case GreyAlpha, Grey16:
		return 2
	case RGB24:
		return 3
	case RGBA32, CMYK32:
		return 4
	}
	return 0
}

// Picture is a decoded picture in its file's own mode, and turned as it was stored: the one who looks at it turns it, which
// costs a resize nothing and a copy of all pixels a good part of decoding them.
type Picture struct {
	Mode        Mode
	W, H        int
	Pix         []byte      // [H, W, bytes of the mode], rows without padding
	Palette     [][3]byte   // mode P: red, green, blue of each index; an index beyond it is black
	Orientation Orientation // how Pix are meant to be seen
}

// RGB is a picture of 8-bit red, green, blue.
type RGB struct {
	Pix  []byte // [H, W, 3]
	W, H int
}

// Picture wraps the same bytes as a Picture.
func (m RGB) Picture() *Picture { return &Picture{Mode: RGB24, W: m.W, H: m.H, Pix: m.Pix} }

func newPicture(mode Mode, w, h int) *Picture {
	return &Picture{Mode: mode, W: w, H: h, Pix: sysmem.Large(w * h * mode.bytesPerPixel())}
}

// ToRGB converts as Pillow's convert("RGB") does: alpha is dropped, not composited; 16-bit grey is clipped at 255, not scaled.
// The pixels stay turned as they are stored. A picture that is RGB already is returned without copying.
func (p *Picture) ToRGB() RGB {
	if p.Mode == RGB24 {
		return RGB{Pix: p.Pix, W: p.W, H: p.H}
	}
	out := make([]byte, p.W*p.H*3)
	src, n := p.Pix, p.W*p.H
	switch p.Mode {
	case Bilevel, Grey:
		for i, v := range src[:n] {
			out[3*i], out[3*i+1], out[3*i+2] = v, v, v
		}
	case GreyAlpha:
		for i := range n {
			v := src[2*i]
			out[3*i], out[3*i+1], out[3*i+2] = v, v, v
		}
	case Grey16:
		for i := range n {
			v := src[2*i]
			if src[2*i+1] != 0 {
				v = 255
			}
			out[3*i], out[3*i+1], out[3*i+2] = v, v, v
		}
	case Palette:
		var table [256][3]byte
		copy(table[:], p.Palette)
		for i, v := range src[:n] {
			copy(out[3*i:3*i+3], table[v][:])
		}
	case RGBA32:
		for i := range n {
			out[3*i], out[3*i+1], out[3*i+2] = src[4*i], src[4*i+1], src[4*i+2]
		}
	case CMYK32:
		for i := range n {
			s := src[4*i : 4*i+4]
			light := 255 - int(s[3])
			for c := range 3 {
				out[3*i+c] = byte(max(0, light-MulDiv255(int(s[c]), light)))
			}
		}
	}
	return RGB{Pix: out, W: p.W, H: p.H}
}

// MulDiv255 is a*b/255, rounded to nearest, for a and b in 0..255: the product of two fractions stored as bytes.
func MulDiv255(a, b int) int {
	t := a*b + 128
	return (t + t>>8) >> 8
}

// Upright returns the picture as it is to be seen; p itself if that is how it is stored.
func (p *Picture) Upright() *Picture {
	if p.Orientation < 2 || p.Orientation > 8 {
		return p
	}
	pix, w, h := p.Orientation.Turn(p.Pix, p.W, p.H, p.Mode.bytesPerPixel())
	return &Picture{Mode: p.Mode, W: w, H: h, Pix: pix, Palette: p.Palette}
}
