package enginetest

import (
	"fmt"
	"math"
	"testing"

	"github.com/clipgo/clipgo/bindings"
	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/program"
	"github.com/clipgo/clipgo/internal/refvm"
)

// exact is the tolerance of ops that do at most one operation on an element, and round once as the interpreter does.
const exact = 0

// widths have every remainder by a vector of 4, 8 and 16, and lie on both sides of one, two and more vectors.
var widths = []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 15, 16, 17, 23, 31, 32, 33, 47, 48, 63, 64, 65, 96, 127, 130, 257}

// batches are {batch, rows}.
var batches = [][2]int{{1, 1}, {1, 77}, {3, 1}, {3, 5}}

// everyShape calls build for fixtures of all widths and batches.
func everyShape(t *testing.T, tol float64, build func(f *fixture, width int)) {
	t.Helper()
	for _, width := range widths {
		for _, b := range batches {
			f := newFixture(t, uint64(width), b[0], b[1])
			build(f, width)
			f.compare(tol)
		}
	}
}

func TestDifferenceSeesErrors(t *testing.T) {
	f := newFixture(t, 1, 1, 1)
	f.Output("y", f.Act(f.floats(program.Fixed(1), 3), program.ActReLU))
	inf := float32(math.Inf(1))
	nan := float32(math.NaN())
	for _, c := range []struct {
		got, want []float32
		ok        bool
	}{
		{[]float32{1, 2, 3}, []float32{1, 2, 3}, true},
		{[]float32{1, 2, 3.00001}, []float32{1, 2, 3}, true},
		{[]float32{1, 2, 3.001}, []float32{1, 2, 3}, false},
		{[]float32{1.001, 2, 3}, []float32{1, 2, inf}, false},
		{[]float32{1, 2, 3}, []float32{1, 2, inf}, false},
		{[]float32{1, 2, inf}, []float32{1, 2, inf}, true},
		{[]float32{1, 2, nan}, []float32{1, 2, 3}, false},
		{[]float32{1, 2, 3}, []float32{1, 2, nan}, false},
		{[]float32{1, 2, nan}, []float32{1, 2, nan}, true},
	} {
		if err := f.difference(floatBytes(c.got), floatBytes(c.want), 1e-5); (err == nil) != c.ok {
			t.Errorf("%v against %v: %v", c.got, c.want, err)
		}
	}
}

func TestEmbed(t *testing.T) {
	for _, typ := range types() {
		t.Run(typ.String(), func(t *testing.T) {
			for parts := range 8 {
				width := 2 * typ.BlockSize()
				if !typ.Quantized() {
					width = 37
				}
				f := newFixture(t, uint64(parts), 3, 5)
				positions, ids, row, factor := program.None, program.None, program.None, float32(1)
				tokens := f.ints(program.PerItem(0), 10)
				if parts&1 != 0 {
					positions = f.weight(typ, 7, width)
				}
				if parts&2 != 0 {
					row, factor = f.weight(gguf.F32, 1, width), 1.5
				}
				if parts&5 == 5 {
					ids = f.ints(program.PerItem(0), 6)
				}
				f.Output("y", f.Embed(tokens, f.weight(typ, 11, width), factor, positions, ids, row))
				f.compare(1e-6)
			}
		})
	}
	everyShape(t, 1e-6, func(f *fixture, width int) {
		f.Output("y", f.Embed(f.ints(program.PerItem(0), 4), f.weight(gguf.F16, 5, width), 0.5,
			f.weight(gguf.BF16, 77, width), program.None, f.weight(gguf.F32, 1, width)))
	})
}

var convs = []program.Conv{
	{Channels: 3, H: 8, W: 8, KH: 4, KW: 4, Stride: 4, OH: 2, OW: 2},
	{Channels: 1, H: 1, W: 1, KH: 1, KW: 1, Stride: 1, OH: 1, OW: 1},
	{Channels: 3, H: 7, W: 5, KH: 3, KW: 3, Stride: 2, PadTop: 1, PadLeft: 1, OH: 4, OW: 3},
	{Channels: 5, H: 6, W: 9, KH: 3, KW: 2, Stride: 1, PadTop: 2, PadLeft: 0, OH: 8, OW: 9},
	{Channels: 17, H: 5, W: 5, KH: 7, KW: 7, Stride: 1, PadTop: 3, PadLeft: 3, OH: 5, OW: 5},
	{Channels: 2, H: 9, W: 4, KH: 2, KW: 5, Stride: 3, PadTop: 0, PadLeft: 4, OH: 3, OW: 2},
	{Channels: 33, H: 4, W: 3, KH: 3, KW: 3, Stride: 1, PadTop: 1, PadLeft: 1, OH: 4, OW: 3},
	{Channels: 16, H: 3, W: 20, KH: 1, KW: 9, Stride: 1, PadTop: 0, PadLeft: 4, OH: 3, OW: 20},
}

func TestIm2Col(t *testing.T) {
	for _, g := range convs {
		for _, batch := range []int{1, 3} {
			f := newFixture(t, 1, batch, 1)
			f.Output("planar", f.Im2Col(f.floats(program.Fixed(g.Channels*g.H), g.W), program.PlanarImage, g))
			f.Output("channels", f.Im2Col(f.floats(program.Fixed(g.H*g.W), g.Channels), program.ChannelsImage, g))
			f.compare(exact)
		}
	}
}

func TestDWConv(t *testing.T) {
	for i, g := range convs {
		for act := program.ActNone; act <= program.ActTanh; act++ {
			for _, batch := range []int{1, 3} {
				f := newFixture(t, uint64(i), batch, 1)
				bias := program.None
				if batch == 3 {
					bias = f.weight(gguf.F32, 1, g.Channels)
				}
				x := f.floats(program.Fixed(g.H*g.W), g.Channels)
				f.Output("y", f.DWConv(x, f.weight(gguf.F16, g.Channels, g.KH*g.KW), bias, g, act))
				f.compare(tolerance)
			}
		}
	}
}

func TestConcat(t *testing.T) {
	everyShape(t, exact, func(f *fixture, width int) {
		x := f.floats(program.PerItem(2), width)
		f.Output("one", f.Concat(f.weight(gguf.F16, 1, width), x))
		f.Output("three", f.Concat(f.weight(gguf.F32, 3, width), x))
		f.Output("alone", f.Concat(f.weight(gguf.F32, 2, width), program.None))
	})
}

func TestAddAndMul(t *testing.T) {
	everyShape(t, exact, func(f *fixture, width int) {
		x, y := f.floats(program.PerItem(0), width), f.floats(program.PerItem(0), width)
		row := f.floats(program.Fixed(1), width)
		f.Output("sum", f.Add(x, y))
		f.Output("twice", f.Add(x, x))
		f.Output("sum with a row", f.Add(x, row))
		f.Output("sum with a tensor", f.AddRows(x, f.weight(gguf.F16, 80, width)))
		f.Output("product", f.Mul(x, y))
		f.Output("product with a row", f.Mul(x, row))
	})
}

func TestAct(t *testing.T) {
	for act := program.ActNone; act <= program.ActTanh; act++ {
		t.Run(act.String(), func(t *testing.T) {
			everyShape(t, tolerance, func(f *fixture, width int) {
				f.spread = 4
				f.Output("y", f.Act(f.floats(program.PerItem(0), width), act))
			})
		})
	}
}

// TestActEverywhere compares single elements over the whole range of float32, relative to themselves: where a function goes
// to zero it must do so as the interpreter's does. Each is a row of its own, so that no larger neighbour hides an error.
func TestActEverywhere(t *testing.T) {
	var points []float32
	for _, m := range []float32{1e-45, 1e-38, 1e-20, 1e-7, 1e-4, 0.01, 0.1, 0.3, 0.5, 0.624, 0.625, 0.7, 1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9, 10,
		15, 20, 30, 50, 80, 87, 88, 89, 100, 104, 1000, 1e10, 1e20, 3e38, float32(math.Inf(1))} {
		points = append(points, m, -m)
	}
	points = append(points, 0, float32(math.Copysign(0, -1)), float32(math.NaN()))
	for act := program.ActNone; act <= program.ActTanh; act++ {
		t.Run(act.String(), func(t *testing.T) {
			for i, x := range points {
				f := newFixture(t, uint64(i), 1, 1)
				f.Output("y", f.Act(f.given(program.Fixed(1), 1, func(int) []float32 { return []float32{x} }), act))
				want, err := f.oracle(f.input(), refvm.Options{})
				if err != nil {
					t.Fatal(err)
				}
				y := floatsOf(want, 1)[0]
				for _, d := range devices(t) {
					got, err := f.run(d, f.input())
					if err != nil {
						t.Fatal(err)
					}
					// 1e-14: what is so small has no weight in any sum.
					g := floatsOf(got, 1)[0]
					off := math.Abs(float64(g) - float64(y))
					if g != y && !(g != g && y != y) && !(off <= 2e-6*math.Abs(float64(y))+1e-14) {
						t.Errorf("%s: %s(%v) is %v, expected %v", d.isa, act, x, g, y)
					}
				}
			}
		})
	}
}

func TestNorm(t *testing.T) {
	for parts := range 6 {
		kind, gain, bias := int32(program.LayerNorm), parts&1 != 0, parts&2 != 0
		if parts >= 4 {
			kind, bias = program.RMSNorm, false
		}
		t.Run(fmt.Sprint(kind, gain, bias), func(t *testing.T) {
			everyShape(t, tolerance, func(f *fixture, width int) {
				g, b := program.None, program.None
				if gain {
					g = f.weight(gguf.F32, 1, width)
				}
				if bias {
					b = f.weight(gguf.F16, 1, width)
				}
				f.Output("y", f.Norm(f.floats(program.PerItem(0), width), kind, g, b, 1e-5))
			})
		})
	}
}

// TestNormOffset has a mean that is large against the deviations: subtracting squares would lose everything. The input
// itself has only 24 bits; the rest must not be lost.
func TestNormOffset(t *testing.T) {
	for _, width := range []int{8, 33, 768} {
		f := newFixture(t, 1, 1, 3)
		x := f.given(program.PerItem(0), width, func(n int) []float32 {
			out := f.normals(n)
			for i := range out {
				out[i] += 1000
			}
			return out
		})
		f.Output("y", f.Norm(x, program.LayerNorm, program.None, program.None, 1e-5))
		f.compare(5e-4) // the rounding of a sum of 768 times 1000, against deviations of 1
	}
}

func TestConstantAndZeroRows(t *testing.T) {
	for name, v := range map[string]float32{"zero": 0, "seven": 7, "tiny": 1e-30} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, 1, 2, 2)
			x := f.given(program.PerItem(0), 48, func(n int) []float32 {
				out := make([]float32, n)
				for i := range out {
					out[i] = v
				}
				return out
			})
			f.Output("layer", f.Norm(x, program.LayerNorm, program.None, program.None, 1e-5))
			f.Output("rms", f.Norm(x, program.RMSNorm, program.None, program.None, 1e-6))
			f.Output("unit", f.L2Norm(x, 1e-12))
			f.compare(tolerance)
		})
	}
}

func TestL2Norm(t *testing.T) {
	everyShape(t, tolerance, func(f *fixture, width int) {
		f.Output("y", f.L2Norm(f.floats(program.PerItem(0), width), 1e-12))
	})
}

func TestAttention(t *testing.T) {
	for _, dim := range []int{1, 3, 4, 8, 15, 16, 17, 32, 40, 63, 64, 72, 80, 88, 96, 104, 128, 160} {
		for _, heads := range []int{1, 3} {
			for _, rows := range []int{1, 2, 7, 8, 17, 50, 77} {
				if testing.Short() && rows > 17 && dim != 64 {
					continue
				}
				for mask := program.MaskNone; mask <= program.MaskCausal; mask++ {
					f := newFixture(t, uint64(dim), 1+rows%3, rows)
					f.floor = 0.1 // means of up to 77 values of rms 1, which may cancel
					width := heads * dim
					qkv := f.floats(program.PerItem(0), 3*width)
					f.Output("y", f.Attention(program.AttentionArgs{Q: qkv, K: qkv, V: qkv, KCol: width, VCol: 2 * width, Heads: heads,
						HeadDim: dim, Mask: mask, Lengths: program.None, Scale: float32(1 / math.Sqrt(float64(dim)))}))
					f.compare(tolerance)
				}
			}
		}
	}
}

// TestAttentionRounds has attention that may be rounded to bfloat16 or integers, as the instruction set has it; the interpreter
// doesn't round. With a scale per 32 columns nothing is rounded.
func TestAttentionRounds(t *testing.T) {
	for a, tol := range map[bindings.Activations]float64{bindings.ActivationsInt8: 0.06, bindings.ActivationsBF16: 0.06,
		bindings.ActivationsInt8Block: 2 * tolerance} {
		for _, dim := range []int{1, 3, 16, 17, 64, 72} {
			for _, rows := range []int{1, 2, 7, 50, 77, 331} {
				for mask := program.MaskNone; mask <= program.MaskCausal; mask++ {
					f := newFixture(t, uint64(dim), 1+rows%3, rows)
					f.floor, f.activations = 0.3, a // means of up to 331 values of rms 1, which may cancel
					width := 2 * dim
					qkv := f.floats(program.PerItem(0), 3*width)
					f.Output("y", f.Attention(program.AttentionArgs{Q: qkv, K: qkv, V: qkv, KCol: width, VCol: 2 * width, Heads: 2,
						HeadDim: dim, Mask: mask, Lengths: program.None, Scale: float32(1 / math.Sqrt(float64(dim))), MayRound: true}))
					f.compare(tol)
				}
			}
		}
	}
}

// TestAttentionLong has more rows than any block that a kernel may take.
func TestAttentionLong(t *testing.T) {
	for mask := program.MaskNone; mask <= program.MaskCausal; mask++ {
		f := newFixture(t, 5, 1, 601)
		qkv := f.floats(program.PerItem(0), 3*64)
		f.Output("y", f.Attention(program.AttentionArgs{Q: qkv, K: qkv, V: qkv, KCol: 64, VCol: 128, Heads: 1, HeadDim: 64, Mask: mask,
			Lengths: program.None, Scale: 0.125}))
		f.compare(2 * tolerance)
	}
}

// TestAttentionLengths has padded texts, down to no key at all, in float32 and where it may round.
func TestAttentionLengths(t *testing.T) {
	for mask := program.MaskNone; mask <= program.MaskCausal; mask++ {
		for _, rounds := range []bool{false, true} {
			f := newFixture(t, 1, 5, 40)
			q, kv := f.floats(program.PerItem(0), 50), f.floats(program.PerItem(0), 100)
			lengths := f.exactInts(program.Fixed(1), 40, 0, 1, 17, 33)
			f.Output("y", f.Attention(program.AttentionArgs{Q: q, K: kv, V: kv, VCol: 50, Heads: 2, HeadDim: 25, Mask: mask,
				Lengths: lengths, Scale: 0.2, MayRound: rounds}))
			f.compareRounded(rounds)
		}
	}
}

// compareRounded compares attention in float32, or what rounding may make of it.
func (f *fixture) compareRounded(rounds bool) {
	f.t.Helper()
	tol := tolerance
	if rounds {
		f.floor, f.activations, tol = 0.3, bindings.ActivationsInt8, 0.06
	}
	f.compare(tol)
}

// TestAttentionSharedKeys has rows of the batch before an item as keys: none, an item's, those of several, and no other.
func TestAttentionSharedKeys(t *testing.T) {
	for mask := program.MaskNone; mask <= program.MaskCausal; mask++ {
		for _, rows := range []int32{1, 2, 9, 130} {
			for _, rounds := range []bool{false, true} {
				f := newFixture(t, 1, 5, int(rows))
				qkv := f.floats(program.PerItem(0), 150)
				keys := f.exactIntRows(program.Fixed(1), 2, rows, 0, rows, rows, 1, rows+1, 0, 3*rows, rows-1, 4*rows-1)
				f.Output("y", f.Attention(program.AttentionArgs{Q: qkv, K: qkv, V: qkv, KCol: 50, VCol: 100, Heads: 2, HeadDim: 25,
					Mask: mask, Lengths: keys, Scale: 0.2, MayRound: rounds}))
				f.compareRounded(rounds)
			}
		}
	}
}

// TestAttentionPooling has queries and keys of different numbers of rows, as in an attention pool.
func TestAttentionPooling(t *testing.T) {
	for _, rows := range [][2]program.Rows{
		{program.Fixed(1), program.PerItem(0)}, {program.PerItem(0), program.Fixed(3)}, {program.Fixed(9), program.PerItem(4)},
	} {
		f := newFixture(t, 1, 3, 13)
		q, k, v := f.floats(rows[0], 66), f.floats(rows[1], 70), f.floats(rows[1], 64)
		f.Output("y", f.Attention(program.AttentionArgs{Q: q, K: k, V: v, QCol: 2, KCol: 3, Heads: 4, HeadDim: 16,
			Lengths: program.None, Scale: 0.25}))
		f.compare(tolerance)
	}
}

// TestAttentionSharp has scores that overflow an exponential which isn't taken relative to the largest.
func TestAttentionSharp(t *testing.T) {
	f := newFixture(t, 1, 2, 19)
	f.spread = 30
	qkv := f.floats(program.PerItem(0), 96)
	f.Output("y", f.Attention(program.AttentionArgs{Q: qkv, K: qkv, V: qkv, KCol: 32, VCol: 64, Heads: 2, HeadDim: 16,
		Lengths: program.None, Scale: 1}))
	// A score near 10^4 has an error of 10^-3 itself, and so has its exponential.
	f.compare(5e-3)
}

func TestSelect(t *testing.T) {
	everyShape(t, tolerance, func(f *fixture, width int) {
		x := f.floats(program.PerItem(1), width)
		f.Output("first", f.Select(x, program.SelectRow, 0, program.None, 0))
		f.Output("second", f.Select(x, program.SelectRow, 1, program.None, 0))
		f.Output("last", f.Select(x, program.SelectLast, 0, program.None, 0))
		f.Output("index", f.Select(x, program.SelectIndex, 0, f.ints(program.Fixed(1), f.rows), 0))
		f.Output("mean", f.Select(x, program.SelectMean, 0, program.None, 0))
		f.Output("mean of some", f.Select(x, program.SelectMean, 0, f.ints(program.Fixed(1), f.rows+1), 1e-6))
	})
}
