package preprocess

import "math"

// resizeFloat is torchvision's bilinear resize on processors where torch does not use its integer kernel (AVX-512, ARM): float32
// throughout, rounded half to even at the end. Sums run in the order of the taps, without fused multiply-add.
func resizeFloat(src raster, f Filter, w, h int, x, y span) raster {
	rows := y
	var vertical *floatKernel
	if h != src.h {
		vertical = newFloatKernel(f, src.h, h, y)
		rows = vertical.sources()
	}
	width := x.len() * src.n
	wide := make([]float32, rows.len()*width) // [rows, x, n]
	var across *floatKernel
	work := len(wide)
	if w != src.w {
		across = newFloatKernel(f, src.w, w, x)
		work *= across.size
	}
	_ = parallel(rows.len(), work>>19, func(from, to int) error {
		for i := from; i < to; i++ {
			dst, row := wide[i*width:(i+1)*width], src.row(rows.from+i)
			if across != nil {
				across.across(dst, row, src.n)
				continue
			}
			for c := range dst {
				dst[c] = float32(row[x.from*src.n+c])
			}
		}
		return nil
	})
	out := newRaster(x.len(), y.len(), src.n)
	sums := make([]float32, width)
	for i := range out.h {
		if vertical != nil {
			vertical.down(sums, wide, i, rows.from)
		} else {
			copy(sums, wide[i*width:])
		}
		for c, v := range sums {
			out.row(i)[c] = byte(math.RoundToEven(float64(v)))
		}
	}
	return out
}

type floatKernel struct {
	taps
	weights []float32 // [outputs, size]
}

// newFloatKernel is newTaps in single precision, step by step as torch computes it.
func newFloatKernel(f Filter, in, full int, out span) *floatKernel {
	scale := float32(in) / float32(full)
	widened := max(scale, 1)
	reach := float32(f.support()) * widened
	inverse := 1 / widened
	n := out.len()
	k := &floatKernel{taps: taps{make([]int, n), make([]int, n), int(math.Ceil(float64(reach)))*2 + 1}}
	k.weights = make([]float32, n*k.size)
	for i := range n {
		centre := scale * (float32(out.from+i) + 0.5)
		from := max(0, int(centre-reach+0.5))
		to := min(in, int(centre+reach+0.5))
		w := k.weights[i*k.size : (i+1)*k.size]
		var sum float32
		for j := range to - from {
			d := float32((float32(j+from) - centre + 0.5) * inverse)
			w[j] = float32(f.at(float64(d)))
			sum += w[j]
		}
		for j := range to - from {
			w[j] /= sum
		}
		k.start[i], k.count[i] = from, to-from
	}
	return k
}

func (k *floatKernel) across(dst []float32, src []byte, n int) {
	for i, from := range k.start {
		weights := k.weights[i*k.size : i*k.size+k.count[i]]
		for c := range n {
			var sum float32
			for j, w := range weights {
				sum += float32(w * float32(src[(from+j)*n+c]))
			}
			dst[i*n+c] = sum
		}
	}
}

// down makes output row i from rows of src, whose first one is row `first` of the picture that k counts in.
func (k *floatKernel) down(dst, src []float32, i, first int) {
	clear(dst)
	for j, w := range k.weights[i*k.size : i*k.size+k.count[i]] {
		at := (k.start[i] - first + j) * len(dst)
		for c, v := range src[at : at+len(dst)] {
			dst[c] += float32(w * v)
		}
	}
}
