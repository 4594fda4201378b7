package preprocess

import (
	"runtime"
	"sync"
)

// raster is a picture of n interleaved 8-bit channels.
type raster struct {
	pix  []byte // [h, w, n]
	w, h int
	n    int
}

func newRaster(w, h, n int) raster { return raster{make([]byte, w*h*n), w, h, n} }

func (r raster) row(y int) []byte { return r.pix[y*r.w*r.n : (y+1)*r.w*r.n] }

// window copies columns x and rows y.
func (r raster) window(x, y span) raster {
	if x == (span{0, r.w}) && y == (span{0, r.h}) {
		return r
	}
	out := newRaster(x.len(), y.len(), r.n)
	for i := range out.h {
		copy(out.row(i), r.row(y.from + i)[x.from*r.n:x.to*r.n])
	}
	return out
}

// resize brings src to w x h and returns columns x and rows y of that; nothing else is computed. Like the references it goes over
// one axis, rounds to bytes, goes over the other, and skips an axis that keeps its size.
func resize(src raster, b Backend, f Filter, w, h int, x, y span) raster {
	switch {
	case f == Nearest:
		return resizeNearest(src, b, w, h, x, y)
	case b == TorchFloat32 && f == Bilinear:
		return resizeFloat(src, f, w, h, x, y)
	}
	if b != Pillow && f == Lanczos {
		f = Bicubic // what transformers does on torchvision before 0.27
	}
	if h == src.h {
		return resizeAcross(src, b, f, w, x, y)
	}
	k := newFixedKernel(b, f, src.h, h, y)
	if b == Pillow && verticalFirst(src.w, src.h, w, h) {
		tall := k.resizeDown(src, 0)
		return resizeAcross(tall, b, f, w, x, span{0, tall.h})
	}
	rows := k.sources()
	return k.resizeDown(resizeAcross(src, b, f, w, x, rows), rows.from)
}

// resizeAcross makes w columns of the given rows and returns columns x of that.
func resizeAcross(src raster, b Backend, f Filter, w int, x, rows span) raster {
	if w == src.w {
		return src.window(x, rows)
	}
	out := newRaster(x.len(), rows.len(), src.n)
	k := newFixedKernel(b, f, src.w, w, x)
	parallel(out.h, out.h*out.w*src.n*k.size, func(from, to int) {
		for i := from; i < to; i++ {
			k.across(out.row(i), src.row(rows.from+i), src.n)
		}
	})
	return out
}

// resizeDown makes the kernel's rows of src, whose first one is row `first` of the picture that the kernel counts in.
func (k *fixedKernel) resizeDown(src raster, first int) raster {
	out := newRaster(src.w, len(k.start), src.n)
	parallel(out.h, len(out.pix)*k.size, func(from, to int) {
		k.down(out, src, span{from, to}, first)
	})
	return out
}

// verticalFirst reports whether Pillow (since 13) begins with the rows: where the height shrinks by more than twice what the width
// shrinks.
func verticalFirst(srcW, srcH, w, h int) bool { return h < srcH && srcH-h > 2*(srcW-w) }

// parallel splits n rows over as many goroutines as the process may run at once if the work, in products, is worth it.
func parallel(n, work int, f func(from, to int)) {
	const grain = 1 << 19 // about half a millisecond
	threads := min(runtime.GOMAXPROCS(0), work/grain, n)
	if threads <= 1 {
		f(0, n)
		return
	}
	var wg sync.WaitGroup
	for i := range threads {
		wg.Go(func() { f(n*i/threads, n*(i+1)/threads) })
	}
	wg.Wait()
}

// across resizes one row of n channels.
func (k *fixedKernel) across(dst, src []byte, n int) {
	if n == 3 {
		k.acrossRGB(dst, src)
		return
	}
	half := int32(1) << (k.shift - 1)
	for i, from := range k.start {
		weights := k.weights[i*k.size : i*k.size+k.count[i]]
		for c := range n {
			sum := half
			for j, w := range weights {
				sum += w * int32(src[(from+j)*n+c])
			}
			dst[i*n+c] = clip8(sum >> k.shift)
		}
	}
}

func (k *fixedKernel) acrossRGB(dst, src []byte) {
	half := int32(1) << (k.shift - 1)
	shift := k.shift & 31
	for i, from := range k.start {
		weights := k.weights[i*k.size : i*k.size+k.count[i]]
		s := src[3*from : 3*(from+len(weights))]
		r, g, b := half, half, half
		for _, w := range weights {
			if len(s) < 3 {
				break // never: it spares three bounds checks
			}
			r += w * int32(s[0])
			g += w * int32(s[1])
			b += w * int32(s[2])
			s = s[3:]
		}
		d := dst[3*i : 3*i+3 : 3*i+3]
		d[0], d[1], d[2] = clip8(r>>shift), clip8(g>>shift), clip8(b>>shift)
	}
}

// down makes the given rows of dst.
func (k *fixedKernel) down(dst, src raster, rows span, first int) {
	half := int32(1) << (k.shift - 1)
	shift := k.shift & 31
	sums := make([]int32, dst.w*dst.n)
	for i := rows.from; i < rows.to; i++ {
		for c := range sums {
			sums[c] = half
		}
		for j, w := range k.weights[i*k.size : i*k.size+k.count[i]] {
			row := src.row(k.start[i] - first + j)[:len(sums)]
			for c, v := range row {
				sums[c] += w * int32(v)
			}
		}
		out := dst.row(i)[:len(sums)]
		for c, v := range sums {
			out[c] = clip8(v >> shift)
		}
	}
}

func clip8(v int32) byte {
	if uint32(v) > 255 {
		if v < 0 {
			return 0
		}
		return 255
	}
	return byte(v)
}

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
