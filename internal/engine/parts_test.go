package engine

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/program"
)

// recorder writes down how many items each run of a machine has.
type recorder struct {
	machine
	batches []int
}

func (m *recorder) run(ctx context.Context, batch, rows int, in, out []byte) error {
	m.batches = append(m.batches, batch)
	return m.machine.run(ctx, batch, rows, in, out)
}

// TestParts runs five items of 2 MB, in three parts, which take each item's own inputs.
func TestParts(t *testing.T) {
	const width, rows, batch = 512, 1024, 5
	b := program.NewBuilder()
	x := b.Input("x", program.F32, program.PerItem(0), width)
	index := b.Input("index", program.I32, program.Fixed(1), 1)
	y := b.Act(x, program.ActReLU)
	b.Output("picked", b.Select(y, program.SelectIndex, 0, index, 0))
	b.Output("all", b.Act(y, program.ActReLU))
	r, err := openInterpreter(Options{}).Prepare(new(gguf.File), &b.Program, PrepareOptions{})
	require.NoError(t, err)
	defer r.Close()
	m := &recorder{machine: r.machine}
	r.machine = m

	pixels, picks := make([]float32, batch*rows*width), make([]int32, batch)
	for i := range pixels {
		pixels[i] = float32(i / width) // the row's number
	}
	var picked []float32
	for i := range picks {
		picks[i] = int32(100 * i)
		row := i*rows + 100*i
		picked = append(picked, pixels[row*width:(row+1)*width]...)
	}
	out, err := r.Run(t.Context(), batch, rows, Input{Name: "x", F32: pixels}, Input{Name: "index", I32: picks})
	require.NoError(t, err)
	require.Equal(t, []int{2, 2, 1}, m.batches)
	require.Len(t, out, 2)
	require.Equal(t, picked, out[0])
	require.Equal(t, pixels, out[1])

	_, err = r.Run(t.Context(), batch, rows, Input{Name: "x", F32: pixels})
	require.EqualError(t, err, "input index is missing")
	_, err = r.Run(t.Context(), batch, rows, Input{Name: "x", F32: pixels[1:]}, Input{Name: "index", I32: picks})
	require.EqualError(t, err, "input x has 2621439 elements, expected 2621440")
	_, err = r.Run(t.Context(), 0, rows, Input{Name: "x"}, Input{Name: "index"})
	require.EqualError(t, err, "run a batch of 0 items, expected 1 or more")
}

func TestPartSize(t *testing.T) {
	// the hidden rows of an MLP, the largest values of a tower
	hidden := func(rows, width int) *program.Program {
		return &program.Program{Values: []program.Value{
			{Role: program.Input, Rows: program.Fixed(1), Width: 100 << 20},
			{Role: program.Temporary, Rows: program.Fixed(rows), Width: width},
		}}
	}
	for _, c := range []struct {
		name              string
		rows, width       int
		batch, want, last int
	}{
		{"b/32", 50, 3072, 8, 8, 8},
		{"b/32", 50, 3072, 9, 5, 4},
		{"b/16", 197, 3072, 8, 2, 2},
		{"l/14", 257, 4096, 8, 1, 1},
		{"larger than a part", 1024, 4096, 3, 1, 1},
		{"one", 257, 4096, 1, 1, 1},
	} {
		got := partSize(hidden(c.rows, c.width), c.batch, 1)
		require.Equal(t, c.want, got, c.name)
		require.Equal(t, c.last, c.batch-(c.batch-1)/got*got, c.name)
	}

	p := hidden(257, 4096)
	p.Values = append(p.Values, program.Value{Kind: program.I32, Role: program.Input, Rows: program.Fixed(1), Width: 2})
	p.Ops = []program.Op{{Kind: program.Attention, Src: [4]int32{1, 1, 1, 2}}}
	require.Equal(t, 8, partSize(p, 8, 1), "items see rows of the batch")
	p.Values[2].Width = 1
	require.Equal(t, 1, partSize(p, 8, 1), "counts of the items' own keys")
}
