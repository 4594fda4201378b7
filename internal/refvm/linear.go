package refvm

import (
	"math"

	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/half"
	"github.com/clipgo/clipgo/internal/program"
)

// What the inner loops of linear take at a time: rows of weights that stay in the second-level cache, and rows of
// activations that stay in the first.
const (
	weightRows = 8
	tileRows   = 4
	tileCols   = 2
)

// form returns how activations are kept against weights of a type, which are rounded to Q8_0 if they may.
func (o Options) form(t gguf.Type, mayRound bool) Activations {
	a := o.Activations
	switch {
	case a == F32:
		return F32
	case (t.Quantized() || mayRound) && o.Tiles:
		return BF16
	case (t.Quantized() || mayRound) && a == BF16:
		return Int8
	case t.Quantized() || mayRound:
		return a
	case a == BF16 && (t == gguf.F16 || t == gguf.BF16):
		return BF16
	}
	return F32
}

func (r *run) linear() error {
	op := r.op
	column := 0
	prepared := map[Activations][]float64{}
	for k := range int(op.I[1]) {
		t := r.program.Tensors[op.W[k]]
		form := r.options.form(t.Type, op.I[2] == 1)
		if prepared[form] == nil {
			x, err := r.prepare(form)
			if err != nil {
				return err
			}
			prepared[form] = x
		}
		if err := r.multiply(op.W[k], form, prepared[form], 3+k, column); err != nil {
			return err
		}
		column += t.Rows
	}
	return nil
}

// prepare returns the rows of src[0] as a form keeps them, with some rows of zeros at the end to fill the last tile.
func (r *run) prepare(form Activations) ([]float64, error) {
	x := r.value(r.op.Src[0])
	rows := r.batch * x.rows
	out := make([]float64, (rows+tileRows-1)/tileRows*tileRows*x.width)
	return out, r.parallel(rows, func(i int) error {
		to := out[i*x.width : (i+1)*x.width]
		switch row := x.row(i); form {
		case Int8:
			quantize8(to, row, 128)
		case Int8Block:
			quantize8(to, row, 32)
		default:
			for c, v := range row {
				to[c] = float64(round(form, v))
			}
		}
		return nil
	})
}

func round(form Activations, v float32) float32 {
	if form == BF16 {
		return half.FromBF16(half.ToBF16(v))
	}
	return v
}

// quantize8 rounds a row to 8 bits with a scale d = max|x| / 127 for each `group` columns: x = d * round(x * (127 / max)),
// halves to even. This is the engine's prepare.inc, step by step in float32: below 1e-36, where 127 / max overflows, a
// group is zero; a NaN or an infinity makes the whole group NaN.
func quantize8(dst []float64, row []float32, group int) {
	for first := 0; first < len(row); first += group {
		end := min(first+group, len(row))
		x, to := row[first:end], dst[first:end]
		var most float32
		finite := true
		for _, v := range x {
			most = max(most, float32(math.Abs(float64(v))))
			finite = finite && v-v == 0
		}
		var d, inverse float32
		if !finite {
			d = float32(math.NaN())
		} else if most > 1e-36 {
			d, inverse = most/127, 127/most
		}
		for c, v := range x {
			q := math.RoundToEven(float64(v * inverse))
			to[c] = max(-127, min(q, 127)) * float64(d)
		}
	}
}

// roundWeights makes a row of floats what Q8_0 keeps of it: quantize's own steps, with a last block that may be short.
func roundWeights(row []float32) {
	for ; len(row) > 0; row = row[min(len(row), 32):] {
		block := row[:min(len(row), 32)]
		var most, zeros float32
		for _, v := range block {
			most = max(most, float32(math.Abs(float64(v))))
			zeros += v - v
		}
		d := most/127 + zeros
		stored, inverse := half.FromF16(half.ToF16(d)), 1/d
		for i, v := range block {
			if stored > 0 {
				block[i] = stored * float32(math.Round(float64(v*inverse)))
			} else {
				block[i] = stored // 0 or NaN
			}
		}
	}
}

// multiply writes columns [column, column + rows of the tensor) of dst.
func (r *run) multiply(tensor int32, form Activations, x []float64, biasSlot, column int) error {
	op, dst, t := r.op, r.dst(), r.program.Tensors[tensor]
	bias, err := r.vector(biasSlot)
	if err != nil {
		return err
	}
	scale, err := r.vector(6)
	if err != nil {
		return err
	}
	var residual, gate matrix
	if op.Src[1] != program.None {
		residual = r.value(op.Src[1])
	}
	if op.Src[2] != program.None {
		gate = r.value(op.Src[2])
	}
	act := activation(program.Activation(op.I[0]))
	store := func(i, n int, sum float64) {
		if bias != nil {
			sum += float64(bias[n])
		}
		sum = act(sum)
		c := column + n
		if gate.data != nil {
			sum *= float64(gate.row(i)[c])
		}
		if scale != nil {
			sum *= float64(scale[c])
		}
		if residual.data != nil {
			sum += float64(residual.row(i)[c])
		}
		dst.row(i)[c] = float32(sum)
	}
	rows := r.batch * dst.rows
	blocks := r.options.Activations != F32 && op.I[2] == 1
	return r.parallel((t.Rows+weightRows-1)/weightRows, func(chunk int) error {
		first := chunk * weightRows
		n := min(weightRows, t.Rows-first)
		w := make([]float64, weightRows*t.Cols)
		row := make([]float32, t.Cols)
		for k := range n {
			if err := r.weights.Row(tensor, first+k, row); err != nil {
				return err
			}
			if !t.Type.Quantized() && blocks {
				roundWeights(row)
			}
			for c, v := range row {
				w[k*t.Cols+c] = float64(round(form, v))
			}
		}
		var sums [tileRows][tileCols]float64
		for i := 0; i < rows; i += tileRows {
			for k := 0; k < n; k += tileCols {
				tile(&sums, x[i*t.Cols:], w[k*t.Cols:], t.Cols)
				for a := range min(tileRows, rows-i) {
					for b := range min(tileCols, n-k) {
						store(i+a, first+k+b, sums[a][b])
					}
				}
			}
		}
		return nil
	})
}

// tile multiplies 4 rows of x with 2 rows of w, each n long. Eight sums at a time hide the latency of an addition.
func tile(sums *[tileRows][tileCols]float64, x, w []float64, n int) {
	x0, x1, x2, x3 := x[:n], x[n:2*n], x[2*n:3*n], x[3*n:4*n]
	w0, w1 := w[:n], w[n:2*n]
	x1, x2, x3, w1 = x1[:len(x0)], x2[:len(x0)], x3[:len(x0)], w1[:len(x0)]
	w0 = w0[:len(x0)]
	var a0, a1, b0, b1, c0, c1, d0, d1 float64
	for i := range x0 {
		u, v := w0[i], w1[i]
		a0 += x0[i] * u
		a1 += x0[i] * v
		b0 += x1[i] * u
		b1 += x1[i] * v
		c0 += x2[i] * u
		c1 += x2[i] * v
		d0 += x3[i] * u
		d1 += x3[i] * v
	}
	*sums = [tileRows][tileCols]float64{{a0, a1}, {b0, b1}, {c0, c1}, {d0, d1}}
}

// dot32 is the dot product of two rows of equal length.
func dot32(a, b []float32) float64 {
	var s0, s1, s2, s3 float64
	b = b[:len(a)]
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += float64(a[i]) * float64(b[i])
		s1 += float64(a[i+1]) * float64(b[i+1])
		s2 += float64(a[i+2]) * float64(b[i+2])
		s3 += float64(a[i+3]) * float64(b[i+3])
	}
	for ; i < len(a); i++ {
		s0 += float64(a[i]) * float64(b[i])
	}
	return s0 + s1 + s2 + s3
}
