package quantize

import "math"

// affine searches for the types with a minimum: y = step*code - least, with least >= 0.
type affine struct {
	n     int          // codes are 0 to n
	sub   int          // elements in a sub-block
	most  int          // of the sub-blocks' integer scales and minima, from 0
	tries [][2]float64 // how much of a sub-block's range to cut off below and above, at first
}

var (
	searchQ2K = affine{3, 16, 15, cuts(3, -.1, .1, .3)}
	searchQ4K = affine{15, 32, 63, cuts(15, -.02, .02, .06, .1)}
	searchQ5K = affine{31, 32, 63, cuts(31, -.01, .01, .03)}
)

// cuts returns all pairs of some cuts, and those that stretch the range to a few more codes than the numbers need:
// numbers on a lattice of fewer levels are then hit exactly.
func cuts(n int, some ...float64) (all [][2]float64) {
	for _, a := range some {
		for _, b := range some {
			all = append(all, [2]float64{a, b})
		}
	}
	for k := range min(6, (n+3)/3) {
		all = append(all, [2]float64{0, -float64(k) / float64(n-k)})
	}
	return all
}

// moments are the sums over a sub-block with codes q that fits depend on: of w, w*x, w*q, w*q*q and w*q*x.
type moments struct{ w, wx, wq, wqq, wqx float64 }

// fit returns the step and the minimum that leave the least error with these codes, and how much less than sum(w*x*x) it
// is.
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

// cost returns the error at a step and a minimum, of (step*q - least - x)^2, less sum(w*x*x).
func (m *moments) cost(step, least float64) float64 {
	quadratic := float64(float64(step*step)*m.wqq) + float64(float64(least*least)*m.w) - float64(2*float64(step*least)*m.wq)
	return quadratic - float64(2*step*m.wqx) + float64(2*least*m.wx)
}

// quantise takes the codes nearest to (x+least)*inv and sets their moments.
func (s *affine) quantise(m *moments, x, w []float64, inv, least float64) {
	n := s.n
	w = w[:len(x)]
	var wq, wqq, wqx float64
	for i, v := range x {
		q := float64(max(0, min(n, nearest(float64((v+least)*inv)))))
		f := float64(w[i] * q)
		wq += f
		wqq += float64(f * q)
		wqx += float64(f * v)
	}
	m.wq, m.wqq, m.wqx = wq, wqq, wqx
}

// affineFit is a sub-block's step and minimum with the moments of the codes they fit.
type affineFit struct {
	step, least, gain float64
	m                 moments
	ambiguous         bool
}

func (f *affineFit) better(g *affineFit) bool { return f.step > 0 && f.gain > g.gain*notice }

// try fits the codes nearest to (x+least)*inv; m has the sums that don't depend on codes.
func (s *affine) try(m *moments, x, w []float64, inv, least float64) affineFit {
	f := affineFit{m: *m}
	s.quantise(&f.m, x, w, inv, least)
	f.step, f.least, f.gain = f.m.fit()
	return f
}

// fit returns the best step and minimum for x alone.
func (s *affine) fit(x, w []float64) affineFit {
	var m moments
	lo, hi := 0.0, x[0]
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
		return affineFit{least: -lo, m: m}
	}
	var top [starts]affineFit // the best first
	width := hi - lo
	for _, cut := range s.tries {
		t := s.try(&m, x, w, float64(s.n)/(width*(1-cut[0]-cut[1])), -(lo + float64(width*cut[0])))
		for i := range top {
			if t.better(&top[i]) {
				t, top[i] = top[i], t
			}
		}
	}
	best := top[0]
	for _, t := range top {
		for range refinements {
			if t.step == 0 {
				break
			}
			u := s.try(&m, x, w, 1/t.step, t.least)
			if !u.better(&t) {
				break
			}
			t = u
		}
		if t.better(&best) {
			best = t
		}
	}
	if best.step == 0 {
		return affineFit{m: m}
	}
	return best
}

// search quantises a super-block.
func (s *affine) search(b *packed, x, w *[superBlock]float64) {
	var storage [16]affineFit
	fits := storage[:superBlock/s.sub]
	tries := 1
	if spiky(x, w) {
		tries = mostScales
	}
	for j := range fits {
		part := x[j*s.sub:][:s.sub]
		fits[j] = s.fit(part, w[j*s.sub:][:s.sub])
		if fits[j].ambiguous = ambiguous(part, s.n); fits[j].ambiguous {
			tries = mostScales
		}
	}
	var best float64
	b.d, b.dmin, b.scales, b.mins = 0, 0, [16]int8{}, [16]uint8{}
	scales := s.scales(fits)
	for _, d := range scales.first(tries) {
		s.descend(b, &best, x, w, fits, d[0], d[1])
	}
	for j := range fits {
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

// descend finds the integer scales and minima for d and dmin, better ones for these, and so on; what costs less than best
// goes into b.
func (s *affine) descend(b *packed, best *float64, x, w *[superBlock]float64, fits []affineFit, d, dmin float64) {
	before := math.Inf(1)
	for range descents {
		if d > maxHalf || dmin > maxHalf {
			return
		}
		var t packed
		var sum normal
		var cost float64
		for j := range fits {
			k, l, m := s.integers(&fits[j], x[j*s.sub:][:s.sub], w[j*s.sub:][:s.sub], d, dmin)
			t.scales[j], t.mins[j] = int8(k), uint8(l)
			cost += m.cost(d*float64(k), dmin*float64(l))
			sum.add(float64(k), float64(l), &m)
		}
		if cost >= before {
			return
		}
		before = cost
		if cost < *best {
			*best = cost
			b.d, b.dmin, b.scales, b.mins = float32(d), float32(dmin), t.scales, t.mins
		}
		nextD, nextMin := sum.solve()
		if nextD == d && nextMin == dmin {
			return
		}
		d, dmin = nextD, nextMin
	}
}

// scales returns the float16 scales of a super-block whose multiples come nearest to the sub-blocks' own fits: the error
// around a fit is wqq*da^2 - 2*wq*da*db + w*db^2 for a step off by da and a minimum off by db.
func (s *affine) scales(fits []affineFit) (all ranking[[2]float64]) {
	var step, least float64
	for j := range fits {
		step, least = max(step, fits[j].step), max(least, fits[j].least)
	}
	for k := range s.tops(step) {
		a := toHalf(step / float64(s.most-k))
		for l := range s.tops(least) {
			b := toHalf(least / float64(s.most-l))
			var cost float64
			for j := range fits {
				f := &fits[j]
				da := float64(a*float64(s.multiple(f.step, a))) - f.step
				db := float64(b*float64(s.multiple(f.least+float64(f.slope()*da), b))) - f.least
				cost += float64(f.m.wqq*float64(da*da)) - float64(2*f.m.wq*float64(da*db)) + float64(f.m.w*float64(db*db))
			}
			all.add(cost, [2]float64{a, b})
		}
	}
	return all
}

// tops returns how many integers, from the greatest down, the greatest of the steps or minima is brought to.
func (s *affine) tops(greatest float64) int {
	switch d := greatest / float64(s.most); {
	case d >= leastNormalHalf:
		return 4
	case d >= leastNormalHalf/64:
		return min(12, s.most)
	default: // the fewer bits the scale has, the more its rounding matters
		return s.most * 3 / 4
	}
}

// slope returns how much the best minimum grows with the step.
func (f *affineFit) slope() float64 {
	if f.m.w == 0 {
		return 0
	}
	return f.m.wq / f.m.w
}

// multiple returns v in units of d, as an integer scale.
func (s *affine) multiple(v, d float64) int {
	if d == 0 {
		return 0
	}
	return max(0, min(s.most, nearest(v/d)))
}

// integers finds the integer scale and minimum near the fit that leave the least error, with the moments of their codes:
// some scales, each with the minimum that suits it, and then a way up or down with the minimum.
func (s *affine) integers(f *affineFit, x, w []float64, d, dmin float64) (scale, least int, m moments) {
	best := math.Inf(1)
	c := f.m
	try := func(k, l int) bool {
		if k < 0 || k > s.most || l < 0 || l > s.most {
			return false
		}
		a, b := d*float64(k), dmin*float64(l)
		if a == 0 {
			c.wq, c.wqq, c.wqx = 0, 0, 0
		} else {
			s.quantise(&c, x, w, 1/a, b)
		}
		cost := c.cost(a, b)
		if cost >= best {
			return false
		}
		best, scale, least, m = cost, k, l, c
		return true
	}
	r := s.multiple(f.step, d)
	from, to := r-1, r+1
	if f.ambiguous {
		from, to = 0, s.most
	}
	for k := from; k <= to; k++ {
		try(k, s.multiple(f.least+float64(f.slope()*(d*float64(k)-f.step)), dmin))
	}
	for _, by := range [...]int{-1, 1} {
		for n := 0; n < 2 && dmin != 0 && try(scale, least+by); n++ {
		}
	}
	return scale, least, m
}

// normal are the normal equations of a super-block's two scales, y = d*(scale*q) - dmin*min.
type normal struct{ aa, ab, bb, ax, bx float64 }

func (n *normal) add(scale, least float64, m *moments) {
	n.aa += float64(float64(scale*scale) * m.wqq)
	n.ab += float64(float64(scale*least) * m.wq)
	n.bb += float64(float64(least*least) * m.w)
	n.ax += float64(scale * m.wqx)
	n.bx += float64(least * m.wx)
}

// solve returns the scales of least error, in float16.
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
