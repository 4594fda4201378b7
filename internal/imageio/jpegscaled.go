package imageio

import (
	"math"
	"runtime"
	"sort"
	"sync"
)

// Scaled decoding: each sample is the mean of what would be 2 x 2, 4 x 4 or 8 x 8 of them, computed from the coefficients at once. The
// highest weigh next to nothing in a mean, and are left out. Subsampled chroma stays subsampled. What remains is mostly the reading
// of codes, which two goroutines share.

// scaleFor returns how many samples to make of 8 so that the short side has at least `side`: 8 (all), 4, 2 or 1. side 0 means all.
func scaleFor(w, h, side int) int {
	for _, n := range []int{1, 2, 4} {
		if side > 0 && ceilDiv(min(w, h)*n, 8) >= side {
			return n
		}
	}
	return 8
}

// scaledBasis has the weights of coefficients u in the means of 8/n samples of an inverse DCT, [n][x][u], 12 fraction bits:
//
//	mean over i of c(u) cos((2(8/n x + i) + 1) u pi / 16) / 2, c(0) = sqrt(1/2), else 1
var scaledBasis = sync.OnceValue(func() *[9][8][8]int32 {
	var all [9][8][8]int32
	for _, n := range []int{1, 2, 4, 8} {
		for x := range n {
			for u := range 8 {
				sum := 0.0
				for i := range 8 / n {
					sum += math.Cos(float64((2*(8/n*x+i)+1)*u) * math.Pi / 16)
				}
				if u == 0 {
					sum *= math.Sqrt2 / 2
				}
				all[n][x][u] = int32(math.Round(sum / 2 / float64(8/n) * (1 << 12)))
			}
		}
	}
	return &all
})

// keptCoefficients is how many coefficients along an axis are used for n means: none but the lowest in the mean of all.
func keptCoefficients(n int) int {
	if n == 1 {
		return 1
	}
	return min(8, 2*n)
}

// scaledIDCT makes n x n means of a dequantised block [8, 8] at dst.
func scaledIDCT(block *[64]int32, n int, dst []byte, stride int) {
	if n == 1 {
		dst[0] = clip8((block[0]+4)>>3 + 128)
		return
	}
	basis, kept := &scaledBasis()[n], keptCoefficients(n)
	const pass1 = 5 // fraction bits kept between the passes
	var columns [64]int32
	for u := range kept {
		for y := range n {
			sum := int32(1) << (12 - pass1 - 1)
			for v, weight := range basis[y][:kept] {
				sum += weight * block[(8*v+u)&63]
			}
			columns[(8*y+u)&63] = sum >> (12 - pass1)
		}
	}
	for y := range n {
		row, out := columns[8*y:8*y+kept], dst[y*stride:y*stride+n]
		for x := range out {
			sum := int32(1)<<(12+pass1-1) + 128<<(12+pass1)
			for u, weight := range basis[x][:len(row)] {
				sum += weight * row[u]
			}
			out[x] = clip8(sum >> (12 + pass1))
		}
	}
}

// lowRun reads the MCUs of a baseline scan one after another and keeps the lowest coefficients of each block.
type lowRun struct {
	s      *scanParams
	r      bitReader
	dc     []int   // prediction of each component
	low    []int16 // of every block [k, k], not dequantised
	starts []int   // the bit at which each MCU begins, if that is asked for
}

// position counts bits from the beginning of the interval.
func (w *lowRun) position() int { return 8*(w.r.at+w.r.over) - int(w.r.n) }

func (w *lowRun) mcu() {
	coeffs := &w.s.coeffs
	for i, c := range w.s.comps {
		for range w.s.blocksOf(c) {
			w.dc[i] += w.r.difference(w.s.dc[i])
			w.low = append(w.low, int16(w.dc[i]))
			if c.side == 1 {
				w.r.skipCoefficients(w.s.ac[i])
				continue
			}
			*coeffs = [64]int16{}
			w.r.coefficients(w.s.ac[i], coeffs)
			kept := keptCoefficients(c.side)
			for v := range kept {
				for u := range kept {
					if u+v > 0 {
						w.low = append(w.low, coeffs[unzigzag[8*v+u]])
					}
				}
			}
		}
	}
}

// kept is how many coefficients of each block are used.
func (c *jpegComponent) kept() int { return keptCoefficients(c.side) * keptCoefficients(c.side) }

// blocksOf is how many blocks of a component an MCU of the scan has.
func (s *scanParams) blocksOf(c *jpegComponent) int {
	if len(s.comps) == 1 {
		return 1
	}
	return c.sampH * c.sampV
}

// lowCoefficients reads all of a baseline scan's n MCUs without restarts: [n][blocks][k, k].
//
// A second goroutine begins in the middle, at a bit that is hardly ever the first of an MCU, and reads nonsense. But the codes of
// JPEG fall into step: soon it begins an MCU where there is one. When the first goroutine comes to an MCU that the second has begun,
// too, the rest is known but for the DC coefficients, which lack the sum of the differences before. If that never happens, the first
// reads on to the end.
func (s *scanParams) lowCoefficients(n int) ([]int16, error) {
	perMCU := 0
	for _, c := range s.comps {
		perMCU += s.blocksOf(c) * c.kept()
	}
	for _, h := range s.ac {
		h.skipTable()
	}
	run := func(r bitReader) *lowRun {
		own := *s // its coeffs are scratch space
		return &lowRun{s: &own, r: r, dc: make([]int, len(s.comps))}
	}
	first := run(s.r)
	first.low = make([]int16, 0, n*perMCU)
	const worthwhile = 1 << 16 // bytes
	middle := first.r.end / 2
	var second *lowRun
	ended := make(chan any, 1) // gets what the second goroutine panicked with, or nil
	wait := func() {
		if p := <-ended; p != nil {
			panic(p) // where Decode catches it
		}
	}
	if runtime.GOMAXPROCS(0) > 1 && first.r.end > worthwhile {
		second = run(s.r)
		second.r.at = middle
		go func() {
			defer func() { ended <- recover() }()
			second.readOn(n)
		}()
	} else {
		ended <- nil
	}
	for m := 0; m < n && (second == nil || first.position() < 8*middle); m++ {
		first.mcu()
	}
	wait()
	for m := len(first.low) / perMCU; m < n; m++ {
		if second != nil {
			start := first.position()
			if i := sort.SearchInts(second.starts, start); i < len(second.starts) && second.starts[i] == start {
				m += first.join(second, i, n-m, perMCU)
				second = nil
				if m == n {
					break
				}
			}
		}
		first.mcu()
		if first.r.truncated() {
			return nil, errTruncated
		}
	}
	if first.r.truncated() {
		return nil, errTruncated
	}
	s.r = first.r
	return first.low, nil
}

// readOn reads up to n MCUs that end within the interval.
func (w *lowRun) readOn(n int) {
	for range n {
		kept, r, start := len(w.low), w.r, w.position()
		dc := [4]int{}
		copy(dc[:], w.dc)
		w.mcu()
		if w.position() > 8*w.r.end {
			w.low, w.r = w.low[:kept], r
			copy(w.dc, dc[:])
			return
		}
		w.starts = append(w.starts, start)
	}
}

// join appends the MCUs of other from the i-th on, n at most, and goes on where it ended. It returns how many those were.
func (w *lowRun) join(other *lowRun, i, n, perMCU int) int {
	n = min(n, len(other.starts)-i)
	added := other.low[i*perMCU : (i+n)*perMCU]
	before := other.low[:i*perMCU]
	at := 0 // of a component's first block in an MCU
	for c, comp := range w.s.comps {
		blocks, size := w.s.blocksOf(comp), comp.kept()
		prediction := int16(0)
		if i > 0 {
			prediction = before[len(before)-perMCU+at+(blocks-1)*size]
		}
		offset := int16(w.dc[c]) - prediction
		for m := range n {
			for b := range blocks {
				added[m*perMCU+at+b*size] += offset
			}
		}
		if n > 0 {
			w.dc[c] = int(added[(n-1)*perMCU+at+(blocks-1)*size])
		}
		at += blocks * size
	}
	w.low = append(w.low, added...)
	if i+n == len(other.starts) {
		w.r = other.r
	} else {
		w.r.at, w.r.n, w.r.acc = w.r.end, 0, 0 // nothing more is read
	}
	return n
}

// scaledMCUs decodes a baseline scan of all components at once, without restarts, to scaled samples.
func (j *jpegReader) scaledMCUs(s *scanParams) error {
	w, h := j.scanSize(s)
	low, err := s.lowCoefficients(w * h)
	if err != nil {
		return err
	}
	perRow := len(low) / h
	inParallel(h, j.w*j.h>>20, func(from, to int) {
		for y := from; y < to; y++ {
			j.scaledRow(s, low[y*perRow:(y+1)*perRow], w, y)
		}
	})
	return nil
}

// scaledRow transforms a row of w MCUs.
func (j *jpegReader) scaledRow(s *scanParams, low []int16, w, y int) {
	var block [64]int32
	for x := range w {
		for _, c := range s.comps {
			quant, kept := j.quant[c.quant], keptCoefficients(c.side)
			for b := range s.blocksOf(c) {
				bx, by := x, y
				if len(s.comps) > 1 {
					bx, by = x*c.sampH+b%c.sampH, y*c.sampV+b/c.sampH
				}
				for v := range kept {
					for u, value := range low[v*kept : (v+1)*kept] {
						block[8*v+u] = int32(value) * quant[unzigzag[8*v+u]]
					}
				}
				low = low[kept*kept:]
				c.transform(&block, 63, bx, by)
			}
		}
	}
}

// unzigzag is the place in file order of each coefficient of a block [8, 8].
var unzigzag = func() (order [64]uint8) {
	for k, at := range zigzag {
		order[at] = uint8(k)
	}
	return order
}()

// lastNeeded is the place in file order of the last coefficient that a component's samples are made of.
func (c *jpegComponent) lastNeeded() int {
	last := uint8(0)
	for v := range keptCoefficients(c.side) {
		for u := range keptCoefficients(c.side) {
			last = max(last, unzigzag[8*v+u])
		}
	}
	return int(last)
}

// inParallel splits n rows over at most `threads` goroutines. Their panics come out here, where Decode catches them.
func inParallel(n, threads int, f func(from, to int)) {
	threads = max(1, min(runtime.GOMAXPROCS(0), threads, n))
	panics := make(chan any, threads)
	for i := range threads {
		go func() {
			defer func() { panics <- recover() }()
			f(n*i/threads, n*(i+1)/threads)
		}()
	}
	var first any
	for range threads {
		if p := <-panics; p != nil {
			first = p
		}
	}
	if first != nil {
		panic(first)
	}
}
