package refvm

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/program"
	"github.com/clipgo/clipgo/quantize"
)

// bench is a program with its data.
type bench struct {
	*program.Builder
	t       testing.TB
	tensors [][]byte
	in      [][]byte
}

func newBench(t testing.TB) *bench { return &bench{Builder: program.NewBuilder(), t: t} }

func (b *bench) weight(typ gguf.Type, rows, cols int, x []float32) int32 {
	t := program.Tensor{Name: fmt.Sprint("w", len(b.Tensors)), Type: typ, Rows: rows, Cols: cols}
	size, err := t.Bytes()
	require.NoError(b.t, err)
	data := make([]byte, size)
	require.NoError(b.t, quantize.Quantize(data, x, typ, cols, nil))
	b.tensors = append(b.tensors, data)
	return b.Weight(t)
}

func (b *bench) floats(rows, width int, x []float32) int32 {
	var data []byte
	for _, v := range x {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	b.in = append(b.in, data)
	return b.Input(fmt.Sprint("x", len(b.Values)), program.F32, program.Fixed(rows), width)
}

func (b *bench) ints(rows int, x []int32) int32 {
	var data []byte
	for _, v := range x {
		data = binary.LittleEndian.AppendUint32(data, uint32(v))
	}
	b.in = append(b.in, data)
	return b.Input(fmt.Sprint("i", len(b.Values)), program.I32, program.Fixed(rows), 1)
}

// run runs the program, whose output is y.
func (b *bench) run(batch int, y int32, o Options) []float32 {
	b.t.Helper()
	b.Output("y", y)
	weights, err := Stored(&b.Program, b.tensors)
	require.NoError(b.t, err)
	vm, err := New(&b.Program, weights, o)
	require.NoError(b.t, err)
	offsets, size := b.Layout(program.Input, batch, 1)
	in := make([]byte, size)
	for i, data := range b.in {
		copy(in[offsets[i]:], data)
	}
	_, size = b.Layout(program.Output, batch, 1)
	out := make([]byte, size)
	require.NoError(b.t, vm.Run(b.t.Context(), batch, 1, in, out))
	got := make([]float32, len(out)/4)
	for i := range got {
		got[i] = math.Float32frombits(binary.LittleEndian.Uint32(out[4*i:]))
	}
	return got
}

// TestTorch compares every op with PyTorch's float64 results, made by testdata/make.py. What is left is the rounding of
// the result to float32.
func TestTorch(t *testing.T) {
	text, err := os.ReadFile("testdata/torch.json")
	require.NoError(t, err)
	var cases []struct {
		Op string
		In map[string]struct {
			Shape []int
			Data  []float32
		}
		Out          []float64
		Act          program.Activation
		Eps          float32
		Heads        int
		Lengths, Ids []int32
		Causal       bool
		Conv         []int
	}
	require.NoError(t, json.Unmarshal(text, &cases))
	const batch = 2
	seen := map[program.OpKind]bool{}
	for _, c := range cases {
		t.Run(c.Op, func(t *testing.T) {
			b := newBench(t)
			value := func(name string) int32 {
				x := c.In[name]
				return b.floats(x.Shape[1], x.Shape[2], x.Data)
			}
			weight := func(name string) int32 {
				x := c.In[name]
				return b.weight(gguf.F32, x.Shape[0], x.Shape[1], x.Data)
			}
			conv := func() program.Conv {
				v := c.Conv
				return program.Conv{Channels: v[0], H: v[1], W: v[2], KH: v[3], KW: v[4], Stride: v[5], PadTop: v[6], PadLeft: v[7],
					OH: v[8], OW: v[9]}
			}
			var y int32
			switch c.Op {
			case "act":
				y = b.Act(value("x"), c.Act)
			case "layer_norm":
				y = b.Norm(value("x"), program.LayerNorm, weight("gain"), weight("bias"), c.Eps)
			case "rms_norm":
				y = b.Norm(value("x"), program.RMSNorm, weight("gain"), program.None, c.Eps)
			case "l2norm":
				y = b.L2Norm(value("x"), c.Eps)
			case "linear":
				y = b.Linear(value("x"), program.LinearArgs{Weights: []int32{weight("w")}, Biases: []int32{weight("bias")}, Act: c.Act,
					Gate: value("gate"), Scale: weight("scale"), Residual: value("residual")})
			case "attention":
				a := program.AttentionArgs{Q: value("q"), K: value("k"), V: value("v"), Heads: c.Heads, HeadDim: 12 / c.Heads,
					Lengths: b.ints(1, c.Lengths), Scale: c.Eps}
				if c.Causal {
					a.Mask = program.MaskCausal
				}
				y = b.Attention(a)
			case "im2col":
				y = b.Im2Col(value("x"), program.PlanarImage, conv())
			case "dwconv":
				y = b.DWConv(value("x"), weight("w"), weight("bias"), conv(), c.Act)
			case "embed":
				y = b.Embed(b.ints(len(c.Ids)/batch, c.Ids), weight("table"), c.Eps, weight("positions"), program.None, weight("row"))
			case "mean":
				y = b.Select(value("x"), program.SelectMean, 0, b.ints(1, c.Lengths), c.Eps)
			default:
				t.Fatalf("unknown case %s", c.Op)
			}
			got := b.run(batch, y, Options{})
			require.Len(t, got, len(c.Out))
			for i, want := range c.Out {
				assert.InDelta(t, want, got[i], 1e-7*(1+math.Abs(want)), "element %d", i)
			}
			seen[b.Ops[0].Kind] = true
		})
	}
	assert.Len(t, seen, 9)
}

// TestMoves has the ops that move or combine elements, on numbers that a reader can follow.
func TestMoves(t *testing.T) {
	x := []float32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12} // [2, 3, 2]
	for _, c := range []struct {
		name  string
		build func(b *bench, x int32) int32
		want  []float32
	}{
		{"concat", func(b *bench, x int32) int32 { return b.Concat(b.weight(gguf.F32, 1, 2, []float32{-1, -2}), x) },
			[]float32{-1, -2, 1, 2, 3, 4, 5, 6, -1, -2, 7, 8, 9, 10, 11, 12}},
		{"concat of weights alone", func(b *bench, x int32) int32 {
			return b.Concat(b.weight(gguf.F32, 1, 2, []float32{-1, -2}), program.None)
		}, []float32{-1, -2, -1, -2}},
		{"add", func(b *bench, x int32) int32 { return b.Add(x, x) }, []float32{2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24}},
		{"add a row", func(b *bench, x int32) int32 { return b.Add(x, b.floats(1, 2, []float32{10, 20, 30, 40})) },
			[]float32{11, 22, 13, 24, 15, 26, 37, 48, 39, 50, 41, 52}},
		{"add a tensor's first rows", func(b *bench, x int32) int32 {
			return b.AddRows(x, b.weight(gguf.F32, 4, 2, []float32{10, 20, 30, 40, 50, 60, 70, 80}))
		}, []float32{11, 22, 33, 44, 55, 66, 17, 28, 39, 50, 61, 72}},
		{"mul by a row", func(b *bench, x int32) int32 { return b.Mul(x, b.floats(1, 2, []float32{1, 2, -1, 0})) },
			[]float32{1, 4, 3, 8, 5, 12, -7, 0, -9, 0, -11, 0}},
		{"first", func(b *bench, x int32) int32 { return b.Select(x, program.SelectRow, 0, program.None, 0) }, []float32{1, 2, 7, 8}},
		{"second", func(b *bench, x int32) int32 { return b.Select(x, program.SelectRow, 1, program.None, 0) }, []float32{3, 4, 9, 10}},
		{"last", func(b *bench, x int32) int32 { return b.Select(x, program.SelectLast, 0, program.None, 0) }, []float32{5, 6, 11, 12}},
		{"index", func(b *bench, x int32) int32 {
			return b.Select(x, program.SelectIndex, 0, b.ints(1, []int32{2, 0}), 0)
		}, []float32{5, 6, 7, 8}},
		{"mean", func(b *bench, x int32) int32 { return b.Select(x, program.SelectMean, 0, program.None, 0) }, []float32{3, 4, 9, 10}},
		{"channels-last patches", func(b *bench, x int32) int32 {
			return b.Im2Col(x, program.ChannelsImage, program.Conv{Channels: 2, H: 1, W: 3, KH: 1, KW: 2, Stride: 2, PadLeft: 1, OH: 1, OW: 2})
		}, []float32{0, 0, 1, 2, 3, 4, 5, 6, 0, 0, 7, 8, 9, 10, 11, 12}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			assert.Equal(t, c.want, b.run(2, c.build(b, b.floats(3, 2, x)), Options{}))
		})
	}
}

func TestNoKeyGivesZeros(t *testing.T) {
	b := newBench(t)
	x := b.floats(2, 2, []float32{1, 2, 3, 4})
	y := b.Attention(program.AttentionArgs{Q: x, K: x, V: x, Heads: 1, HeadDim: 2, Lengths: b.ints(1, []int32{0}), Scale: 1})
	assert.Equal(t, []float32{0, 0, 0, 0}, b.run(1, y, Options{}))
}

// TestQuantize8 has the rounding of activations, worked out by hand: d = max/127, halves to even.
func TestQuantize8(t *testing.T) {
	row := make([]float32, 64) // a group, or less than one
	copy(row, []float32{127, -127, 0.5, 1.5, 2.5, -0.5, -1.5, 0.49, 126.6})
	row[32], row[33] = 254, 3
	got := make([]float64, 64)
	quantize8(got, row, 32)
	assert.Equal(t, []float64{127, -127, 0, 2, 2, 0, -2, 0, 127, 0}, got[:10])
	assert.Equal(t, []float64{254, 4, 0}, got[32:35]) // d = 2, 1.5 to even
	quantize8(got, row, 64)
	assert.Equal(t, []float64{128, -128, 0}, got[:3]) // d = 2, 63.5 to even
	quantize8(got, row, 128)
	assert.Equal(t, []float64{128, -128, 0}, got[:3])
	row[1] = float32(math.NaN())
	quantize8(got, row, 32)
	assert.True(t, math.IsNaN(got[0]) && math.IsNaN(got[31]) && got[32] == 254)
	clear(row)
	row[0] = 1e-37
	quantize8(got, row, 32)
	assert.Equal(t, 0.0, got[0])
}

// TestActivations says which weights each kind of activations matters to, and about how much.
func TestActivations(t *testing.T) {
	const cols, rows = 256, 40
	rng := rand.New(rand.NewPCG(1, 1))
	normals := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		return x
	}
	x, w := normals(cols), normals(rows*cols)
	product := func(typ gguf.Type, a Activations) []float32 {
		b := newBench(t)
		y := b.Linear(b.floats(1, cols, x), program.LinearArgs{Weights: []int32{b.weight(typ, rows, cols, w)},
			Biases: []int32{program.None}, Gate: program.None, Scale: program.None, Residual: program.None})
		return b.run(1, y, Options{Activations: a})
	}
	// error of a relative to float activations, as a share of the rms
	off := func(typ gguf.Type, a Activations) float64 {
		exact, got := product(typ, F32), product(typ, a)
		var d, s float64
		for i := range got {
			d += math.Pow(float64(got[i]-exact[i]), 2)
			s += math.Pow(float64(exact[i]), 2)
		}
		return math.Sqrt(d / s)
	}
	for _, typ := range []gguf.Type{gguf.Q8_0, gguf.Q4_0, gguf.Q4_K} {
		block, group := off(typ, Int8Block), off(typ, Int8)
		assert.True(t, 1e-3 < block && block < group && group < 2e-2, "%s: %v %v", typ, block, group)
		assert.Equal(t, group, off(typ, BF16), typ)
	}
	for _, typ := range []gguf.Type{gguf.F16, gguf.BF16} {
		assert.Zero(t, off(typ, Int8Block), typ)
		assert.Zero(t, off(typ, Int8), typ)
		bf16 := off(typ, BF16)
		assert.True(t, 1e-4 < bf16 && bf16 < 1e-2, "%s: %v", typ, bf16)
	}
	for a := F32; a <= BF16; a++ {
		assert.Zero(t, off(gguf.F32, a))
	}
}

// TestThreads has the same bits however many threads run.
func TestThreads(t *testing.T) {
	product := func(threads int) []float32 {
		b := newBench(t)
		x := make([]float32, 3*100*37)
		for i := range x {
			x[i] = float32(math.Sin(float64(i)))
		}
		y := b.Linear(b.floats(100, 37, x), program.LinearArgs{Weights: []int32{b.weight(gguf.F32, 51, 37, x[:51*37])},
			Biases: []int32{program.None}, Gate: program.None, Scale: program.None, Residual: program.None})
		return b.run(3, b.Norm(y, program.LayerNorm, program.None, program.None, 1e-5), Options{Threads: threads})
	}
	assert.Equal(t, product(1), product(7))
}

func TestRefusals(t *testing.T) {
	b := newBench(t)
	b.Output("y", b.Embed(b.ints(1, []int32{0}), b.weight(gguf.F32, 2, 2, make([]float32, 4)), 1, program.None, program.None, program.None))
	weights, err := Stored(&b.Program, b.tensors)
	require.NoError(t, err)

	_, err = Stored(&b.Program, nil)
	assert.ErrorContains(t, err, "0 tensors, expected the program's 1")
	_, err = Stored(&b.Program, [][]byte{make([]byte, 15)})
	assert.ErrorContains(t, err, "tensor w0: has 15 bytes, its shape and type need 16")
	odd := b.Program
	odd.Tensors = []program.Tensor{{Name: "w0", Type: gguf.IQ1_S, Rows: 1, Cols: 256}}
	_, err = Stored(&odd, [][]byte{make([]byte, 50)})
	assert.ErrorContains(t, err, "tensor w0: can't compute with type IQ1_S")

	_, err = New(&program.Program{}, weights, Options{})
	assert.ErrorContains(t, err, "program has 0 values")
	_, err = New(&b.Program, weights, Options{Activations: 4})
	assert.ErrorContains(t, err, "activations are 4")
	_, err = New(&b.Program, weights, Options{Threads: -1})
	assert.ErrorContains(t, err, "threads are -1")

	vm, err := New(&b.Program, weights, Options{})
	require.NoError(t, err)
	ctx, in, out := context.Background(), make([]byte, 4), make([]byte, 8)
	assert.NoError(t, vm.Run(ctx, 1, 1, in, out))
	assert.ErrorContains(t, vm.Run(ctx, 0, 1, in, out), "0 items of 1 rows")
	assert.ErrorContains(t, vm.Run(ctx, 1, 0, in, out), "1 items of 0 rows")
	assert.ErrorContains(t, vm.Run(ctx, 1, 1, in[:3], out), "the input has 3 bytes, expected 4")
	assert.ErrorContains(t, vm.Run(ctx, 1, 1, in, out[:7]), "the output has 7 bytes, expected 8")
	assert.ErrorContains(t, vm.Run(ctx, math.MaxInt32, 1, in, out), "too large")
	in[0] = 2
	assert.ErrorContains(t, vm.Run(ctx, 1, 1, in, out), "op 0 (embed): element 0 of value 0 is 2, expected 0 to 1")

	cause := errors.New("enough")
	cancelled, cancel := context.WithCancelCause(ctx)
	cancel(cause)
	assert.ErrorIs(t, vm.Run(cancelled, 1, 1, in, out), cause)
}

// BenchmarkLinear is the large product of a ViT-B/32 block: 50 rows, 768 to 3072.
func BenchmarkLinear(b *testing.B) {
	for _, typ := range []gguf.Type{gguf.F32, gguf.Q8_0} {
		b.Run(typ.String(), func(b *testing.B) {
			f := newBench(b)
			f.Output("y", f.Linear(f.Input("x", program.F32, program.Fixed(50), 768), program.LinearArgs{
				Weights: []int32{f.weight(typ, 3072, 768, make([]float32, 3072*768))}, Biases: []int32{program.None},
				Gate: program.None, Scale: program.None, Residual: program.None}))
			weights, err := Stored(&f.Program, f.tensors)
			require.NoError(b, err)
			vm, err := New(&f.Program, weights, Options{})
			require.NoError(b, err)
			in, out := make([]byte, 4*50*768), make([]byte, 4*50*3072)
			for b.Loop() {
				require.NoError(b, vm.Run(b.Context(), 1, 1, in, out))
			}
			b.ReportMetric(50*768*3072*float64(b.N)/b.Elapsed().Seconds()/1e9, "Gmadd/s")
		})
	}
}
