package imageio

import (
	"runtime"
	"sync"
)

// bands decodes a large baseline scan on all processors. One goroutine reads the codes, a band (a row of MCUs) at a time; the others
// transform its blocks, and put the pixels of a band together once its neighbours are there as well, whose chroma it interpolates.
type bands struct {
	j       *jpegReader
	s       *scanParams
	picture *Picture
	ycc     bool
	across  int // MCUs in a band
	band    bandBlocks
	free    chan bandBlocks // buffers, so that the reading can't run far ahead
	full    chan bandBlocks
	workers sync.WaitGroup

	mu          sync.Mutex
	transformed []bool
	composed    []bool
	failure     any // what a worker panicked with
}

// bandBlocks are the coefficients of a band's blocks in the order of the scan, [blocks, 64] in file order, not dequantised.
type bandBlocks struct {
	y      int
	coeffs []int16
	last   []uint8 // of each block, the place of the last coefficient that may not be 0
}

// newBands starts the workers, or returns nil for a scan that is not worth it.
func (j *jpegReader) newBands(s *scanParams, across, down int) *bands {
	const worthwhile = 1 << 19 // pixels
	if j.progressive || j.outW != j.w || len(s.comps) != len(j.comps) || j.w*j.h < worthwhile || runtime.GOMAXPROCS(0) < 2 {
		return nil
	}
	blocks := 0
	for _, c := range s.comps {
		blocks += across * s.blocksOf(c)
	}
	workers := runtime.GOMAXPROCS(0)
	b := &bands{j: j, s: s, across: across, free: make(chan bandBlocks, workers+2), full: make(chan bandBlocks, workers+2),
		transformed: make([]bool, down), composed: make([]bool, down)}
	b.picture, b.ycc = j.newPicture()
	for range cap(b.free) {
		b.free <- bandBlocks{coeffs: make([]int16, 64*blocks), last: make([]uint8, 0, blocks)}
	}
	for range workers {
		b.workers.Go(b.work)
	}
	return b
}

// begin makes room for band y.
func (b *bands) begin(y int) {
	b.band = <-b.free
	b.band.y, b.band.last = y, b.band.last[:0]
	clear(b.band.coeffs)
}

// next is room for the coefficients of the next block.
func (b *bands) next() *[64]int16 { return (*[64]int16)(b.band.coeffs[64*len(b.band.last):]) }

// end hands the band over.
func (b *bands) end() { b.full <- b.band }

// read decodes the scan of w x h units and waits for the workers.
func (b *bands) read(w, h int) error {
	defer func() {
		close(b.full)
		b.workers.Wait()
		if b.failure != nil {
			panic(b.failure) // where Decode catches it
		}
	}()
	return b.j.units(b.s, w, h)
}

func (b *bands) work() {
	for band := range b.full {
		b.process(band)
		b.free <- band
	}
}

func (b *bands) process(band bandBlocks) {
	defer func() {
		if r := recover(); r != nil {
			b.mu.Lock()
			b.failure = r
			b.mu.Unlock()
		}
	}()
	b.transform(band)
	for _, y := range b.ready(band.y) {
		height := 8 * b.j.maxV
		b.j.rows(b.picture, b.ycc, y*height, min((y+1)*height, b.j.h))
	}
}

func (b *bands) transform(band bandBlocks) {
	at := 0
	for x := range b.across {
		for _, c := range b.s.comps {
			for i := range b.s.blocksOf(c) {
				bx, by := x, band.y
				if len(b.s.comps) > 1 {
					bx, by = x*c.sampH+i%c.sampH, band.y*c.sampV+i/c.sampH
				}
				c.transformCoefficients(band.coeffs[64*at:64*at+64], int(band.last[at]), b.j.quant[c.quant], bx, by)
				at++
			}
		}
	}
}

// ready notes that band y is transformed, and returns the bands that nothing is wanting for any more.
func (b *bands) ready(y int) (complete []int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.transformed[y] = true
	have := func(y int) bool { return y < 0 || y >= len(b.transformed) || b.transformed[y] }
	for n := max(0, y-1); n <= min(y+1, len(b.transformed)-1); n++ {
		if !b.composed[n] && have(n-1) && have(n) && have(n+1) {
			b.composed[n] = true
			complete = append(complete, n)
		}
	}
	return complete
}
