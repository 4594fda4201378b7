package preprocess

import "math"

// span is a half-open range of output columns or rows.
type span struct{ from, to int }

func (s span) len() int { return s.to - s.from }

// taps say from which inputs each output of a span along one axis is made.
type taps struct {
	start []int // first input of each output
	count []int // how many inputs
	size  int   // distance between the weights of two outputs
}

// sources returns the range of inputs that are used at all.
func (t *taps) sources() span {
	s := span{math.MaxInt, 0}
	for i, from := range t.start {
		s.from = min(s.from, from)
		s.to = max(s.to, from+t.count[i])
	}
	return s
}

// fixedKernel are the taps of one axis with their weights in fixed point. Sums of byte x weight fit 32 bits: the absolute weights
// of an output add up to less than 2.
type fixedKernel struct {
	taps
	weights []int32 // [outputs, size]
	shift   uint    // fraction bits
}

// newTaps finds the inputs of outputs out.from..out.to, where in samples become full. Weights are normalised, in double precision.
//
//	scale = in/full, widened = max(scale, 1), centre = (i + 1/2) scale, reach = support widened
//	inputs round(centre - reach) .. round(centre + reach), weight filter((j - centre + 1/2) / widened)
//
// This is Pillow's Resample.c; torchvision's antialiased kernels use the same taps.
func newTaps(f Filter, in, full int, out span) (taps, []float64) {
	scale := float64(in) / float64(full)
	widened := max(scale, 1)
	reach := f.support() * widened
	inverse := 1 / widened
	t := taps{start: make([]int, out.len()), count: make([]int, out.len()), size: int(math.Ceil(reach))*2 + 1}
	weights := make([]float64, out.len()*t.size)
	for i := range t.start {
		centre := (float64(out.from+i) + 0.5) * scale
		from := max(0, int(centre-reach+0.5))
		to := min(in, int(centre+reach+0.5))
		w := weights[i*t.size : (i+1)*t.size]
		sum := 0.0
		for j := range to - from {
			w[j] = f.at((float64(j+from) - centre + 0.5) * inverse)
			sum += w[j]
		}
		if sum != 0 {
			for j := range to - from {
				w[j] /= sum
			}
		}
		t.start[i], t.count[i] = from, to-from
	}
	return t, weights
}

// pillowShift: 32 bits less 8 of the pixel, less 2 for weights that overshoot.
const pillowShift = 32 - 8 - 2

// newFixedKernel quantises the weights as the backend does: Pillow with 22 fraction bits, torchvision's integer kernel with as many
// as let the largest weight of the axis fit 16 bits.
func newFixedKernel(b Backend, f Filter, in, full int, out span) *fixedKernel {
	shift := uint(pillowShift)
	if b != Pillow {
		// The precision depends on the largest weight of the whole axis, so a window needs all of them.
		t, all := newTaps(f, in, full, span{0, full})
		largest := 0.0
		for _, w := range all {
			largest = max(largest, w)
		}
		shift = 0
		for shift < pillowShift && int(0.5+largest*float64(int(1)<<(shift+1))) < 1<<15 {
			shift++
		}
		t.start, t.count = t.start[out.from:out.to], t.count[out.from:out.to]
		return &fixedKernel{t, fixedPoint(all[out.from*t.size:out.to*t.size], shift), shift}
	}
	t, weights := newTaps(f, in, full, out)
	return &fixedKernel{t, fixedPoint(weights, shift), shift}
}

func fixedPoint(weights []float64, shift uint) []int32 {
	out := make([]int32, len(weights))
	for i, w := range weights {
		out[i] = int32(w*float64(int(1)<<shift) + math.Copysign(0.5, w))
	}
	return out
}
