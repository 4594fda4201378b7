package quantize

import "math"

// symmetric searches for the types without a minimum: y = step*level.
type symmetric struct {
	levels levels
	zero   uint8     // the code nearest to 0
	tries  []float64 // what the greatest element of a sub-block is brought to, in levels
	sub    int       // elements in a sub-block
	lo, hi int       // of the sub-blocks' integer scales
	side   int       // levels on either side of 0, about
}

var (
	searchQ3K   = symmetric{uniform{4}, 4, []float64{-3.2, -3.7, -4.2, -4.7, -5.2, -5.7, -6.2, 2.5, 3, 3.5, 4, 4.5, 5}, 16, -32, 31, 4}
	searchQ6K   = symmetric{uniform{32}, 32, []float64{-31.2, -31.6, -32, -32.4, -32.8, 30.2, 30.6, 31, 31.4}, 16, -128, 127, 32}
	searchIQ4XS = symmetric{iq4{}, 8, iq4Tries, 32, -32, 31, 8}
	searchIQ4NL = symmetric{levels: iq4{}, zero: 8, tries: iq4Tries, sub: block32}
	// Mostly around the outermost levels; 67 and 86 suit numbers of two values of opposite sign.
	iq4Tries = []float64{-150, -142, -134, -127, -120, -112, -104, -96, -67, 86, 95, 103, 108, 113, 118, 124, 132}
)

// levels is a set of levels that codes stand for.
type levels interface {
	// sums takes for each x the level l nearest to x*inv.
	sums(x, w []float64, inv float64) sums
	// encode writes the codes of the levels nearest to x*inv.
	encode(codes []uint8, x []float64, inv float64)
}

// sums are p = sum(w*x*l) and q = sum(w*l*l) over a sub-block with levels l. The step p/q leaves the least error,
// sum(w*x*x) - p*p/q.
type sums struct{ p, q float64 }

// better reports whether a leaves less error than b.
func (a sums) better(b sums) bool {
	return a.q > 0 && (b.q == 0 || float64(a.p*a.p)*b.q > float64(b.p*b.p)*a.q*notice)
}

// cost returns the error at a step, less sum(w*x*x).
func (a sums) cost(step float64) float64 {
	return float64(float64(step*step)*a.q) - float64(2*step*a.p)
}

// uniform has the levels -n to n-1; the code of l is l+n.
type uniform struct{ n int }

func (u uniform) sums(x, w []float64, inv float64) (s sums) {
	lo, hi := -u.n, u.n-1
	w = w[:len(x)]
	for i, v := range x {
		l := float64(max(lo, min(hi, nearest(v*inv))))
		wl := w[i] * l
		s.p += float64(wl * v)
		s.q += float64(wl * l)
	}
	return s
}

func (u uniform) encode(codes []uint8, x []float64, inv float64) {
	lo, hi := -u.n, u.n-1
	for i, v := range x {
		codes[i] = uint8(max(lo, min(hi, nearest(v*inv))) + u.n)
	}
}

// iq4 has the levels of the IQ4 types.
type iq4 struct{}

// iq4Near gives the nearest code and its level for each half unit from -128 on: all midpoints between levels are
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

func iq4Index(y float64) int { return max(0, min(len(iq4Near)-1, int(2*y+256))) }

func (iq4) sums(x, w []float64, inv float64) (s sums) {
	w = w[:len(x)]
	for i, v := range x {
		l := iq4Near[iq4Index(float64(v*inv))].level
		wl := w[i] * l
		s.p += float64(wl * v)
		s.q += float64(wl * l)
	}
	return s
}

func (iq4) encode(codes []uint8, x []float64, inv float64) {
	for i, v := range x {
		codes[i] = iq4Near[iq4Index(float64(v*inv))].code
	}
}

// fit returns the sums for the best step for x alone, zeros if x has nothing else.
func (s *symmetric) fit(x, w []float64) sums {
	var v float64
	for _, f := range x {
		if math.Abs(f) > math.Abs(v) {
			v = f
		}
	}
	if v == 0 {
		return sums{}
	}
	var top [starts]sums // the best first
	for _, try := range s.tries {
		t := s.levels.sums(x, w, try/v)
		for i := range top {
			if t.better(top[i]) {
				t, top[i] = top[i], t
			}
		}
	}
	best := top[0]
	for _, t := range top {
		for range refinements {
			if t.p == 0 || t.q == 0 {
				break
			}
			u := s.levels.sums(x, w, t.q/t.p)
			if !u.better(t) {
				break
			}
			t = u
		}
		if t.better(best) {
			best = t
		}
	}
	return best
}

// symmetricFit is what each sub-block of a super-block wants for itself.
type symmetricFit struct {
	steps, weights [16]float64 // the best step, and how much an error in it costs
	ambiguous      [16]bool
}

// search quantises a super-block.
func (s *symmetric) search(b *packed, x, w *[superBlock]float64) {
	n := superBlock / s.sub
	var fit symmetricFit
	tries := 1
	if spiky(x, w) {
		tries = mostScales
	}
	for j := range n {
		part := x[j*s.sub:][:s.sub]
		if f := s.fit(part, w[j*s.sub:][:s.sub]); f.q > 0 {
			fit.steps[j], fit.weights[j] = f.p/f.q, f.q
		}
		if fit.ambiguous[j] = ambiguous(part, s.side); fit.ambiguous[j] {
			tries = mostScales
		}
	}
	var best float64
	b.d, b.scales = 0, [16]int8{}
	scales := s.scales(&fit)
	for _, d := range scales.first(tries) {
		s.descend(b, &best, x, w, &fit, d)
	}
	for j := range n {
		s.encode(b.codes[j*s.sub:][:s.sub], x[j*s.sub:][:s.sub], float64(b.d)*float64(b.scales[j]))
	}
}

// descend finds the integer scales for d, a better d for these, and so on; what costs less than best goes into b.
func (s *symmetric) descend(b *packed, best *float64, x, w *[superBlock]float64, fit *symmetricFit, d float64) {
	least := math.Inf(1)
	for range descents {
		if d == 0 || math.Abs(d) > maxHalf {
			return
		}
		var scales [16]int8
		var all sums // in units of d
		for j := range superBlock / s.sub {
			l, t := s.integer(x[j*s.sub:][:s.sub], w[j*s.sub:][:s.sub], d, fit.steps[j], fit.ambiguous[j])
			f := float64(l)
			scales[j] = int8(l)
			all.p += float64(f * t.p)
			all.q += float64(float64(f*f) * t.q)
		}
		cost := all.cost(d)
		if cost >= least {
			return
		}
		least = cost
		if cost < *best {
			*best, b.d, b.scales = cost, float32(d), scales
		}
		next := toHalf(all.p / all.q)
		if next == d {
			return
		}
		d = next
	}
}

func (s *symmetric) encode(codes []uint8, x []float64, step float64) {
	if step != 0 {
		s.levels.encode(codes, x, 1/step)
		return
	}
	for i := range codes {
		codes[i] = s.zero
	}
}

// scales returns the float16 scales whose multiples lie nearest to the steps, the best first: those of the least sum of
// weight*(step - d*integer)^2.
func (s *symmetric) scales(fit *symmetricFit) (all ranking[float64]) {
	var greatest float64
	for _, v := range fit.steps {
		if math.Abs(v) > math.Abs(greatest) {
			greatest = v
		}
	}
	tries := 12                                       // how many integers, from either end of their range, the greatest step is brought to
	switch d := math.Abs(greatest) / float64(s.hi); { // the fewer bits the scale has, the more its rounding matters
	case d < leastNormalHalf/64:
		tries = s.hi
	case d < leastNormalHalf:
		tries = 24
	}
	for k := range 2 * tries {
		l := s.lo + k/2
		if k%2 == 1 {
			l = s.hi - k/2
		}
		d := toHalf(greatest / float64(l))
		if d == 0 {
			continue
		}
		inv := 1 / d
		var cost float64
		for j, v := range fit.steps {
			e := v - float64(d*float64(max(s.lo, min(s.hi, nearest(v*inv)))))
			cost += float64(fit.weights[j] * float64(e*e))
		}
		all.add(cost, d)
	}
	return all
}

// integer returns the integer scale near step/d that leaves the least error in x, and the sums of its codes.
func (s *symmetric) integer(x, w []float64, d, step float64, ambiguous bool) (scale int, best sums) {
	r := nearest(step / d)
	from, to := max(s.lo, r-1), min(s.hi, r+1)
	if ambiguous {
		from, to = s.lo, s.hi
	}
	var least float64
	for l := from; l <= to; l++ {
		if l == 0 {
			continue
		}
		f := float64(l) * d
		t := s.levels.sums(x, w, 1/f)
		if cost := t.cost(f); cost < least {
			least, scale, best = cost, l, t
		}
	}
	return scale, best
}

// single quantises a block with a float16 scale of its own, which it returns.
func (s *symmetric) single(codes []uint8, x, w []float64) (d float64) {
	var best float64
	t := s.fit(x, w)
	for range descents {
		if t.q == 0 {
			break
		}
		f16 := toHalf(t.p / t.q)
		if f16 == 0 || math.Abs(f16) > maxHalf {
			break
		}
		t = s.levels.sums(x, w, 1/f16)
		cost := t.cost(f16)
		if cost >= best {
			break
		}
		best, d = cost, f16
	}
	s.encode(codes, x, d)
	return d
}
