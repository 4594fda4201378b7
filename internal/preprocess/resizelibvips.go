package preprocess

import (
	"math"
	"strconv"
)

// What transformers.js does in Node: libvips' affine transformation by way of sharp. The corners of the pictures meet and not the
// centres of their pixels, a smaller picture is made of samples without any average (no antialiasing), and what lies beyond the
// edges is black.

// jsLongSide is the long side of transformers.js: size * long/short to two decimals, and cut off.
func jsLongSide(size, long, short int) int {
	side := float64(long) * (float64(size) / float64(short))
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(side, 'f', 2, 64), 64) // what was printed can be read
	return int(rounded)
}

// affineTaps are the weights of one axis: n samples from start on, of which those outside the picture are black.
type affineTaps struct {
	start   int
	weights [4]int32
}

// Fixed point of libvips: positions in 1/64 of a sample for bicubic, weights in 1/4096.
const (
	affinePositions = 64
	affineShift     = 12
	affineOne       = 1 << affineShift
)

// newAffineTaps are n taps for each output at these places, in samples.
func newAffineTaps(n int, places []float64) (taps []affineTaps) {
	for _, at := range places {
		first := math.Floor(at)
		t := affineTaps{start: int(first) - 1} // without the border
		switch n {
		case 1:
			t.weights[0] = affineOne
		case 2:
			t.weights[1] = int32((at - first) * affineOne)
			t.weights[0] = affineOne - t.weights[1]
		default:
			t.start--
			t.weights = catmullRom(float64((int(at*affinePositions*2)&(affinePositions*2-1)+1)>>1) / affinePositions)
		}
		taps = append(taps, t)
	}
	return taps
}

// affinePlaces are where outputs lie, for libvips in a picture with a border of one sample, so that the first lies at 1. It adds
// up the places of a row's outputs and computes each row's anew; their last bits decide which sample is taken.
func affinePlaces(w, h int, step, stepDown float64) (columns, rows []float64) {
	at := 1.0
	for range w {
		columns = append(columns, at)
		at += step
	}
	for i := range h {
		rows = append(rows, float64(float64(i)*stepDown)+1)
	}
	return columns, rows
}

// catmullRom are the weights of the samples at -1, 0, 1 and 2 for a point between 0 and 1, cut to fixed point.
func catmullRom(x float64) (w [4]int32) {
	y := 1 - x
	before, after := -0.5*x*y*y, -0.5*x*x*y
	for i, v := range [4]float64{before, y - before + (after - before), x - after - (after - before), after} {
		w[i] = int32(v * affineOne)
	}
	return w
}

// resizeAffine is resize as transformers.js has it; filters that it doesn't have become bilinear, as it makes them.
func resizeAffine(src raster, f Filter, w, h int, x, y span) raster {
	if w == src.w && h == src.h {
		return src.window(x, y)
	}
	// The inverse of a matrix with these scales in its diagonal, as libvips computes it.
	across, down := float64(w)/float64(src.w), float64(h)/float64(src.h)
	inverse := 1 / float64(across*down)
	places, placesDown := affinePlaces(w, h, float64(inverse*down), float64(inverse*across))
	n, mix := affineFilter(f)
	columns, rows := newAffineTaps(n, places[x.from:x.to]), newAffineTaps(n, placesDown[y.from:y.to])
	out := newRaster(len(columns), len(rows), src.n)
	for i, r := range rows {
		for j, t := range columns {
			for c := range src.n {
				out.row(i)[j*src.n+c] = clip8(mix(r, t, func(row, col int) int32 {
					if row < 0 || row >= src.h || col < 0 || col >= src.w {
						return 0
					}
					return int32(src.row(row)[col*src.n+c])
				}))
			}
		}
	}
	return out
}

// affineFilter returns how many samples along each axis a filter mixes, and how.
func affineFilter(f Filter) (n int, mix func(r, t affineTaps, at sampler) int32) {
	switch f {
	case Nearest:
		return 1, affineNearest
	case Bicubic:
		return 4, affineBicubic
	}
	return 2, affineBilinear
}

// sampler returns a sample of one channel, 0 outside the picture.
type sampler func(row, col int) int32

func affineNearest(r, t affineTaps, at sampler) int32 { return at(r.start, t.start) }

// affineBilinear is one sum of four products, whose weights are cut so that they add up to 1.
func affineBilinear(r, t affineTaps, at sampler) int32 {
	right, low := r.weights[0]*t.weights[1]>>affineShift, r.weights[1]*t.weights[1]>>affineShift
	return (at(r.start, t.start)*(r.weights[0]-right) + at(r.start, t.start+1)*right +
		at(r.start+1, t.start)*(r.weights[1]-low) + at(r.start+1, t.start+1)*low + affineOne/2) >> affineShift
}

// affineBicubic rounds the sum of each row and the sum of these.
func affineBicubic(r, t affineTaps, at sampler) int32 {
	sum := int32(affineOne / 2)
	for k, down := range r.weights {
		row := int32(affineOne / 2)
		for l, across := range t.weights {
			row += at(r.start+k, t.start+l) * across
		}
		sum += (row >> affineShift) * down
	}
	return sum >> affineShift
}
