package preprocess

import (
	"math"

	"github.com/clipgo/clipgo/internal/imageio"
)

// resizeOwnMode resizes and crops as Pillow's Image.resize does in the file's own mode: indices and bitmaps by their nearest
// sample whatever was asked, colours with alpha premultiplied, 16-bit grey with 16 bits.
func (s Spec) resizeOwnMode(p *imageio.Picture, h, w int, y, x axis) *imageio.Picture {
	src := raster{p.Pix, p.W, p.H, len(p.Pix) / (p.W * p.H)}
	out := &imageio.Picture{Mode: p.Mode, W: x.out, H: y.out, Palette: p.Palette}
	filter := s.Filter
	switch {
	case p.Mode == imageio.Bilevel || p.Mode == imageio.Palette:
		filter = Nearest
	case w == p.W && h == p.H || filter == Nearest: // as it is
	case p.Mode == imageio.GreyAlpha || p.Mode == imageio.RGBA32:
		r := resize(premultiply(src), s.Backend, filter, w, h, x.window(), y.window())
		unpremultiply(r)
		out.Pix = pad(r, x, y, s.Fill).pix
		return out
	case p.Mode == imageio.Grey16:
		out.Pix = pad(resize16(src, filter, w, h, x.window(), y.window()), x, y, s.Fill).pix
		return out
	}
	out.Pix = pad(resize(src, s.Backend, filter, w, h, x.window(), y.window()), x, y, s.Fill).pix
	return out
}

// premultiply multiplies the colours by alpha, the last channel.
func premultiply(src raster) raster {
	out := newRaster(src.w, src.h, src.n)
	last := src.n - 1
	for i := 0; i < len(src.pix); i += src.n {
		a := src.pix[i+last]
		for c := range last {
			out.pix[i+c] = byte(imageio.MulDiv255(int(src.pix[i+c]), int(a)))
		}
		out.pix[i+last] = a
	}
	return out
}

// unpremultiply divides the colours by alpha, in place; where alpha is 0 they stay.
func unpremultiply(r raster) {
	last := r.n - 1
	for i := 0; i < len(r.pix); i += r.n {
		a := int(r.pix[i+last])
		if a == 0 || a == 255 {
			continue
		}
		for c := range last {
			r.pix[i+c] = byte(min(255, 255*int(r.pix[i+c])/a))
		}
	}
}

// resize16 resizes little-endian 16-bit grey: weights in double precision, rounded to 16 bits after each pass, the two bytes
// clipped each by itself where a sharp filter overshoots.
func resize16(src raster, f Filter, w, h int, x, y span) raster {
	sample := func(r raster, col, row int) float64 {
		b := r.pix[(row*r.w+col)*2:]
		return float64(int(b[0]) | int(b[1])<<8)
	}
	put := func(r raster, col, row int, sum float64) {
		v := int32(math.Round(sum))
		b := r.pix[(row*r.w+col)*2:]
		b[0], b[1] = clip8(v%256), clip8(v>>8)
	}
	rows := y
	var down taps
	var downWeights []float64
	if h != src.h {
		down, downWeights = newTaps(f, src.h, h, y)
		rows = down.sources()
	}
	wide := src.window(span{0, src.w}, rows)
	if w != src.w {
		t, weights := newTaps(f, src.w, w, x)
		out := newRaster(x.len(), rows.len(), 2)
		for row := range out.h {
			for i, from := range t.start {
				sum := 0.0
				for j := range t.count[i] {
					sum += float64(sample(wide, from+j, row) * weights[i*t.size+j])
				}
				put(out, i, row, sum)
			}
		}
		wide = out
	} else {
		wide = wide.window(x, span{0, wide.h})
	}
	if h == src.h {
		return wide
	}
	out := newRaster(wide.w, y.len(), 2)
	for i, from := range down.start {
		for col := range out.w {
			sum := 0.0
			for j := range down.count[i] {
				sum += float64(sample(wide, col, from-rows.from+j) * downWeights[i*down.size+j])
			}
			put(out, col, i, sum)
		}
	}
	return out
}
