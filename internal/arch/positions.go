package arch

import (
	"fmt"
	"math"
)

// positionRow is the row of an image tower's position embeddings [extra + grid's area, width], of which extra rows stand for
// no patch. Where the tower was trained on another grid they are resized by taps(from, to).
func positionRow(v *Vision, source string, extra int, taps func(from, to int) [][]tap) Row {
	row := Row{Source: source, Name: "v.position_embd.weight", Dims: "width positions"}
	from, to := v.grid(v.Trained), v.Grid()
	if from == to || v.Trained == (Size{}) {
		return row
	}
	row.From = fmt.Sprintf("width %d", from.Area()+extra)
	row.Make = func(x ...[]float32) []float32 {
		table := x[0]
		patches := resizeGrid(table[extra*v.Width:], v.Width, from, to, taps)
		return append(append([]float32(nil), table[:extra*v.Width]...), patches...)
	}
	return row
}

// ResizePositions resizes a square table of positions [side*side, width] to [h*w, width], as SigLIP 2 does for each picture.
func ResizePositions(table []float32, width, side, h, w int) []float32 {
	if h == side && w == side {
		return table
	}
	return resizeGrid(table, width, Square(side), Size{h, w}, bilinearTaps)
}

// resizePositions makes the model take pictures of another size, for families whose positionRow resizes the positions.
func resizePositions(m *Model, picture Size) error {
	v := m.Vision
	if min(picture.H, picture.W) < v.Patch {
		return fmt.Errorf("pictures of %v pixels are smaller than a patch of %d", picture, v.Patch)
	}
	v.Trained, v.Image = v.Image, picture
	return nil
}

// tap is one term of an interpolation: a source index and its weight.
type tap struct {
	index  int
	weight float32
}

// resizeGrid resizes a grid [from.H, from.W, width] to [to.H, to.W, width], rows and columns each by taps(from, to).
func resizeGrid(x []float32, width int, from, to Size, taps func(from, to int) [][]tap) []float32 {
	wide := make([]float32, from.H*to.W*width)
	for i, ts := range taps(from.W, to.W) {
		for y := range from.H {
			dst := wide[(y*to.W+i)*width:][:width]
			for _, t := range ts {
				axpy(dst, t.weight, x[(y*from.W+t.index)*width:])
			}
		}
	}
	out := make([]float32, to.Area()*width)
	for i, ts := range taps(from.H, to.H) {
		for _, t := range ts {
			axpy(out[i*to.W*width:][:to.W*width], t.weight, wide[t.index*to.W*width:])
		}
	}
	return out
}

func axpy(dst []float32, a float32, x []float32) {
	for i := range dst {
		dst[i] += a * x[i]
	}
}

// bicubicTaps are those of torch's interpolate(mode="bicubic", align_corners=False): the cubic convolution kernel with
// A = -0.75 at a scale of from/to, without antialiasing, the border repeated.
func bicubicTaps(from, to int) [][]tap {
	const a = -0.75
	scale := float32(from) / float32(to)
	all := make([][]tap, to)
	for i := range all {
		real := scale*(float32(i)+0.5) - 0.5
		floor := math.Floor(float64(real))
		t := float64(real) - floor
		for k := -1; k <= 2; k++ {
			d := math.Abs(t - float64(k))
			var weight float64
			if d <= 1 {
				weight = ((a+2)*d-(a+3))*d*d + 1
			} else {
				weight = ((a*d-5*a)*d+8*a)*d - 4*a
			}
			all[i] = append(all[i], tap{min(max(int(floor)+k, 0), from-1), float32(weight)})
		}
	}
	return all
}

// bilinearTaps are those of torch's interpolate(mode="bilinear", align_corners=False, antialias=True): a triangle as wide as
// the scale where the grid shrinks, cut at the border and made to sum to one.
func bilinearTaps(from, to int) [][]tap {
	scale := float32(from) / float32(to)
	support := max(scale, 1)
	all := make([][]tap, to)
	for i := range all {
		center := scale * (float32(i) + 0.5)
		first := max(int(center-support+0.5), 0)
		last := min(int(center+support+0.5), from)
		var sum float32
		for j := first; j < last; j++ {
			d := (float32(j) - center + 0.5) / support
			weight := max(0, 1-float32(math.Abs(float64(d))))
			all[i] = append(all[i], tap{j, weight})
			sum += weight
		}
		for k := range all[i] {
			all[i][k].weight /= sum
		}
	}
	return all
}
