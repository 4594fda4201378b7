package preprocess

import (
	"math"

	"github.com/clipgo/clipgo/internal/imageio"
)

// resizeOwnMode resizes and crops as Pillow's Image.resize does in the file's own mode: indices and bitmaps by their nearest
// sample whatever was asked, colours with alpha premultiplied, 16-bit grey with 16 bits.
func (z resizer) resizeOwnMode(p *imageio.Picture, h, w int, y, x axis, fill byte) (*imageio.Picture, error) {
	src, turn := rasterOf(p.Pix, p.W, p.H, len(p.Pix)/(p.W*p.H)), p.Orientation
	srcW, srcH := turn.Size(p.W, p.H)
	alpha := false
	switch {
	case p.Mode == imageio.Bilevel || p.Mode == imageio.Palette:
		z.filter = Nearest
	case w == srcW && h == srcH || z.filter == Nearest: // as it is
	case p.Mode == imageio.GreyAlpha || p.Mode == imageio.RGBA32:
		alpha = true
		src = premultiply(src)
	}
	var small raster
	if p.Mode == imageio.Grey16 && z.filter != Nearest {
		small = resize16(src.turned(turn), z.filter, w, h, x.window(), y.window())
	} else {
		var err error
		if small, err = z.resize(src, turn, w, h, x.window(), y.window()); err != nil {
			return nil, err
		}
	}
	if alpha {
		small = small.packed()
		unpremultiply(small)
	}
	return &imageio.Picture{Mode: p.Mode, W: x.out, H: y.out, Pix: pad(small, x, y, fill).pix, Palette: p.Palette}, nil
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

// resize16 resizes little-endian 16-bit grey: weights in double precision, rounded to 16 bits after each pass.
func resize16(src raster, f Filter, w, h int, x, y span) raster {
	// pass makes a picture of w x h whose sample (col, row) is the weighted sum of the inputs that at returns.
	pass := func(w, h int, t taps, weights []float64, output func(col, row int) int, at func(col, row, tap int) int) raster {
		out := newRaster(w, h, 2)
		for row := range h {
			for col := range w {
				i := output(col, row)
				sum := 0.0
				for j := range t.count[i] {
					b := src.pix[2*at(col, row, t.start[i]+j):]
					sum += float64(float64(int(b[0])|int(b[1])<<8) * weights[i*t.size+j])
				}
				v := int(min(max(math.Round(sum), 0), 65535))
				out.pix[2*(row*w+col)], out.pix[2*(row*w+col)+1] = byte(v), byte(v>>8)
			}
		}
		return out
	}
	across := func(rows span) {
		if w == src.w {
			src = src.window(x, rows).packed()
			return
		}
		t, weights := newTaps(f, src.w, w, x)
		src = pass(x.len(), rows.len(), t, weights,
			func(col, _ int) int { return col },
			func(_, row, tap int) int { return (rows.from+row)*src.w + tap })
	}
	if h == src.h {
		across(y)
		return src
	}
	t, weights := newTaps(f, src.h, h, y)
	first := verticalFirst(src.w, src.h, w, h)
	if !first {
		rows := t.sources()
		across(rows)
		for i := range t.start {
			t.start[i] -= rows.from
		}
	}
	src = pass(src.w, y.len(), t, weights,
		func(_, row int) int { return row },
		func(col, _, tap int) int { return tap*src.w + col })
	if first {
		across(span{0, src.h})
	}
	return src
}
