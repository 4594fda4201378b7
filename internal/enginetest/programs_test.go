package enginetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/clipgo/clipgo/bindings"
	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/program"
	"github.com/clipgo/clipgo/internal/refvm"
)

// randomProgram builds a program of some ops over values that it picks at random.
func randomProgram(t testing.TB, seed uint64) *fixture {
	rng := rand.New(rand.NewPCG(seed, 2))
	f := newFixture(t, seed, 1+rng.IntN(3), 1+rng.IntN(9))
	f.spread = 0.5
	heads := 1 + rng.IntN(3)
	width := heads * (1 + rng.IntN(40))
	types := []gguf.Type{gguf.F32, gguf.F16, gguf.BF16}
	norms := func() int32 { return f.weight(gguf.F32, 1, width) }
	values := []int32{f.floats(program.PerItem(rng.IntN(3)), width)}
	pick := func() int32 { return values[rng.IntN(len(values))] }
	// like returns values of the same rows as v.
	like := func(v int32) (all []int32) {
		for _, w := range values {
			if f.Values[w].Rows == f.Values[v].Rows {
				all = append(all, w)
			}
		}
		return all
	}
	for range 3 + rng.IntN(12) {
		x := pick()
		same := like(x)
		y := same[rng.IntN(len(same))]
		var made int32
		switch rng.IntN(9) {
		case 0:
			made = f.Norm(x, int32(program.LayerNorm), norms(), norms(), 1e-5)
		case 1:
			made = f.Norm(x, int32(program.RMSNorm), norms(), program.None, 1e-5)
		case 2:
			made = f.Add(x, y)
		case 3:
			made = f.Mul(f.L2Norm(x, 1e-6), y)
		case 4:
			made = f.Act(x, program.Activation(rng.IntN(8)))
		case 5:
			args := program.LinearArgs{Weights: []int32{f.weight(types[rng.IntN(3)], width, width)}, Biases: []int32{norms()},
				Act: program.Activation(rng.IntN(8)), Gate: program.None, Scale: program.None, Residual: program.None}
			if rng.IntN(2) == 0 {
				args.Residual = y
			}
			if rng.IntN(2) == 0 {
				args.Gate = pick()
				if f.Values[args.Gate].Rows != f.Values[x].Rows {
					args.Gate = program.None
				}
			}
			// A norm first, so that sums don't grow from op to op.
			made = f.Linear(f.Norm(x, int32(program.LayerNorm), program.None, program.None, 1e-5), args)
		case 6:
			k := pick()
			made = f.Attention(program.AttentionArgs{Q: x, K: k, V: k, Heads: heads, HeadDim: width / heads,
				Mask: int32(rng.IntN(2)), Lengths: program.None, Scale: 0.3})
		case 7:
			if f.Values[x].Rows.Add < 20 {
				made = f.Concat(f.weight(gguf.F32, 1+rng.IntN(3), width), x)
			} else {
				made = f.Select(x, program.SelectMean, 0, program.None, 0)
			}
		case 8:
			made = f.Select(x, program.SelectLast, 0, program.None, 0)
		}
		values = append(values, made)
	}
	for i, v := range values[1:] {
		if i == len(values)-2 || rng.IntN(4) == 0 {
			f.Output("", v)
		}
	}
	return f
}

// TestRandomPrograms finds what an arena that reuses memory, or a fusion, may break between ops.
func TestRandomPrograms(t *testing.T) {
	n := uint64(300)
	if testing.Short() {
		n = 50
	}
	for seed := range n {
		f := randomProgram(t, seed)
		f.floor = 1e-2  // a norm of nearly equal elements blows their errors up
		f.compare(1e-3) // errors pass through up to fourteen ops
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// TestVerifiersAgree changes one field of a good program at a time: Go and C must both take the result or both refuse it.
// What both take must run.
func TestVerifiersAgree(t *testing.T) {
	d := devices(t)[0]
	n := 6000
	if testing.Short() {
		n = 1000
	}
	rng := rand.New(rand.NewPCG(1, 3))
	var taken, refused int
	for i := range n {
		f := everyOp(t)
		change := mutate(rng, &f.Program)
		goErr := f.Verify()
		l, cErr := f.load(d)
		if (goErr == nil) != (cErr == nil) {
			t.Fatalf("change %d (%s): Go says %v, C says %v\n%s", i, change, goErr, cErr, f.String())
		}
		var refusal *bindings.Error
		if cErr != nil {
			if !errors.As(cErr, &refusal) || refusal.Code != bindings.CodeProgram {
				t.Fatalf("change %d (%s): C says %v, expected an error of the program", i, change, cErr)
			}
			refused++
			continue
		}
		taken++
		// Larger than memory is no crash either.
		if c, err := l.NewContext(bindings.ContextOptions{MaxBatch: f.batch, MaxRows: f.rows}); err == nil {
			offsets, size := f.Layout(program.Input, f.batch, f.rows)
			if _, outSize := f.Layout(program.Output, f.batch, f.rows); len(offsets) > 0 && size < 1<<24 && outSize < 1<<24 {
				_ = c.Run(t.Context(), f.batch, f.rows, make([]byte, size), make([]byte, outSize))
			}
			c.Close()
		}
		l.close()
	}
	if taken < n/100 || refused < n/4 {
		t.Errorf("%d programs were taken and %d refused: the changes test too little", taken, refused)
	}
}

// everyOp is a small program with each kind of op.
func everyOp(t testing.TB) *fixture {
	f := newFixture(t, 1, 1, 4)
	g := program.Conv{Channels: 2, H: 4, W: 4, KH: 2, KW: 2, Stride: 2, OH: 2, OW: 2}
	linear := program.LinearArgs{Biases: []int32{program.None, program.None}, Gate: program.None, Scale: program.None,
		Residual: program.None}
	image := f.Im2Col(f.floats(program.Fixed(8), 4), program.PlanarImage, g)
	image = f.DWConv(image, f.weight(gguf.F32, 8, 4), f.weight(gguf.F32, 1, 8),
		program.Conv{Channels: 8, H: 2, W: 2, KH: 2, KW: 2, Stride: 1, PadTop: 1, PadLeft: 1, OH: 2, OW: 2}, program.ActReLU)
	f.Output("image", f.Concat(f.weight(gguf.F32, 1, 8), image))
	x := f.Embed(f.ints(program.PerItem(0), 9), f.weight(gguf.F16, 10, 8), 1, f.weight(gguf.F32, 9, 8), program.None,
		f.weight(gguf.F32, 1, 8))
	x = f.AddRows(x, f.weight(gguf.F32, 6, 8))
	h := f.Norm(x, program.LayerNorm, f.weight(gguf.F32, 1, 8), f.weight(gguf.F32, 1, 8), 1e-5)
	linear.Weights = []int32{f.weight(gguf.F32, 8, 8), f.weight(gguf.F16, 16, 8)}
	linear.Biases[1] = f.weight(gguf.F32, 1, 16)
	qkv := f.Linear(h, linear)
	h = f.Attention(program.AttentionArgs{Q: qkv, K: qkv, V: qkv, KCol: 8, VCol: 16, Heads: 2, HeadDim: 4,
		Mask: program.MaskCausal, Lengths: f.ints(program.Fixed(1), 4), Scale: 0.5})
	x = f.Add(x, f.Mul(h, f.Act(x, program.ActSiLU)))
	f.Output("text", f.L2Norm(f.Select(x, program.SelectIndex, 0, f.ints(program.Fixed(1), 3), 0), 1e-12))
	f.Output("mean", f.Select(x, program.SelectMean, 0, program.None, 1))
	return f
}

// mutate changes one field of a record, and returns its name.
func mutate(rng *rand.Rand, p *program.Program) string {
	number := func(old int32) int32 {
		numbers := []int32{-2, -1, 0, 1, 2, 3, 4, 5, 8, 9, 16, 24, 100, 1 << 15, 1<<15 + 1, 1 << 24, 1<<24 + 1, 1<<31 - 1, -1 << 31,
			old + 1, old - 1, old * 2}
		return numbers[rng.IntN(len(numbers))]
	}
	if rng.IntN(4) == 0 {
		v := &p.Values[rng.IntN(len(p.Values))]
		switch rng.IntN(5) {
		case 0:
			v.Kind = program.Kind(number(int32(v.Kind)))
			return "kind"
		case 1:
			v.Role = program.Role(number(int32(v.Role)))
			return "role"
		case 2:
			v.Rows.Scale = uint32(number(int32(v.Rows.Scale)))
			return "row scale"
		case 3:
			v.Rows.Add = uint32(number(int32(v.Rows.Add)))
			return "row add"
		}
		v.Width = int(uint32(number(int32(v.Width))))
		return "width"
	}
	op := &p.Ops[rng.IntN(len(p.Ops))]
	change := func(fields []int32) {
		i := rng.IntN(len(fields))
		fields[i] = number(fields[i])
	}
	switch rng.IntN(8) {
	case 0:
		op.Kind = program.OpKind(number(int32(op.Kind)))
		return "op kind"
	case 1:
		op.Dst = number(op.Dst)
		return "dst"
	case 2:
		change(op.Src[:])
		return "src"
	case 3:
		change(op.W[:])
		return "w"
	case 4:
		floats := []float32{0, 1, -1, 1e-5, inf, -inf, inf - inf}
		op.F[rng.IntN(4)] = floats[rng.IntN(len(floats))]
		return "f"
	case 5:
		i, j := rng.IntN(len(p.Ops)), rng.IntN(len(p.Ops))
		p.Ops[i], p.Ops[j] = p.Ops[j], p.Ops[i]
		return "order"
	}
	change(op.I[:])
	return "i"
}

var inf = func() float32 { x := float32(1e38); return x * x }()

// TestBadInputs gives what only a run can refuse. Both engines do, and the next run is right.
func TestBadInputs(t *testing.T) {
	embed := func(f *fixture, ids ...int32) {
		x := f.exactInts(program.PerItem(0), ids...)
		f.Output("y", f.Embed(x, f.weight(gguf.F32, 10, 8), 1, f.weight(gguf.F32, 4, 8), program.None, program.None))
	}
	cases := map[string]struct {
		rows   int
		build  func(f *fixture)
		detail int64 // -1: any
	}{
		"id of the table's size": {3, func(f *fixture) { embed(f, 1, 10, 3) }, 10},
		"negative id":            {3, func(f *fixture) { embed(f, 1, 2, -7) }, -7},
		"huge id":                {1, func(f *fixture) { embed(f, 1<<31-1) }, 1<<31 - 1},
		"too few positions":      {5, func(f *fixture) { embed(f, 1, 2, 3, 4, 5) }, -1},
		"position id": {2, func(f *fixture) {
			f.Output("y", f.Embed(f.exactInts(program.PerItem(0), 0, 0), f.weight(gguf.F32, 10, 8), 1, f.weight(gguf.F32, 4, 8),
				f.exactInts(program.PerItem(0), 3, 4), program.None))
		}, 4},
		"too few rows to add": {6, func(f *fixture) {
			f.Output("y", f.AddRows(f.floats(program.PerItem(0), 8), f.weight(gguf.F32, 5, 8)))
		}, -1},
		"more keys than rows": {3, func(f *fixture) {
			x := f.floats(program.PerItem(0), 8)
			f.Output("y", f.Attention(program.AttentionArgs{Q: x, K: x, V: x, Heads: 1, HeadDim: 8, Lengths: f.exactInts(program.Fixed(1), 4),
				Scale: 1}))
		}, 4},
		"negative key count": {3, func(f *fixture) {
			x := f.floats(program.PerItem(0), 8)
			f.Output("y", f.Attention(program.AttentionArgs{Q: x, K: x, V: x, Heads: 1, HeadDim: 8, Lengths: f.exactInts(program.Fixed(1), -1),
				Scale: 1}))
		}, -1},
		"keys before the first item": {3, func(f *fixture) {
			x := f.floats(program.PerItem(0), 8)
			f.Output("y", f.Attention(program.AttentionArgs{Q: x, K: x, V: x, Heads: 1, HeadDim: 8,
				Lengths: f.exactIntRows(program.Fixed(1), 2, 3, 1), Scale: 1}))
		}, 1},
		"selected row": {3, func(f *fixture) {
			f.Output("y", f.Select(f.floats(program.PerItem(0), 8), program.SelectIndex, 0, f.exactInts(program.Fixed(1), 3), 0))
		}, 3},
		"mean of too many": {3, func(f *fixture) {
			f.Output("y", f.Select(f.floats(program.PerItem(0), 8), program.SelectMean, 0, f.exactInts(program.Fixed(1), 4), 0))
		}, 4},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, 1, 1, c.rows)
			c.build(f)
			in := f.input()
			if _, err := f.oracle(in, refvm.Options{}); err == nil {
				t.Error("the interpreter takes it")
			} else {
				t.Log(err)
			}
			for _, d := range devices(t) {
				_, err := f.run(d, in)
				var refusal *bindings.Error
				if !errors.As(err, &refusal) || refusal.Code != bindings.CodeInput {
					t.Fatalf("%s: %v, expected an input error", d.isa, err)
				}
				if c.detail != -1 && refusal.Detail != c.detail {
					t.Errorf("%s: detail is %d, expected %d: %v", d.isa, refusal.Detail, c.detail, err)
				}
				t.Log(err)
			}
		})
	}
}

// TestBadSizes gives buffers and sizes that don't fit.
func TestBadSizes(t *testing.T) {
	d := devices(t)[0]
	f := newFixture(t, 1, 2, 3)
	f.Output("y", f.linear(f.floats(program.PerItem(0), 8), f.weight(gguf.F32, 4, 8)))
	l, err := f.load(d)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	c, err := l.NewContext(bindings.ContextOptions{MaxBatch: 2, MaxRows: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in, out := f.input(), make([]byte, f.outputBytes())
	weights, err := refvm.Stored(&f.Program, f.stored())
	if err != nil {
		t.Fatal(err)
	}
	vm, err := refvm.New(&f.Program, weights, refvm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	type run = func(ctx context.Context, batch, rows int, in, out []byte) error
	for name, bad := range map[string]func(r run) error{
		"short input":  func(r run) error { return r(t.Context(), 2, 3, in[:len(in)-1], out) },
		"no input":     func(r run) error { return r(t.Context(), 2, 3, nil, out) },
		"short output": func(r run) error { return r(t.Context(), 2, 3, in, out[:len(out)-1]) },
		"no batch":     func(r run) error { return r(t.Context(), 0, 3, in, out) },
		"no rows":      func(r run) error { return r(t.Context(), 2, 0, in, out) },
		"negative":     func(r run) error { return r(t.Context(), -1, 3, in, out) },
		"huge":         func(r run) error { return r(t.Context(), 1<<40, 1<<40, in, out) },
		"large batch":  func(r run) error { return r(t.Context(), 3, 3, in, out) },
	} {
		if err := bad(c.Run); err == nil {
			t.Errorf("%s: the engine takes it", name)
		}
		if err := bad(vm.Run); err == nil {
			t.Errorf("%s: the interpreter takes it", name)
		}
	}
	if err := c.Run(t.Context(), 2, 3, in, out); err != nil {
		t.Errorf("a good run after bad ones: %v", err)
	}
}

// TestCancel cancels a run that would take long, on each instruction set, and runs again at once.
func TestCancel(t *testing.T) {
	f := newFixture(t, 1, 2, 64)
	x := f.floats(program.PerItem(0), 256)
	w := f.weight(gguf.F32, 256, 256)
	for range 150 {
		x = f.linear(f.Norm(x, program.LayerNorm, program.None, program.None, 1e-5), w)
	}
	f.Output("y", x)
	in := f.input()
	for _, d := range devices(t) {
		l, err := f.load(d)
		if err != nil {
			t.Fatal(err)
		}
		c, err := l.NewContext(bindings.ContextOptions{MaxBatch: f.batch, MaxRows: f.rows})
		if err != nil {
			t.Fatal(err)
		}
		out := make([]byte, f.outputBytes())
		start := time.Now()
		if err := c.Run(t.Context(), f.batch, f.rows, in, out); err != nil {
			t.Fatal(err)
		}
		whole := time.Since(start)
		want := slices.Clone(out)
		cancelled := func() (time.Duration, error) {
			ctx, cancel := context.WithTimeout(t.Context(), whole/20)
			defer cancel()
			start := time.Now()
			err := c.Run(ctx, f.batch, f.rows, in, out)
			return time.Since(start), err
		}
		took, err := cancelled()
		// On a busy machine the goroutine that cancels may wake up late, but not each time.
		for tries := 1; tries < 5 && took > whole/2; tries++ {
			took, err = cancelled()
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s, %d threads: cancelled after %v of %v: %v", d.isa, d.threads, took, whole, err)
		} else if took > whole/2 {
			t.Errorf("%s, %d threads: a run of %v took %v to end when cancelled at %v", d.isa, d.threads, whole, took, whole/20)
		}
		if err := c.Run(t.Context(), f.batch, f.rows, in, out); err != nil {
			t.Errorf("%s: the run after a cancelled one: %v", d.isa, err)
		}
		if !slices.Equal(out, want) {
			t.Errorf("%s: the run after a cancelled one differs", d.isa)
		}
		c.Close()
		l.close()
	}
	// The interpreter.
	weights, err := refvm.Stored(&f.Program, f.stored())
	if err != nil {
		t.Fatal(err)
	}
	vm, err := refvm.New(&f.Program, weights, refvm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := vm.Run(ctx, f.batch, f.rows, in, make([]byte, f.outputBytes())); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the interpreter, cancelled: %v", err)
	}
}
