package bench

import (
	"fmt"

	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/arch"
	"github.com/clipgo/clipgo/internal/program"
)

// opFLOP returns the floating-point operations of an op for one item, a multiply-add counted as two: of products, and of
// attention's two products without a mask. Everything else counts nothing.
func opFLOP(p *program.Program, op *program.Op, rows int) float64 {
	at := func(value int32) (n, width float64) {
		v := &p.Values[value]
		return float64(v.Rows.At(rows)), float64(v.Width)
	}
	switch op.Kind {
	case program.Linear:
		n, out := at(op.Dst)
		_, in := at(op.Src[0])
		return 2 * n * in * out
	case program.Attention:
		queries, width := at(op.Dst)
		keys, _ := at(op.Src[1])
		return 4 * queries * keys * width
	}
	return 0
}

func totalFLOP(p *program.Program, rows int) (sum float64) {
	for i := range p.Ops {
		sum += opFLOP(p, &p.Ops[i], rows)
	}
	return sum
}

// compile compiles the tower of f, and the whole tower as papers count it: the same with every row through every block,
// where we compute of the last block only the row that is pooled.
func compile(f *gguf.File, tower Tower) (m *arch.Model, p, whole *program.Program, err error) {
	if m, err = arch.ReadKeys(f); err != nil {
		return nil, nil, nil, err
	}
	full := *m
	program := (*arch.Model).ImageProgram
	if tower == Image {
		vision := *m.Vision
		if vision.Pooling == arch.PoolFirst {
			vision.Pooling = arch.PoolMean
		}
		full.Vision = &vision
	} else {
		program = (*arch.Model).TextProgram
		text := *m.Text
		text.Pooling = arch.PoolMean
		full.Text = &text
	}
	if p, err = program(m, f); err == nil {
		whole, err = program(&full, f)
	}
	if err != nil {
		return nil, nil, nil, fmt.Errorf("compiling the tower: %w", err)
	}
	return m, p, whole, nil
}
