package refvm

import (
	"fmt"
	"math"

	"github.com/clipgo/clipgo/internal/program"
)

// checkInts checks that every integer of a value lies in [0, most].
func (r *run) checkInts(id int32, most int) error {
	return r.checkEach(id, func(int) int { return most })
}

// checkEach checks that each integer of a value lies between 0 and the most that its element may be.
func (r *run) checkEach(id int32, mostOf func(element int) int) error {
	for i, x := range r.ints[id] {
		if most := mostOf(i); x < 0 || int(x) > most {
			return fmt.Errorf("element %d of value %d is %d, expected 0 to %d", i, id, x, most)
		}
	}
	return nil
}

func (r *run) embed() error {
	op, dst := r.op, r.dst()
	table := r.program.Tensors[op.W[0]]
	if err := r.checkInts(op.Src[0], table.Rows-1); err != nil {
		return err
	}
	position := func(i int) int { return i % dst.rows }
	if op.W[1] != program.None {
		n := r.program.Tensors[op.W[1]].Rows
		if op.Src[1] != program.None {
			if err := r.checkInts(op.Src[1], n-1); err != nil {
				return err
			}
			position = func(i int) int { return int(r.ints[op.Src[1]][i]) }
		} else if dst.rows > n {
			return fmt.Errorf("%d rows, but only %d positions", dst.rows, n)
		}
	}
	added, err := r.vector(2)
	if err != nil {
		return err
	}
	return r.parallel(r.batch*dst.rows, func(i int) error {
		row := dst.row(i)
		if err := r.weights.Row(op.W[0], int(r.ints[op.Src[0]][i]), row); err != nil {
			return err
		}
		var positions []float32
		if op.W[1] != program.None {
			positions = make([]float32, dst.width)
			if err := r.weights.Row(op.W[1], position(i), positions); err != nil {
				return err
			}
		}
		for c, x := range row {
			sum := float64(op.F[0]) * float64(x)
			if positions != nil {
				sum += float64(positions[c])
			}
			if added != nil {
				sum += float64(added[c])
			}
			row[c] = float32(sum)
		}
		return nil
	})
}

func (r *run) im2col() error {
	x, g := r.value(r.op.Src[0]), program.ConvOf(r.op)
	planar := r.op.I[0] == program.PlanarImage
	pixels := g.OH * g.OW
	return r.eachRow(func(i int, dst []float32) {
		item, oy, ox := i/pixels, i%pixels/g.OW, i%g.OW
		for ky := range g.KH {
			for kx := range g.KW {
				y, px := oy*g.Stride-g.PadTop+ky, ox*g.Stride-g.PadLeft+kx
				if y < 0 || y >= g.H || px < 0 || px >= g.W {
					continue // zeros outside
				}
				for c := range g.Channels {
					if planar {
						dst[(c*g.KH+ky)*g.KW+kx] = x.row(item*x.rows + c*g.H + y)[px]
					} else {
						dst[(ky*g.KW+kx)*g.Channels+c] = x.row(item*x.rows + y*g.W + px)[c]
					}
				}
			}
		}
	})
}

func (r *run) dwconv() error {
	x, g := r.value(r.op.Src[0]), program.ConvOf(r.op)
	kernel, err := r.tensor(0)
	if err != nil {
		return err
	}
	bias, err := r.vector(1)
	if err != nil {
		return err
	}
	act := activation(program.Activation(r.op.I[0]))
	pixels := g.OH * g.OW
	return r.eachRow(func(i int, dst []float32) {
		item, oy, ox := i/pixels, i%pixels/g.OW, i%g.OW
		for c := range dst {
			var sum float64
			for ky := range g.KH {
				for kx := range g.KW {
					y, px := oy*g.Stride-g.PadTop+ky, ox*g.Stride-g.PadLeft+kx
					if y >= 0 && y < g.H && px >= 0 && px < g.W {
						sum += float64(x.row(item*x.rows + y*g.W + px)[c]) * float64(kernel.row(c)[ky*g.KW+kx])
					}
				}
			}
			if bias != nil {
				sum += float64(bias[c])
			}
			dst[c] = float32(act(sum))
		}
	})
}

func (r *run) concat() error {
	rows := r.dst().rows
	first, err := r.tensor(0)
	if err != nil {
		return err
	}
	var x matrix
	if r.op.Src[0] != program.None {
		x = r.value(r.op.Src[0])
	}
	return r.eachRow(func(i int, dst []float32) {
		if item, row := i/rows, i%rows; row < first.rows {
			copy(dst, first.row(row))
		} else {
			copy(dst, x.row(item*x.rows+row-first.rows))
		}
	})
}

// rightSide returns the row of Add's or Mul's right side for row i of dst.
func (r *run) rightSide() (func(i int) []float32, error) {
	rows := r.dst().rows
	if r.op.Src[1] == program.None {
		t, err := r.tensor(0)
		if err == nil && rows > t.rows {
			err = fmt.Errorf("%d rows, but only %d to add", rows, t.rows)
		}
		return func(i int) []float32 { return t.row(i % rows) }, err
	}
	y := r.value(r.op.Src[1])
	if y.rows == rows {
		return y.row, nil
	}
	return func(i int) []float32 { return y.row(i / rows) }, nil
}

func (r *run) add() error {
	x := r.value(r.op.Src[0])
	right, err := r.rightSide()
	if err != nil {
		return err
	}
	return r.eachRow(func(i int, dst []float32) {
		a, b := x.row(i), right(i)
		for c := range dst {
			dst[c] = a[c] + b[c]
		}
	})
}

func (r *run) mul() error {
	x := r.value(r.op.Src[0])
	right, err := r.rightSide()
	if err != nil {
		return err
	}
	return r.eachRow(func(i int, dst []float32) {
		a, b := x.row(i), right(i)
		for c := range dst {
			dst[c] = a[c] * b[c]
		}
	})
}

// activation returns the function of clipgo.h's ACT.
func activation(a program.Activation) func(float64) float64 {
	sigmoid := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	switch a {
	case program.ActGELU:
		// x Phi(x); erfc rather than 1 + erf, which loses all digits far below zero.
		return func(x float64) float64 { return x * 0.5 * math.Erfc(-x/math.Sqrt2) }
	case program.ActGELUTanh:
		// 0.5 x (1 + tanh u) = x sigmoid(2u), without the cancellation.
		return func(x float64) float64 {
			return x * sigmoid(2*math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))
		}
	case program.ActQuickGELU:
		return func(x float64) float64 { return x * sigmoid(1.702*x) }
	case program.ActReLU:
		return func(x float64) float64 { return max(0, x) }
	case program.ActSiLU:
		return func(x float64) float64 { return x * sigmoid(x) }
	case program.ActSigmoid:
		return sigmoid
	case program.ActTanh:
		return math.Tanh
	}
	return func(x float64) float64 { return x }
}

func (r *run) act() error {
	x, act := r.value(r.op.Src[0]), activation(program.Activation(r.op.I[0]))
	return r.eachRow(func(i int, dst []float32) {
		for c, v := range x.row(i) {
			dst[c] = float32(act(float64(v)))
		}
	})
}

func (r *run) norm() error {
	x, eps := r.value(r.op.Src[0]), float64(r.op.F[0])
	gain, err := r.vector(0)
	if err != nil {
		return err
	}
	bias, err := r.vector(1)
	if err != nil {
		return err
	}
	return r.eachRow(func(i int, dst []float32) {
		row, n := x.row(i), float64(x.width)
		var mean, squares float64
		if r.op.I[0] == program.LayerNorm {
			for _, v := range row {
				mean += float64(v)
			}
			mean /= n
		}
		for _, v := range row {
			d := float64(v) - mean
			squares += d * d
		}
		scale := 1 / math.Sqrt(squares/n+eps)
		for c, v := range row {
			y := (float64(v) - mean) * scale
			if gain != nil {
				y *= float64(gain[c])
			}
			if bias != nil {
				y += float64(bias[c])
			}
			dst[c] = float32(y)
		}
	})
}

func (r *run) l2norm() error {
	x, eps := r.value(r.op.Src[0]), float64(r.op.F[0])
	return r.eachRow(func(i int, dst []float32) {
		var squares float64
		for _, v := range x.row(i) {
			squares += float64(v) * float64(v)
		}
		length := max(math.Sqrt(squares), eps)
		for c, v := range x.row(i) {
			dst[c] = float32(float64(v) / length)
		}
	})
}

// keysOf returns how many of an item's own keys count, and how many of the batch's first rows come before them.
func (r *run) keysOf(id int32, item, rows int) (own, before int) {
	if id == program.None {
		return rows, 0
	}
	width := r.program.Values[id].Width
	counts := r.ints[id][item*width : (item+1)*width]
	if width == 2 {
		before = int(counts[1])
	}
	return int(counts[0]), before
}

func (r *run) attention() error {
	op, dst := r.op, r.dst()
	q, k, v := r.value(op.Src[0]), r.value(op.Src[1]), r.value(op.Src[2])
	heads, dim, scale := int(op.I[0]), int(op.I[4]), float64(op.F[0])
	if id := op.Src[3]; id != program.None {
		width := r.program.Values[id].Width
		err := r.checkEach(id, func(i int) int {
			if i%width == 1 {
				return i / width * k.rows // rows of the batch before the item
			}
			return k.rows
		})
		if err != nil {
			return err
		}
	}
	return r.parallel(r.batch*heads, func(task int) error {
		item, head := task/heads, task%heads
		own, before := r.keysOf(op.Src[3], item, k.rows)
		// part returns the head's columns of a row of the batch.
		part := func(m matrix, row int, first int32) []float32 {
			from := int(first) + head*dim
			return m.row(row)[from : from+dim]
		}
		// keyRow is where the j-th key lies, and its value: rows of the batch come before the item's own.
		keyRow := func(j int) int {
			if j < before {
				return j
			}
			return item*k.rows + j - before
		}
		keys := before + own
		scores, sums := make([]float64, keys), make([]float64, dim)
		for i := range q.rows {
			n := keys
			if op.I[5] == program.MaskCausal {
				n = min(keys, before+i+1)
			}
			query, most := part(q, item*q.rows+i, op.I[1]), math.Inf(-1)
			for j := range n {
				scores[j] = scale * dot32(query, part(k, keyRow(j), op.I[2]))
				most = max(most, scores[j])
			}
			var total float64
			clear(sums)
			for j := range n {
				e := math.Exp(scores[j] - most)
				total += e
				for c, x := range part(v, keyRow(j), op.I[3]) {
					sums[c] += e * float64(x)
				}
			}
			if n == 0 {
				total = 1 // no key: zeros
			}
			for c, out := 0, part(dst, item*dst.rows+i, 0); c < dim; c++ {
				out[c] = float32(sums[c] / total)
			}
		}
		return nil
	})
}

func (r *run) selects() error {
	op, x := r.op, r.value(r.op.Src[0])
	mode, index := op.I[0], op.Src[1]
	if index != program.None {
		most := x.rows
		if mode == program.SelectIndex {
			most--
		}
		if err := r.checkInts(index, most); err != nil {
			return err
		}
	}
	return r.eachRow(func(item int, dst []float32) {
		row := 0
		switch mode {
		case program.SelectRow:
			row = int(op.I[1])
		case program.SelectLast:
			row = x.rows - 1
		case program.SelectIndex:
			row = int(r.ints[index][item])
		case program.SelectMean:
			n := x.rows
			if index != program.None {
				n = int(r.ints[index][item])
			}
			for c := range dst {
				var sum float64
				for i := range n {
					sum += float64(x.row(item*x.rows + i)[c])
				}
				dst[c] = float32(sum / (float64(n) + float64(op.F[0])))
			}
			return
		}
		copy(dst, x.row(item*x.rows+row))
	})
}
