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

// fixedKernel says how the outputs of one axis are made, in fixed point. Sums of byte x weight fit 32 bits: the absolute weights
// of an output add up to less than 2.
type fixedKernel struct {
	records []int32 // [outputs, 2 + taps]: the first input, the number of inputs, a weight of each, zeros
	outputs int
	taps    int  // a multiple of 4, as the engine wants it
	shift   uint // fraction bits
}

// output returns the first input of output i, and the weights.
func (k *fixedKernel) output(i int) (first int, weights []int32) {
	r := k.records[i*(2+k.taps) : (i+1)*(2+k.taps)]
	return int(r[0]), r[2 : 2+r[1]]
}

// sources returns the range of inputs that are used at all.
func (k *fixedKernel) sources() span {
	s := span{math.MaxInt, 0}
	for i := range k.outputs {
		first, weights := k.output(i)
		s.from = min(s.from, first)
		s.to = max(s.to, first+len(weights))
	}
	return s
}

// move counts the inputs from another one on.
func (k *fixedKernel) move(by int) {
	for i := range k.outputs {
		k.records[i*(2+k.taps)] += int32(by)
	}
}

// mirror turns the axis around: the inputs, `in` of them, and the outputs.
func (k *fixedKernel) mirror(in int) {
	size := 2 + k.taps
	mirrored := make([]int32, len(k.records))
	for i := range k.outputs {
		first, weights := k.output(i)
		r := mirrored[(k.outputs-1-i)*size:][:size]
		r[0], r[1] = int32(in-first-len(weights)), int32(len(weights))
		for j, w := range weights {
			r[2+len(weights)-1-j] = w
		}
	}
	k.records = mirrored
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
	if b == Pillow {
		t, weights := newTaps(f, in, full, out)
		return t.fixed(weights, span{0, out.len()}, pillowShift)
	}
	// The precision depends on the largest weight of the whole axis, so a window needs all of them.
	t, weights := newTaps(f, in, full, span{0, full})
	largest := 0.0
	for _, w := range weights {
		largest = max(largest, w)
	}
	shift := uint(0)
	for shift < pillowShift && int(0.5+largest*float64(int(1)<<(shift+1))) < 1<<15 {
		shift++
	}
	return t.fixed(weights, out, shift)
}

// fixed rounds the weights of some outputs, half away from zero.
func (t *taps) fixed(weights []float64, outputs span, shift uint) *fixedKernel {
	k := &fixedKernel{outputs: outputs.len(), taps: (t.size + 3) &^ 3, shift: shift}
	k.records = make([]int32, k.outputs*(2+k.taps))
	for i := outputs.from; i < outputs.to; i++ {
		r := k.records[(i-outputs.from)*(2+k.taps):]
		r[0], r[1] = int32(t.start[i]), int32(t.count[i])
		for j, w := range weights[i*t.size : i*t.size+t.count[i]] {
			r[2+j] = int32(w*float64(int(1)<<shift) + math.Copysign(0.5, w))
		}
	}
	return k
}
