package preprocess

import "github.com/clipgo/clipgo/internal/imageio"

// raster is a picture of n interleaved 8-bit channels, or a window of one.
type raster struct {
	pix    []byte // [h, w, n], rows stride bytes apart
	w, h   int
	n      int
	stride int
}

func newRaster(w, h, n int) raster { return rasterOf(make([]byte, w*h*n), w, h, n) }

func rasterOf(pix []byte, w, h, n int) raster { return raster{pix, w, h, n, w * n} }

func (r raster) row(y int) []byte { return r.pix[y*r.stride : y*r.stride+r.w*r.n] }

// window is columns x and rows y, without copying.
func (r raster) window(x, y span) raster {
	first, last := y.from*r.stride+x.from*r.n, (y.to-1)*r.stride+x.to*r.n
	return raster{r.pix[first:last], x.len(), y.len(), r.n, r.stride}
}

// packed returns r with no bytes between its rows.
func (r raster) packed() raster {
	if r.stride == r.w*r.n {
		return r
	}
	out := newRaster(r.w, r.h, r.n)
	for y := range r.h {
		copy(out.row(y), r.row(y))
	}
	return out
}

// turned returns r, stored turned, as it is to be seen.
func (r raster) turned(o imageio.Orientation) raster {
	r = r.packed()
	pix, w, h := o.Turn(r.pix, r.w, r.h, r.n)
	return rasterOf(pix, w, h, r.n)
}

// resizer resizes pictures.
type resizer struct {
	backend  Backend
	filter   Filter
	resample Resampler // nil: Resample
}

// resize brings src to w x h and returns columns x and rows y of that; nothing else is computed. Like the references it goes over
// one axis, rounds to bytes, goes over the other, and skips an axis that keeps its size.
//
// src is stored turned; w, h, x, y and what is returned are upright. A turned picture is resized as it is stored, with the weights
// and in the order of the upright one: the sums are the same.
func (z resizer) resize(src raster, turn imageio.Orientation, w, h int, x, y span) (raster, error) {
	b, f := z.backend, z.filter
	switch {
	case b == Libvips:
		return resizeAffine(src.turned(turn), f, w, h, x, y), nil
	case f == Nearest:
		return resizeNearest(src.turned(turn), b, w, h, x, y), nil
	case b == TorchFloat32 && f == Bilinear:
		return resizeFloat(src.turned(turn), f, w, h, x, y), nil
	}
	if b != Pillow && f == Lanczos {
		f = Bicubic // what transformers does on torchvision before 0.27
	}
	srcW, srcH := turn.Size(src.w, src.h)
	across, down := newAxisKernel(b, f, srcW, w, x), newAxisKernel(b, f, srcH, h, y)
	downFirst := b == Pillow && verticalFirst(srcW, srcH, w, h)
	if turn.Transposed() {
		across, down, downFirst = down, across, !downFirst
	}
	mirroredColumns, mirroredRows := turn.Mirrored()
	if mirroredColumns {
		across.mirror(src.w)
	}
	if mirroredRows {
		down.mirror(src.h)
	}
	out, err := src.window(across.inputs, down.inputs), error(nil)
	for i := range 2 {
		if downFirst == (i == 0) {
			out, err = z.pass(out, down.kernel, true)
		} else {
			out, err = z.pass(out, across.kernel, false)
		}
		if err != nil {
			return raster{}, err
		}
	}
	return out.turned(turn), nil
}

// axisKernel makes a window of one axis.
type axisKernel struct {
	inputs span         // what of the axis is used
	kernel *fixedKernel // counts from inputs.from; nil: the inputs are the outputs
}

func newAxisKernel(b Backend, f Filter, in, full int, out span) axisKernel {
	if in == full {
		return axisKernel{inputs: out}
	}
	k := newFixedKernel(b, f, in, full, out)
	inputs := k.sources()
	k.move(-inputs.from)
	return axisKernel{inputs, k}
}

// mirror turns an axis of `in` inputs around.
func (a *axisKernel) mirror(in int) {
	a.inputs = span{in - a.inputs.to, in - a.inputs.from}
	if a.kernel != nil {
		a.kernel.mirror(a.inputs.len())
	}
}

// verticalFirst reports whether Pillow (since 13) begins with the rows: where the height shrinks by more than twice what the width
// shrinks.
func verticalFirst(srcW, srcH, w, h int) bool { return h < srcH && srcH-h > 2*(srcW-w) }

// resizeNearest picks the sample under each output's centre (Pillow, whose running sum in double precision is part of the result)
// or under its corner (torchvision).
func resizeNearest(src raster, b Backend, w, h int, x, y span) raster {
	index := func(in, full int, out span) []int {
		list := make([]int, 0, out.len())
		if b != Pillow {
			scale := float32(in) / float32(full)
			for i := out.from; i < out.to; i++ {
				list = append(list, min(in-1, int(float32(i)*scale)))
			}
			return list
		}
		step := float64(in) / float64(full)
		at := step * 0.5
		for i := range out.to {
			if i >= out.from {
				list = append(list, min(in-1, int(at)))
			}
			at += step
		}
		return list
	}
	columns, rows := index(src.w, w, x), index(src.h, h, y)
	out := newRaster(len(columns), len(rows), src.n)
	for i, r := range rows {
		from, to := src.row(r), out.row(i)
		for j, c := range columns {
			copy(to[j*src.n:(j+1)*src.n], from[c*src.n:])
		}
	}
	return out
}
