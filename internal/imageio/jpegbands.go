package imageio

import (
	"runtime"
	"sync"
)

// bands decodes a baseline scan, a large one on all processors. One goroutine reads the codes, a band (a row of MCUs) at a time; the others
// transform its blocks, and put the pixels of a band together once its neighbours are there as well, whose chroma it interpolates.
type bands struct {
	j       *jpegReader
	s       *scanParams
	picture *Picture
	ycc     bool
	starts  []int // of each component, its first block in a band
	band    bandBlocks
	free    chan bandBlocks // buffers, so that the reading can't run far ahead
	full    chan bandBlocks
	alone   bool // there are no workers
	workers sync.WaitGroup

	mu          sync.Mutex
	transformed []bool
	composed    []bool
	failure     any // what a worker panicked with
}

// bandBlocks are the coefficients of a band: of each component [rows of blocks, blocks, 64] in file order, not dequantised.
type bandBlocks struct {
	y      int
	coeffs []int16
	last   []uint8 // of each block, the place of the last coefficient that may not be 0
}

// newBands starts the workers; none for a small picture, whose bands are processed as they are read. It returns nil for a scan that
// bands do nothing for.
func (j *jpegReader) newBands(s *scanParams, down int) *bands {
	const worthwhile = 1 << 19 // pixels
	workers := runtime.GOMAXPROCS(0)
	if workers == 1 || j.w*j.h < worthwhile {
		workers = 0
	}
	if j.progressive || j.scaled() || len(s.comps) != len(j.comps) || workers == 0 && j.d.IDCT == nil {
		return nil
	}
	blocks := 0
	var starts []int
	for _, c := range s.comps {
		starts = append(starts, blocks)
		blocks += c.blocksW * c.sampV
	}
	b := &bands{j: j, s: s, starts: starts, alone: workers == 0, free: make(chan bandBlocks, workers+2), full: make(chan bandBlocks, workers+2),
		transformed: make([]bool, down), composed: make([]bool, down)}
	b.picture, b.ycc = j.newPicture()
	buffers := cap(b.free)
	if b.alone {
		buffers = 1
	}
	for range buffers {
		b.free <- bandBlocks{coeffs: make([]int16, 64*blocks), last: make([]uint8, blocks)}
	}
	for range workers {
		b.workers.Go(b.work)
	}
	return b
}

// begin makes room for band y.
func (b *bands) begin(y int) {
	b.band = <-b.free
	b.band.y = y
	clear(b.band.coeffs)
	clear(b.band.last)
}

// block is where the i-th component's block (x, y) belongs.
func (b *bands) block(i, x, y int) (coeffs *[64]int16, last *uint8) {
	c := b.s.comps[i]
	at := b.starts[i] + (y-b.band.y*c.sampV)*c.blocksW + x
	return (*[64]int16)(b.band.coeffs[64*at:]), &b.band.last[at]
}

// end hands the band over.
func (b *bands) end() {
	if b.alone {
		b.process(b.band)
		b.free <- b.band
		return
	}
	b.full <- b.band
}

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
	for i, c := range b.s.comps {
		for v := range c.sampV {
			from := b.starts[i] + v*c.blocksW
			to := from + c.blocksW
			c.transformRow(b.j, band.coeffs[64*from:64*to], band.last[from:to], band.y*c.sampV+v)
		}
	}
}

// transformRow makes the samples of row y of the component's blocks.
func (c *jpegComponent) transformRow(j *jpegReader, coeffs []int16, last []uint8, y int) {
	quant, stride := j.quant[c.quant], 8*c.blocksW
	if j.d.IDCT != nil && j.d.IDCT(coeffs, last, quant, c.plane[8*y*stride:8*(y+1)*stride], stride) == nil {
		return
	}
	for x, last := range last {
		c.transformCoefficients(coeffs[64*x:64*x+64], int(last), quant, x, y)
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
