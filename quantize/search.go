package quantize

import (
	"math"

	"github.com/clipgo/clipgo/internal/half"
)

// How the K and IQ types are quantised. The aim is the least sum of w*(x - y)^2 over a super-block, where y is what the
// stored block decodes to. Codes, sub-block scales and float16 scales depend on each other, so it goes in steps:
//
//  1. Each sub-block by itself: many steps (and minima), each with the codes nearest to it; by least squares, the best
//     step for those codes; and the most promising of them again, with codes anew, until nothing is gained.
//  2. The float16 scales: several, each judged by what rounding the sub-blocks' steps to its multiples would cost, as the
//     second-order error around their best fits.
//     Where sub-blocks are content with many steps, or a single number outweighs the rest, more than one is followed up.
//  3. Descent: for every sub-block the best of the neighbouring integer scales, with codes anew and the true error; then
//     the best float16 scales for those codes, by least squares; again while it helps.
//
// symmetric.go has this for the types without a minimum, affine.go for those with one.
//
// Everything is in float64, where no square of a float32 overflows; products that are added to something are rounded
// explicitly, so that every machine finds the same bytes.

const (
	// starts is how many of the tries of step 1 are followed up, and refinements how often at most.
	starts      = 3
	refinements = 3
	// descents is how often step 3 is done at most.
	descents = 3
	// notice is how much better, by the energy, a try must be. Fits that differ only by rounding must not scatter the steps
	// of sub-blocks that are alike: one float16 scale has to serve all.
	notice = 1 + 1e-7
)

// leastNormalHalf is where float16 begins to lose bits.
const leastNormalHalf = 0x1p-14

// nearest rounds half to even, for |y| < 2^51. For other numbers and NaN it gives some integer. A y that is a product is
// rounded before the sum, here and below: inlined, the two may be fused otherwise.
func nearest(y float64) int {
	const shift = 3 << 51 // as float64, one unit in its last place is 1
	return int(math.Float64bits(float64(y)+shift)) - int(math.Float64bits(shift))
}

// toHalf rounds to float16; beyond its range it gives an infinity.
func toHalf(v float64) float64 { return float64(half.FromF16(half.ToF16(float32(v)))) }

// widen copies the next block of a row and its weights, 1 where there are none, and returns the weights after it.
func widen(x, w []float64, src, weights []float32) []float32 {
	for i := range x {
		x[i] = float64(src[i])
	}
	if weights == nil {
		for i := range w {
			w[i] = 1
		}
		return nil
	}
	for i := range w {
		w[i] = float64(weights[i])
	}
	return weights[len(w):]
}

// mostScales is how many float16 scales of a super-block are followed up where the steps of its sub-blocks say little.
const mostScales = 16

// ranking keeps the scales of least cost, the best first.
type ranking[T any] struct {
	costs [mostScales]float64
	items [mostScales]T
	n     int
}

func (r *ranking[T]) add(cost float64, item T) {
	for i := range r.n {
		if cost < r.costs[i] {
			cost, r.costs[i] = r.costs[i], cost
			item, r.items[i] = r.items[i], item
		}
	}
	if r.n < mostScales {
		r.costs[r.n], r.items[r.n] = cost, item
		r.n++
	}
}

func (r *ranking[T]) first(n int) []T { return r.items[:min(n, r.n)] }

// spiky reports whether one number holds more than an eighth of the weighted energy. How its step rounds outweighs all else.
func spiky(x, w *[superBlock]float64) bool {
	var most, sum float64
	for i, v := range x {
		e := float64(w[i] * float64(v*v))
		most, sum = max(most, e), sum+e
	}
	return most > sum/8
}

// ambiguous reports whether x has one or two numbers beside those that n levels on a side can't tell from 0, or numbers
// that are nearly one. Many steps fit these alike, and which of them is nearly a multiple of the scale only trying all of
// them can tell.
func ambiguous(x []float64, n int) bool {
	lo, hi := x[0], x[0]
	for _, v := range x {
		lo, hi = min(lo, v), max(hi, v)
	}
	if hi-lo < math.Abs(hi+lo)/16 {
		return true
	}
	zero := max(hi, -lo) / float64(2*n)
	count := 0
	for _, v := range x {
		if v > zero || v < -zero {
			count++
		}
	}
	return count <= 2
}

// searcher finds the best super-block for x.
type searcher interface {
	search(b *packed, x, w *[superBlock]float64)
}

// encodeSuper quantises a row in super-blocks of size bytes.
func encodeSuper(dst []byte, src, weights []float32, size int, s searcher, pack func(dst []byte, b *packed)) {
	var b packed
	var x, w [superBlock]float64
	for ; len(src) >= superBlock; dst, src = dst[size:], src[superBlock:] {
		weights = widen(x[:], w[:], src, weights)
		s.search(&b, &x, &w)
		pack(dst, &b)
	}
}

func encodeQ2K(dst []byte, src, weights []float32) {
	encodeSuper(dst, src, weights, 84, &searchQ2K, packQ2K)
}

func encodeQ3K(dst []byte, src, weights []float32) {
	encodeSuper(dst, src, weights, 110, &searchQ3K, packQ3K)
}

func encodeQ4K(dst []byte, src, weights []float32) {
	encodeSuper(dst, src, weights, 144, &searchQ4K, packQ4K)
}

func encodeQ5K(dst []byte, src, weights []float32) {
	encodeSuper(dst, src, weights, 176, &searchQ5K, packQ5K)
}

func encodeQ6K(dst []byte, src, weights []float32) {
	encodeSuper(dst, src, weights, 210, &searchQ6K, packQ6K)
}

func encodeIQ4XS(dst []byte, src, weights []float32) {
	encodeSuper(dst, src, weights, 136, &searchIQ4XS, packIQ4XS)
}

// encodeIQ4NL has one float16 scale for each block of 32.
func encodeIQ4NL(dst []byte, src, weights []float32) {
	var x, w [block32]float64
	var codes [block32]uint8
	for ; len(src) >= block32; dst, src = dst[18:], src[block32:] {
		weights = widen(x[:], w[:], src, weights)
		putHalf(dst, float32(searchIQ4NL.single(codes[:], x[:], w[:])))
		packNibbles(dst[2:], &codes)
	}
}
