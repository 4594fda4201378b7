package enginetest

import (
	"fmt"
	"testing"

	"github.com/clipgo/clipgo/bindings"
	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/program"
	"github.com/clipgo/clipgo/quantize"
)

// types are the tensor types that the engine computes with: all that have a decoder.
func types() (all []gguf.Type) {
	for t := gguf.Type(0); t < 64; t++ {
		if quantize.CanDequantize(t) {
			all = append(all, t)
		}
	}
	return all
}

// linearShapes are {batch, rows, cols in blocks or elements, columns of the result}: single elements, tails on each side
// of every panel width and tile height, and several blocks of rows.
var linearShapes = [][4]int{
	{1, 1, 1, 1}, {1, 2, 2, 3}, {3, 1, 1, 16}, {1, 5, 3, 17}, {3, 7, 1, 33}, {1, 77, 2, 15}, {3, 77, 3, 70},
}

func TestLinearTypes(t *testing.T) {
	for _, typ := range types() {
		for a := bindings.ActivationsF32; a <= bindings.ActivationsBF16; a++ {
			t.Run(fmt.Sprintf("%s/activations%d", typ, a), func(t *testing.T) {
				for i, s := range linearShapes {
					cols := s[2] * typ.BlockSize()
					if !typ.Quantized() {
						cols = []int{1, 3, 31, 32, 65, 100, 257}[i]
					}
					f := newFixture(t, uint64(i), s[0], s[1])
					f.activations = a
					tol := tolerance
					if a != bindings.ActivationsF32 {
						tol = toleranceOf(typ)
					}
					f.Output("y", f.linear(f.floats(program.PerItem(0), cols), f.weight(typ, s[3], cols)))
					f.compare(tol)
				}
			})
		}
	}
}

// TestLinearRounds has float weights that may be rounded to Q8_0, in rows that are no whole blocks, too.
func TestLinearRounds(t *testing.T) {
	for _, typ := range []gguf.Type{gguf.F32, gguf.F16, gguf.BF16} {
		for a := bindings.ActivationsF32; a <= bindings.ActivationsBF16; a++ {
			for i, cols := range []int{1, 3, 31, 32, 33, 65, 100, 128, 257, 588} {
				f := newFixture(t, uint64(i), 1+i%3, 1+7*i)
				f.activations = a
				w := f.weight(typ, 37, cols)
				f.Output("y", f.Linear(f.floats(program.PerItem(0), cols), program.LinearArgs{Weights: []int32{w},
					Biases: []int32{program.None}, Gate: program.None, Scale: program.None, Residual: program.None, MayRound: true}))
				if a == bindings.ActivationsF32 {
					f.compare(tolerance)
				} else {
					f.compare(toleranceInt8)
				}
			}
		}
	}
}

// TestLinearRows runs every number of rows that a tile may be left with, and a row count past a block in the cache.
func TestLinearRows(t *testing.T) {
	for _, typ := range []gguf.Type{gguf.F32, gguf.F16, gguf.Q8_0, gguf.Q4_0} {
		for _, rows := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 24, 25, 47, 48, 49, 77, 300} {
			f := newFixture(t, uint64(rows), 1, rows)
			f.activations = bindings.ActivationsInt8
			f.Output("y", f.linear(f.floats(program.PerItem(0), 64), f.weight(typ, 50, 64)))
			f.compare(toleranceOf(typ))
		}
	}
}

// TestLinearDeep has long sums.
func TestLinearDeep(t *testing.T) {
	for _, typ := range []gguf.Type{gguf.F32, gguf.BF16, gguf.Q8_0, gguf.Q4_K} {
		f := newFixture(t, 7, 1, 5)
		f.activations = bindings.ActivationsInt8
		f.Output("y", f.linear(f.floats(program.PerItem(0), 4096), f.weight(typ, 37, 4096)))
		f.compare(2 * toleranceOf(typ))
	}
}

// TestLinearEpilogue has every activation with every combination of bias, gate, scale and residual, over one to three
// tensors of different types.
func TestLinearEpilogue(t *testing.T) {
	mixes := [][]gguf.Type{{gguf.F32}, {gguf.Q8_0}, {gguf.F16, gguf.Q4_0}, {gguf.Q8_0, gguf.F32, gguf.BF16}}
	for act := program.ActNone; act <= program.ActTanh; act++ {
		t.Run(act.String(), func(t *testing.T) {
			for parts := range 16 {
				for _, mix := range mixes {
					f := newFixture(t, uint64(parts), 2, 3)
					f.activations = bindings.ActivationsInt8
					args := program.LinearArgs{Act: act, Gate: program.None, Scale: program.None, Residual: program.None}
					width := 0
					for i, typ := range mix {
						n := []int{19, 5, 33}[i]
						width += n
						f.spread = 0.2
						args.Weights = append(args.Weights, f.weight(typ, n, 64))
						bias := program.None
						if parts&1 != 0 && i != 1 {
							bias = f.weight(gguf.F32, 1, n)
						}
						args.Biases = append(args.Biases, bias)
					}
					f.spread = 1
					x := f.floats(program.PerItem(1), 64)
					if parts&2 != 0 {
						args.Gate = f.floats(program.PerItem(1), width)
					}
					if parts&4 != 0 {
						args.Scale = f.weight(gguf.F32, 1, width)
					}
					if parts&8 != 0 {
						args.Residual = f.floats(program.PerItem(1), width)
					}
					f.Output("y", f.Linear(x, args))
					f.compare(toleranceOf(mix...))
				}
			}
		})
	}
}

// TestLinearInt8Edges has activations that 8 bits are bad at: zeros, one large element, ties, tiny and huge numbers.
func TestLinearInt8Edges(t *testing.T) {
	rows := map[string]func(i int) float32{
		"zeros":    func(int) float32 { return 0 },
		"one":      func(i int) float32 { return float32(max(0, i%32-30)) },
		"ties":     func(i int) float32 { return float32(i%32) + 0.5 },
		"limit":    func(i int) float32 { return []float32{127, -127, 63.5, -0.5}[i%4] },
		"tiny":     func(i int) float32 { return float32(i) * 1e-38 },
		"subnorm":  func(i int) float32 { return float32(i) * 1e-42 },
		"huge":     func(i int) float32 { return float32(i-40) * 1e30 },
		"infinite": func(i int) float32 { return []float32{1, 2, 3, 0}[i%4] / float32(max(0, 5-i)) },
	}
	for name, row := range rows {
		for _, a := range []bindings.Activations{bindings.ActivationsInt8, bindings.ActivationsInt8Block} {
			t.Run(fmt.Sprintf("%s/activations%d", name, a), func(t *testing.T) {
				f := newFixture(t, 1, 1, 2)
				f.activations = a
				x := f.given(program.PerItem(0), 96, func(n int) []float32 {
					out := make([]float32, n)
					for i := range out {
						out[i] = row(i % 96)
					}
					return out
				})
				f.Output("y", f.linear(x, f.weight(gguf.Q8_0, 9, 96)))
				f.compare(toleranceInt8)
			})
		}
	}
}

// TestNormIntoLinear has what the engine fuses, and what keeps it from fusing: a value that others read as well. A norm's
// last bit may tip an 8-bit code to its neighbour, an error of 1/127 of the block's largest in one of many products.
func TestNormIntoLinear(t *testing.T) {
	for _, mode := range []struct {
		a    bindings.Activations
		typ  gguf.Type
		tol  float64
		name string
	}{
		{bindings.ActivationsF32, gguf.F32, tolerance, "f32"},
		{bindings.ActivationsF32, gguf.Q8_0, tolerance, "f32 of q8_0"},
		{bindings.ActivationsInt8, gguf.Q8_0, 3e-3, "int8"},
		{bindings.ActivationsInt8Block, gguf.Q4_0, 3e-3, "int8 block"},
		{bindings.ActivationsBF16, gguf.F16, 3e-3, "bf16"},
	} {
		for _, readers := range []string{"one linear", "two linears", "two forms", "an add as well", "an output"} {
			t.Run(mode.name+"/"+readers, func(t *testing.T) {
				f := newFixture(t, 3, 3, 9)
				f.activations = mode.a
				x := f.floats(program.PerItem(0), 96)
				h := f.Norm(x, program.LayerNorm, f.weight(gguf.F32, 1, 96), f.weight(gguf.F32, 1, 96), 1e-5)
				y := f.linear(h, f.weight(mode.typ, 96, 96))
				switch readers {
				case "two linears":
					f.Output("z", f.linear(h, f.weight(mode.typ, 50, 96)))
				case "two forms":
					f.Output("z", f.linear(h, f.weight(gguf.F32, 50, 96)))
				case "an add as well":
					f.Output("z", f.Add(h, x))
				case "an output":
					f.Output("z", h)
				}
				f.Output("y", f.linear(y, f.weight(gguf.F32, 10, 96)))
				f.compare(mode.tol)
			})
		}
	}
}
