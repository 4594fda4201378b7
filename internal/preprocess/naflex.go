package preprocess

import (
	"math"

	"github.com/clipgo/clipgo/internal/imageio"
)

// naflexSize finds by bisection the largest scale at which the picture, each side rounded up to whole patches, has at most limit
// patches. The bounds and the step are transformers' (Siglip2ImageProcessor): they decide ties.
func naflexSize(h, w, patch, limit int) (th, tw int) {
	side := func(scale float64, n int) float64 {
		p := float64(patch)
		return max(p, math.Ceil(float64(n)*scale/p)*p)
	}
	const eps = 1e-5
	low, high := eps/10, 100.0
	for high-low >= eps {
		middle := (low + high) / 2
		if side(middle, h)/float64(patch)*(side(middle, w)/float64(patch)) <= float64(limit) {
			low = middle
		} else {
			high = middle
		}
	}
	return int(side(low, h)), int(side(low, w))
}

// patches writes the values of img, patch by patch: [rows*cols, patch, patch, 3].
func patches(dst []float32, img imageio.RGB, patch int, table *[3][256]float32) {
	rows, cols := img.H/patch, img.W/patch
	i := 0
	for row := range rows {
		for col := range cols {
			for y := range patch {
				at := ((row*patch+y)*img.W + col*patch) * 3
				for x := range patch {
					for c := range 3 {
						dst[i] = table[c][img.Pix[at+3*x+c]]
						i++
					}
				}
			}
		}
	}
}
