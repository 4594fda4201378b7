package quantize

import (
	"math"

	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/half"
)

// How the K and IQ types are quantised. The aim is the least sum of w*(x - y)^2 over a super-block, where y is what the
// stored block decodes to. Codes, sub-block scales and float16 scales depend on each other, so it goes in steps:
//
//  1. Each sub-block by itself: several steps (and a minimum), the codes nearest to them, and the best fit to those codes.
//  2. The float16 scales: several, each judged by what rounding the sub-blocks' scales to its multiples would cost,
//     as the second-order error around their best fits.
//  3. Descent: for every sub-block the best of the neighbouring integer scales, with codes anew and the true error;
//     then the best float16 scales for those codes, by least squares; again while it helps.
//
// Everything is in float64, where no square of a float32 overflows; products that are added to something are rounded
// explicitly, so that every machine finds the same bytes.

// levels is a set of levels that codes stand for, symmetric or nearly so: y = step*level(code).
type levels interface {
	// sums takes for each x the level l nearest to x*inv, and returns p = sum(w*x*l) and q = sum(w*l*l). With these
	// codes, the step p/q leaves the least error, sum(w*x*x) - p*p/q.
	sums(x, w []float64, inv float64) (p, q float64)
	// encode writes the codes of the levels nearest to x*inv.
	encode(codes []uint8, x []float64, inv float64)
}

// uniform has the levels -n to n-1; the code of l is l+n.
type uniform struct{ n int }

// nearest rounds f16 to even, for |y| < 2^51. For other numbers and NaN it gives some integer.
func nearest(y float64) int {
	const shift = 3 << 51 // as float64, one unit in its last place is 1
	return int(math.Float64bits(y+shift)&(1<<52-1)) - 1<<51
}

func (u uniform) sums(x, w []float64, inv float64) (p, q float64) {
	lo, hi := -u.n, u.n-1
	w = w[:len(x)]
	for i, v := range x {
		l := float64(max(lo, min(hi, nearest(v*inv))))
		wl := w[i] * l
		p += float64(wl * v)
		q += float64(wl * l)
	}
	return p, q
}

func (u uniform) encode(codes []uint8, x []float64, inv float64) {
	lo, hi := -u.n, u.n-1
	for i, v := range x {
		codes[i] = uint8(max(lo, min(hi, nearest(v*inv))) + u.n)
	}
}

// iq4 has the levels of the IQ4 types.
type iq4 struct{}

// iq4Near gives the nearest code and its level for each f16 unit from -128 on: all the midpoints between levels are
// multiples of a half.
var iq4Near = func() (near [512]struct {
	level float64
	code  uint8
}) {
	for i := range near {
		y := float64(i)/2 - 128 + 0.25
		for c, l := range iq4Levels {
			if c == 0 || math.Abs(float64(l)-y) < math.Abs(near[i].level-y) {
				near[i].level, near[i].code = float64(l), uint8(c)
			}
		}
	}
	return near
}()

func iq4Index(y float64) int { return max(0, min(511, int(2*y+256))) }

func (iq4) sums(x, w []float64, inv float64) (p, q float64) {
	w = w[:len(x)]
	for i, v := range x {
		l := iq4Near[iq4Index(v*inv)].level
		wl := w[i] * l
		p += float64(wl * v)
		q += float64(wl * l)
	}
	return p, q
}

func (iq4) encode(codes []uint8, x []float64, inv float64) {
	for i, v := range x {
		codes[i] = iq4Near[iq4Index(v*inv)].code
	}
}

// symmetric searches for the types without minimum.
type symmetric struct {
	levels levels
	zero   uint8     // the code nearest to 0
	tries  []float64 // what the greatest element of a sub-block is brought to, in levels
	sub    int       // elements in a sub-block
	lo, hi int       // of the sub-blocks' integer scales
	pack   func(dst []byte, p *packed)
}

// fit returns the best step for x alone and the weight of the levels there; 0, 0 for zeros.
func (s *symmetric) fit(x, w []float64) (step, weight float64) {
	var v float64
	for _, f := range x {
		if math.Abs(f) > math.Abs(v) {
			v = f
		}
	}
	if v == 0 {
		return 0, 0
	}
	var best float64
	for _, try := range s.tries {
		p, q := s.levels.sums(x, w, try/v)
		if p*p > best*q {
			best, step, weight = p*p/q, p/q, q
		}
	}
	// Once more, with the codes nearest to the step that fits best.
	if step != 0 {
		if p, q := s.levels.sums(x, w, 1/step); p*p > best*q {
			step, weight = p/q, q
		}
	}
	return step, weight
}

// search quantises a super-block.
func (s *symmetric) search(b *packed, x, w *[superBlock]float64) {
	n := superBlock / s.sub
	var steps, weights [16]float64
	for j := range n {
		steps[j], weights[j] = s.fit(x[j*s.sub:][:s.sub], w[j*s.sub:][:s.sub])
	}
	best := math.Inf(1)
	d := s.scale(steps[:n], weights[:n])
	for range 3 {
		f16 := toHalf(d)
		if f16 == 0 || math.Abs(f16) > maxHalf {
			break
		}
		var scales [16]int8
		var cost, p, q float64 // cost less the constant sum(w*x*x)
		for j := range n {
			l, lp, lq := s.integer(x[j*s.sub:][:s.sub], w[j*s.sub:][:s.sub], f16, steps[j])
			f := float64(l)
			scales[j] = int8(l)
			p += float64(f * lp)
			q += float64(f * f * lq)
		}
		cost = float64(f16*f16*q) - float64(2*f16*p)
		if !(cost < best) {
			break
		}
		best, b.d, b.scales = cost, float32(f16), scales
		d = p / q
	}
	if math.IsInf(best, 1) {
		b.d, b.scales = 0, [16]int8{}
	}
	for j := range n {
		codes := b.codes[j*s.sub:][:s.sub]
		if step := float64(b.d) * float64(b.scales[j]); step != 0 {
			s.levels.encode(codes, x[j*s.sub:][:s.sub], 1/step)
		} else {
			for i := range codes {
				codes[i] = s.zero
			}
		}
	}
}

// scale returns the scale whose multiples lie nearest to the steps: the least sum of weight*(step - d*integer)^2.
func (s *symmetric) scale(steps, weights []float64) (d float64) {
	var greatest float64
	for _, v := range steps {
		if math.Abs(v) > math.Abs(greatest) {
			greatest = v
		}
	}
	if greatest == 0 {
		return 0
	}
	best := math.Inf(1)
	try := func(k int) {
		c := greatest / float64(k)
		inv := 1 / c
		var cost float64
		for j, v := range steps {
			e := v - float64(c*float64(max(s.lo, min(s.hi, nearest(v*inv)))))
			cost += float64(weights[j] * float64(e*e))
		}
		if cost < best {
			best, d = cost, c
		}
	}
	for k := range scaleTries {
		try(s.lo + k)
		try(s.hi - k)
	}
	return d
}

// scaleTries is how many integers, from either end of their range, the greatest step is tried at.
const scaleTries = 12

// integer returns the integer scale near step/d that leaves the least error in x, and the sums of its codes.
func (s *symmetric) integer(x, w []float64, d, step float64) (scale int, p, q float64) {
	var best float64
	r := nearest(step / d)
	for l := max(s.lo, r-1); l <= min(s.hi, r+1); l++ {
		if l == 0 {
			continue
		}
		f := float64(l) * d
		lp, lq := s.levels.sums(x, w, 1/f)
		if cost := float64(f*f*lq) - float64(2*f*lp); cost < best {
			best, scale, p, q = cost, l, lp, lq
		}
	}
	return scale, p, q
}

// encode quantises a row.
func (s *symmetric) encode(dst []byte, src, weights []float32, bytes int) {
	var b packed
	var x, w [superBlock]float64
	for ; len(src) >= superBlock; dst, src = dst[bytes:], src[superBlock:] {
		weights = widen(x[:], w[:], src, weights)
		s.search(&b, &x, &w)
		s.pack(dst, &b)
	}
}

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

func toHalf(v float64) float64 { return float64(half.FromF16(half.ToF16(float32(v)))) }

var (
	searchQ3K   = symmetric{uniform{4}, 4, []float64{-3.3, -3.6, -3.9, -4.2, -4.5, -4.8, 2.6, 2.9, 3.2, 3.5, 3.8}, 16, -32, 31, packQ3K}
	searchQ6K   = symmetric{uniform{32}, 32, []float64{-31.2, -31.6, -32, -32.4, -32.8, 30.2, 30.6, 31, 31.4}, 16, -128, 127, packQ6K}
	searchIQ4XS = symmetric{iq4{}, 8, iq4Tries, 32, -32, 31, packIQ4XS}
	iq4Tries    = []float64{-150, -142, -134, -127, -120, -112, -104, -96, -67, 86, 95, 103, 108, 113, 118, 124, 132}
)

func encodeQ3K(dst []byte, src, weights []float32) {
	searchQ3K.encode(dst, src, weights, gguf.Q3_K.BlockBytes())
}
func encodeQ6K(dst []byte, src, weights []float32) {
	searchQ6K.encode(dst, src, weights, gguf.Q6_K.BlockBytes())
}
func encodeIQ4XS(dst []byte, src, weights []float32) {
	searchIQ4XS.encode(dst, src, weights, gguf.IQ4_XS.BlockBytes())
}

// affine searches for the types with a minimum: y = step*code - least, with least >= 0.
type affine struct {
	n     int          // codes are 0 to n
	sub   int          // elements in a sub-block
	most  int          // of the sub-blocks' integer scales and minima, from 0
	tries [][2]float64 // how much of a sub-block's range to cut off below and above, at first
	pack  func(dst []byte, p *packed)
}

// moments are the sums of a sub-block that fits depend on: of w, w*x, w*q, w*q*q and w*q*x.
type moments struct{ w, wx, wq, wqq, wqx float64 }

// quantise takes the codes nearest to (x+least)*inv and adds up their moments.
func (s *affine) quantise(m *moments, x, w []float64, inv, least float64) {
	w = w[:len(x)]
	var wq, wqq, wqx float64
	for i, v := range x {
		q := float64(max(0, min(s.n, nearest(float64((v+least)*inv)))))
		f := w[i] * q
		wq += f
		wqq += float64(f * q)
		wqx += float64(f * v)
	}
	m.wq, m.wqq, m.wqx = wq, wqq, wqx
}

// fit returns the step and the minimum that leave the least error with these codes, and by how much it is below
// sum(w*x*x).
func (m *moments) fit() (step, least, gain float64) {
	det := float64(m.w*m.wqq) - float64(m.wq*m.wq)
	if det > 0 {
		step = (float64(m.w*m.wqx) - float64(m.wx*m.wq)) / det
		least = (float64(m.wq*m.wqx) - float64(m.wqq*m.wx)) / det
	}
	if det <= 0 || least < 0 {
		if m.wqq == 0 {
			return 0, 0, 0
		}
		step, least = m.wqx/m.wqq, 0
	}
	return step, least, float64(step*m.wqx) - float64(least*m.wx)
}

// fit returns the best step and minimum for x alone, and the moments there.
func (s *affine) fit(x, w []float64) (step, least float64, best moments) {
	lo, hi := 0.0, x[0]
	var m moments
	for i, v := range x {
		if v < lo {
			lo = v
		}
		if v > hi {
			hi = v
		}
		m.w += w[i]
		m.wx += float64(w[i] * v)
	}
	if hi <= lo {
		return 0, -lo, m
	}
	var gain float64
	try := func(inv, from float64) bool {
		s.quantise(&m, x, w, inv, from)
		a, b, g := m.fit()
		if !(g > gain*(1+1e-7) && a > 0) {
			return false
		}
		gain, step, least, best = g, a, b, m
		return true
	}
	width := hi - lo
	for _, cut := range s.tries {
		try(float64(s.n)/(width*(1-cut[0]-cut[1])), -(lo + float64(width*cut[0])))
	}
	for range 3 {
		if step == 0 || !try(1/step, least) {
			break
		}
	}
	return step, least, best
}

// search quantises a super-block.
func (s *affine) search(b *packed, x, w *[superBlock]float64) {
	n := superBlock / s.sub
	var steps, leasts [16]float64
	var ms [16]moments
	for j := range n {
		steps[j], leasts[j], ms[j] = s.fit(x[j*s.sub:][:s.sub], w[j*s.sub:][:s.sub])
	}
	d, dmin := s.scales(steps[:n], leasts[:n], ms[:n])
	best := math.Inf(1)
	b.d, b.dmin, b.scales, b.mins = 0, 0, [16]int8{}, [16]uint8{}
	for range 3 {
		if d > maxHalf || dmin > maxHalf {
			break
		}
		var t packed
		var sum normal
		var cost float64
		for j := range n {
			var m moments
			m.w, m.wx = ms[j].w, ms[j].wx
			e := s.integers(&t, j, &m, x[j*s.sub:][:s.sub], w[j*s.sub:][:s.sub], d, dmin, steps[j], leasts[j], &ms[j])
			cost += e
			sum.add(float64(t.scales[j]), float64(t.mins[j]), &m)
		}
		if !(cost < best) {
			break
		}
		best = cost
		b.d, b.dmin, b.scales, b.mins = float32(d), float32(dmin), t.scales, t.mins
		d, dmin = sum.solve()
	}
	for j := range n {
		codes, x := b.codes[j*s.sub:][:s.sub], x[j*s.sub:][:s.sub]
		step, least := float64(b.d)*float64(b.scales[j]), float64(b.dmin)*float64(b.mins[j])
		if step == 0 {
			clear(codes)
			continue
		}
		inv := 1 / step
		for i, v := range x {
			codes[i] = uint8(max(0, min(s.n, nearest(float64((v+least)*inv)))))
		}
	}
}

// scales returns the float16 scales of a super-block whose multiples come nearest to the sub-blocks' own fits: the
// error around a fit is wqq*da^2 - 2*wq*da*db + w*db^2 for a step off by da and a minimum off by db.
func (s *affine) scales(steps, leasts []float64, ms []moments) (d, dmin float64) {
	var step, least float64
	for j := range steps {
		step, least = max(step, steps[j]), max(least, leasts[j])
	}
	best := math.Inf(1)
	for k := range affineTries {
		a := toHalf(step / float64(s.most-k))
		if a == 0 && k > 0 {
			break
		}
		for l := range affineTries {
			b := toHalf(least / float64(s.most-l))
			if b == 0 && l > 0 {
				break
			}
			var cost float64
			for j := range steps {
				da := float64(a*float64(s.multiple(steps[j], a))) - steps[j]
				m := &ms[j]
				// The minimum that suits the step as rounded.
				want := leasts[j]
				if m.w > 0 {
					want += m.wq / m.w * da
				}
				db := float64(b*float64(s.multiple(want, b))) - leasts[j]
				cost += float64(m.wqq*float64(da*da)) - float64(2*m.wq*float64(da*db)) + float64(m.w*float64(db*db))
			}
			if cost < best {
				best, d, dmin = cost, a, b
			}
		}
	}
	return d, dmin
}

const affineTries = 4

// multiple returns v in units of d, as an integer scale.
func (s *affine) multiple(v, d float64) int {
	if d == 0 {
		return 0
	}
	return max(0, min(s.most, nearest(v/d)))
}

// integers finds the integer scale and minimum of sub-block j that leave the least error, writes them to t, fills in the
// moments of their codes and returns the error less sum(w*x*x).
func (s *affine) integers(t *packed, j int, m *moments, x, w []float64, d, dmin, step, least float64, fitted *moments) (cost float64) {
	r := s.multiple(step, d)
	slope := 0.0
	if fitted.w > 0 {
		slope = fitted.wq / fitted.w
	}
	cost = math.Inf(1)
	var c moments
	c.w, c.wx = m.w, m.wx
	for k := max(0, r-1); k <= min(s.most, r+1); k++ {
		a := d * float64(k)
		centre := s.multiple(least+float64(slope*(a-step)), dmin)
		for l := max(0, centre-1); l <= min(s.most, centre+1); l++ {
			b := dmin * float64(l)
			if a == 0 {
				c.wq, c.wqq, c.wqx = 0, 0, 0
			} else {
				s.quantise(&c, x, w, 1/a, b)
			}
			if e := c.cost(a, b); e < cost {
				cost, *m = e, c
				t.scales[j], t.mins[j] = int8(k), uint8(l)
			}
			if dmin == 0 {
				break
			}
		}
		if d == 0 {
			break
		}
	}
	return cost
}

// cost returns the error at a step and a minimum, less sum(w*x*x): of (a*q - b - x)^2.
func (m *moments) cost(a, b float64) float64 {
	return float64(a*a*m.wqq) + float64(b*b*m.w) - float64(2*a*b*m.wq) - float64(2*a*m.wqx) + float64(2*b*m.wx)
}

// normal are the normal equations of a super-block's two scales: y = d*(scale*q) - dmin*min.
type normal struct{ aa, ab, bb, ax, bx float64 }

func (n *normal) add(scale, least float64, m *moments) {
	n.aa += float64(scale * scale * m.wqq)
	n.ab += float64(scale * least * m.wq)
	n.bb += float64(least * least * m.w)
	n.ax += float64(scale * m.wqx)
	n.bx += float64(least * m.wx)
}

// solve returns the float16 scales of least error.
func (n *normal) solve() (d, dmin float64) {
	det := float64(n.aa*n.bb) - float64(n.ab*n.ab)
	if det > 0 {
		d = (float64(n.bb*n.ax) - float64(n.ab*n.bx)) / det
		dmin = (float64(n.ab*n.ax) - float64(n.aa*n.bx)) / det
	}
	if det <= 0 || d < 0 || dmin < 0 {
		d, dmin = 0, 0
		if n.aa > 0 {
			d = max(0, n.ax/n.aa)
		}
	}
	return toHalf(d), toHalf(dmin)
}

func (s *affine) encode(dst []byte, src, weights []float32, bytes int) {
	var b packed
	var x, w [superBlock]float64
	for ; len(src) >= superBlock; dst, src = dst[bytes:], src[superBlock:] {
		weights = widen(x[:], w[:], src, weights)
		s.search(&b, &x, &w)
		s.pack(dst, &b)
	}
}

var (
	searchQ2K = affine{3, 16, 15, [][2]float64{{0, 0}, {.1, 0}, {0, .1}, {.1, .1}, {.2, .1}, {.1, .2}, {.2, .2}, {.3, .1}, {.1, .3}}, packQ2K}
	searchQ4K = affine{15, 32, 63, [][2]float64{{0, 0}, {.05, 0}, {0, .05}, {.05, .05}, {.1, .05}, {.05, .1}, {.1, .1}, {0, -1. / 14}, {0, -2. / 13}, {0, -3. / 12}}, packQ4K}
	searchQ5K = affine{31, 32, 63, [][2]float64{{0, 0}, {.025, 0}, {0, .025}, {.025, .025}, {.05, .025}, {.025, .05}, {0, -1. / 30}, {0, -2. / 29}, {0, -3. / 28}}, packQ5K}
)

func encodeQ2K(dst []byte, src, weights []float32) {
	searchQ2K.encode(dst, src, weights, gguf.Q2_K.BlockBytes())
}
func encodeQ4K(dst []byte, src, weights []float32) {
	searchQ4K.encode(dst, src, weights, gguf.Q4_K.BlockBytes())
}
func encodeQ5K(dst []byte, src, weights []float32) {
	searchQ5K.encode(dst, src, weights, gguf.Q5_K.BlockBytes())
}

// searchIQ4NL fits one float16 scale per block of 32.
var searchIQ4NL = symmetric{levels: iq4{}, zero: 8, tries: iq4Tries, sub: block32}

func encodeIQ4NL(dst []byte, src, weights []float32) {
	var x, w [superBlock]float64
	var codes [block32]uint8
	for ; len(src) >= block32; dst, src = dst[gguf.IQ4_NL.BlockBytes():], src[block32:] {
		weights = widen(x[:block32], w[:block32], src, weights)
		d := searchIQ4NL.single(codes[:], x[:block32], w[:block32])
		putHalf(dst, float32(d))
		packNibbles(dst[2:], &codes)
	}
}

// single quantises a block with a float16 scale of its own, which it returns.
func (s *symmetric) single(codes []uint8, x, w []float64) (d float64) {
	var best float64
	step, _ := s.fit(x, w)
	for range 3 {
		f16 := toHalf(step)
		if f16 == 0 || math.Abs(f16) > maxHalf {
			break
		}
		p, q := s.levels.sums(x, w, 1/f16)
		cost := float64(f16*f16*q) - float64(2*f16*p)
		if !(cost < best) {
			break
		}
		best, d, step = cost, f16, p/q
	}
	if d == 0 {
		for i := range codes {
			codes[i] = s.zero
		}
		return 0
	}
	s.levels.encode(codes, x, 1/d)
	return d
}
