package program

import (
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/testutil"
)

func f32(name string, rows, cols int) Tensor {
	return Tensor{Name: name, Type: gguf.F32, Rows: rows, Cols: cols}
}

var plain = LinearArgs{Gate: None, Scale: None, Residual: None}

// sample is a program with every op. The comments count the ops.
func sample() *Program {
	b := NewBuilder()
	pixels := b.Input("pixels", F32, Fixed(3*8), 8)
	ids := b.Input("ids", I32, PerItem(0), 1)
	counts := b.Input("counts", I32, Fixed(1), 1)

	g := Conv{Channels: 3, H: 8, W: 8, KH: 4, KW: 4, Stride: 4, OH: 2, OW: 2}
	x := b.Im2Col(pixels, PlanarImage, g) // 0
	patches := plain
	patches.Weights, patches.Biases = []int32{b.Weight(f32("patch", 8, 48))}, []int32{None}
	x = b.Linear(x, patches) // 1
	x = b.DWConv(x, b.Weight(f32("dw", 8, 9)), b.Weight(f32("dw.bias", 1, 8)),
		Conv{Channels: 8, H: 2, W: 2, KH: 3, KW: 3, Stride: 1, PadTop: 1, PadLeft: 1, OH: 2, OW: 2}, ActGELU) // 2
	x = b.Concat(b.Weight(f32("class", 1, 8)), x)   // 3
	x = b.AddRows(x, b.Weight(f32("places", 5, 8))) // 4
	b.Output("image", x)

	y := b.Embed(ids, b.Weight(Tensor{"tokens", gguf.F16, 100, 8}), 1, b.Weight(f32("positions", 77, 8)), None, None) // 5
	h := b.Norm(y, LayerNorm, b.Weight(f32("ln.g", 1, 8)), b.Weight(f32("ln.b", 1, 8)), 1e-5)                         // 6
	qkv := plain
	qkv.Weights = []int32{b.Weight(f32("q", 8, 8)), b.Weight(f32("k", 8, 8)), b.Weight(f32("v", 8, 8))}
	qkv.Biases = []int32{b.Weight(f32("q.b", 1, 8)), None, b.Weight(f32("v.b", 1, 8))}
	h = b.Linear(h, qkv) // 7
	h = b.Attention(AttentionArgs{Q: h, K: h, V: h, KCol: 8, VCol: 16, Heads: 2, HeadDim: 4, Mask: MaskCausal, Lengths: counts,
		Scale: 0.5}) // 8
	out := LinearArgs{Weights: []int32{b.Weight(f32("o", 8, 8))}, Biases: []int32{None}, Act: ActQuickGELU,
		Gate: y, Scale: b.Weight(f32("gamma", 1, 8)), Residual: y}
	y = b.Linear(h, out)                      // 9
	y = b.Mul(b.Add(y, h), b.Act(y, ActSiLU)) // 10 act, 11 add or 10 add, 11 act, 12 mul
	y = b.Select(y, SelectMean, 0, counts, 1e-6)
	b.Output("text", b.L2Norm(y, 1e-12))
	return &b.Program
}

func TestVerifyAcceptsEveryOp(t *testing.T) {
	p := sample()
	require.NoError(t, p.Verify())
	seen := map[OpKind]bool{}
	for _, op := range p.Ops {
		seen[op.Kind] = true
	}
	assert.Len(t, seen, len(signatures)-1, "sample misses ops")
}

// TestVerifyNamesWhatIsWrong breaks the sample in one place at a time.
func TestVerifyNamesWhatIsWrong(t *testing.T) {
	inf := float32(math.Inf(1))
	// find returns the n-th op of a kind.
	find := func(p *Program, kind OpKind, n int) *Op {
		for i := range p.Ops {
			if p.Ops[i].Kind == kind {
				if n == 0 {
					return &p.Ops[i]
				}
				n--
			}
		}
		t.Fatalf("no such op: %s", kind)
		return nil
	}
	tensor := func(p *Program, name string) *Tensor {
		for i := range p.Tensors {
			if p.Tensors[i].Name == name {
				return &p.Tensors[i]
			}
		}
		t.Fatalf("no such tensor: %s", name)
		return nil
	}
	for _, c := range []struct {
		want  string // in the error
		spoil func(p *Program)
	}{
		{"program has 0 values", func(p *Program) { p.Values = nil }},
		{"program has 4097 values", func(p *Program) { p.Values = make([]Value, MaxRecords+1) }},
		{"program has 0 ops", func(p *Program) { p.Ops = nil }},
		{"program has 4097 ops", func(p *Program) { p.Ops = make([]Op, MaxRecords+1) }},

		{"tensor 0 (patch): shape is [0, 48]", func(p *Program) { p.Tensors[0].Rows = 0 }},
		{"tensor 0 (patch): shape is [8, -1]", func(p *Program) { p.Tensors[0].Cols = -1 }},
		{"tensor 0 (patch): shape is [16777217, 48]", func(p *Program) { p.Tensors[0].Rows = MaxExtent + 1 }},
		{"tensor 0 (patch): unknown tensor type 99", func(p *Program) { p.Tensors[0].Type = 99 }},
		{"tensor 0 (patch): row of 48 elements is no multiple of the 32", func(p *Program) { p.Tensors[0].Type = gguf.Q8_0 }},

		{"value %0:pixels: kind is 2", func(p *Program) { p.Values[0].Kind = 2 }},
		{"value %0:pixels: role is 3", func(p *Program) { p.Values[0].Role = 3 }},
		{"value %0:pixels: row scale is 2", func(p *Program) { p.Values[0].Rows.Scale = 2 }},
		{"value %0:pixels: has 0 rows", func(p *Program) { p.Values[0].Rows = Rows{} }},
		{"value %0:pixels: has 16777217 rows", func(p *Program) { p.Values[0].Rows = Fixed(MaxExtent + 1) }},
		{"value %0:pixels: width is 0", func(p *Program) { p.Values[0].Width = 0 }},
		{"value %0:pixels: width is 16777217", func(p *Program) { p.Values[0].Width = MaxExtent + 1 }},
		{"value %3: is of integers but no input", func(p *Program) { p.Values[3].Kind = I32 }},
		{"is written by no op", func(p *Program) { p.Values = append(p.Values, Value{Rows: Fixed(1), Width: 1}) }},

		{"op kind 0): kind is unknown", func(p *Program) { p.Ops[0].Kind = 0 }},
		{"op kind 13): kind is unknown", func(p *Program) { p.Ops[0].Kind = Select + 1 }},
		{"source 0 is missing", func(p *Program) { p.Ops[0].Src[0] = None }},
		{"source 1 is given, but the op has none", func(p *Program) { p.Ops[0].Src[1] = 0 }},
		{"source 0 is value -2 of", func(p *Program) { p.Ops[0].Src[0] = -2 }},
		{"source 0 is value 1000 of", func(p *Program) { p.Ops[0].Src[0] = 1000 }},
		{"op 0 (im2col): source 0 is %4, which is read before it is written", func(p *Program) { p.Ops[0].Src[0] = 4 }},
		{"op 0 (im2col): source 0 is %3, which is read before it is written", func(p *Program) { p.Ops[0].Src[0] = 3 }},
		{"source 0 is %1:ids of i32, expected f32", func(p *Program) { p.Ops[0].Src[0] = 1 }},
		{"source 0 is %0:pixels of f32, expected i32", func(p *Program) { find(p, Embed, 0).Src[0] = 0 }},
		{"tensor 0 is missing", func(p *Program) { find(p, Concat, 0).W[0] = None }},
		{"tensor 1 is given, but the op has none", func(p *Program) { find(p, Concat, 0).W[1] = 0 }},
		{"tensor 0 is 1000 of", func(p *Program) { find(p, Concat, 0).W[0] = 1000 }},
		{"tensor 0 is -2 of", func(p *Program) { find(p, Concat, 0).W[0] = -2 }},
		{"integer 11 is 1, expected 0", func(p *Program) { p.Ops[0].I[11] = 1 }},
		{"float 0 is +Inf, expected a finite", func(p *Program) { find(p, Norm, 0).F[0] = inf }},
		{"float 0 is NaN, expected a finite", func(p *Program) { find(p, Norm, 0).F[0] = inf - inf }},
		{"float 1 is 1, expected 0", func(p *Program) { find(p, Norm, 0).F[1] = 1 }},
		{"dst is value 1000 of", func(p *Program) { p.Ops[0].Dst = 1000 }},
		{"dst is value -1 of", func(p *Program) { p.Ops[0].Dst = None }},
		{"dst is %0:pixels, an input", func(p *Program) { p.Ops[0].Dst = 0 }},
		{"op 1 (linear): dst is %3, which is written twice", func(p *Program) { p.Ops[1].Dst = 3 }},

		{"ids is [1, 1], expected [R, 1]", func(p *Program) { find(p, Embed, 0).Src[0] = 2 }},
		{"table tokens has 9 columns, expected 8", func(p *Program) { tensor(p, "tokens").Cols = 9 }},
		{"positions positions has 9 columns, expected 8", func(p *Program) { tensor(p, "positions").Cols = 9 }},
		{"added row places is [5, 8], expected [1, 8]", func(p *Program) { find(p, Embed, 0).W[2] = find(p, Add, 0).W[0] }},
		{"position ids are given, but no positions", func(p *Program) {
			op := find(p, Embed, 0)
			op.W[1], op.Src[1] = None, op.Src[0]
		}},
		{"position ids is [1, 1], expected [R, 1]", func(p *Program) { find(p, Embed, 0).Src[1] = 2 }},

		{"layout is 2", func(p *Program) { p.Ops[0].I[0] = 2 }},
		{"integer 1 is 0, expected 1 to 32768", func(p *Program) { p.Ops[0].I[1] = 0 }},
		{"integer 7 is -1, expected 0 to 32768", func(p *Program) { p.Ops[0].I[7] = -1 }},
		{"integer 2 is 32769", func(p *Program) { p.Ops[0].I[2] = 32769 }},
		{"padding is 4,0, expected less than the kernel's 4x4", func(p *Program) { p.Ops[0].I[7] = 4 }},
		{"the last window starts outside the 8x8 image", func(p *Program) { p.Ops[0].I[9] = 3 }},
		{"KH*KW is 33554432, expected at most 16777216", func(p *Program) { p.Ops[0].I[4], p.Ops[0].I[5] = 32768, 1024 }},
		{"dst is [4, 48], expected [2, 48]", func(p *Program) { p.Ops[0].I[9] = 1 }},
		{"the image is [24, 8], expected [24, 7]", func(p *Program) { p.Ops[0].I[3] = 7 }},
		{"the image is [24, 8], expected [64, 3]", func(p *Program) { p.Ops[0].I[0] = ChannelsImage }},

		{"(dwconv): activation is 8, expected 0 to 7", func(p *Program) { find(p, DWConv, 0).I[0] = 8 }},
		{"the image is [4, 8], expected [6, 8]", func(p *Program) { find(p, DWConv, 0).I[3] = 3 }},
		{"kernel dw is [8, 8], expected [8, 9]", func(p *Program) { tensor(p, "dw").Cols = 8 }},
		{"bias dw.bias is [1, 9], expected [1, 8]", func(p *Program) { tensor(p, "dw.bias").Cols = 9 }},

		{"the first rows class has 7 columns, expected 8", func(p *Program) { tensor(p, "class").Cols = 7 }},
		{"(concat): dst is [5, 8], expected [6, 8]", func(p *Program) { tensor(p, "class").Rows = 2 }},

		{"either source 1 or tensor 0 is given", func(p *Program) { find(p, Add, 0).W[0] = None }},
		{"either source 1 or tensor 0 is given", func(p *Program) { op := find(p, Add, 0); op.Src[1] = op.Src[0] }},
		{"the right side is [24, 8], expected [R, 8]", func(p *Program) { find(p, Add, 1).Src[1] = 0 }},
		{"the rows places has 9 columns, expected 8", func(p *Program) { tensor(p, "places").Cols = 9 }},
		{"tensor places has 4 rows, expected at least the 5", func(p *Program) { tensor(p, "places").Rows = 4 }},
		{"(mul): the right side is [24, 8], expected [R, 8]", func(p *Program) { find(p, Mul, 0).Src[1] = 0 }},
		{"(act): activation is -1", func(p *Program) { find(p, Act, 0).I[0] = -1 }},
		{"(act): dst is [R, 8], expected [24, 8]", func(p *Program) { find(p, Act, 0).Src[0] = 0 }},

		{"(norm): kind is 2", func(p *Program) { find(p, Norm, 0).I[0] = 2 }},
		{"an RMS norm has no bias", func(p *Program) { find(p, Norm, 0).I[0] = RMSNorm }},
		{"(norm): eps is -1", func(p *Program) { find(p, Norm, 0).F[0] = -1 }},
		{"gain ln.g is [1, 9]", func(p *Program) { tensor(p, "ln.g").Cols = 9 }},
		{"bias ln.b is [2, 8]", func(p *Program) { tensor(p, "ln.b").Rows = 2 }},
		{"(l2norm): eps is -1", func(p *Program) { find(p, L2Norm, 0).F[0] = -1 }},

		{"0 tensors are stacked", func(p *Program) { p.Ops[1].I[1] = 0 }},
		{"4 tensors are stacked", func(p *Program) { p.Ops[1].I[1] = 4 }},
		{"tensor 1 is given or missing against the 2", func(p *Program) { p.Ops[1].I[1] = 2 }},
		{"tensor 1 is given or missing against the 1", func(p *Program) { p.Ops[1].W[1] = 0 }},
		{"bias 1 is given without its tensor", func(p *Program) { p.Ops[1].W[4] = 0 }},
		{"weight patch has 49 columns, expected 48", func(p *Program) { tensor(p, "patch").Cols = 49 }},
		{"bias q.b is [1, 9], expected [1, 8]", func(p *Program) { tensor(p, "q.b").Cols = 9 }},
		{"(linear): dst is [4, 8], expected [4, 9]", func(p *Program) { tensor(p, "patch").Rows = 9 }},
		{"the residual is [24, 8], expected [R, 8]", func(p *Program) { find(p, Linear, 2).Src[1] = 0 }},
		{"the gate is [24, 8], expected [R, 8]", func(p *Program) { find(p, Linear, 2).Src[2] = 0 }},
		{"scale gamma is [1, 9], expected [1, 8]", func(p *Program) { tensor(p, "gamma").Cols = 9 }},

		{"0 heads of 4 columns", func(p *Program) { find(p, Attention, 0).I[0] = 0 }},
		{"2 heads of 32769 columns", func(p *Program) { find(p, Attention, 0).I[4] = 32769 }},
		{"v is columns 17 to 25 of 24", func(p *Program) { find(p, Attention, 0).I[3] = 17 }},
		{"q is columns -1 to 7 of 24", func(p *Program) { find(p, Attention, 0).I[1] = -1 }},
		{"k has 24 rows and v R", func(p *Program) { op := find(p, Attention, 0); op.Src[1], op.I[2] = 0, 0 }},
		{"(attention): dst is [R, 8], expected [R, 4]", func(p *Program) { find(p, Attention, 0).I[0] = 1 }},
		{"mask is 2", func(p *Program) { find(p, Attention, 0).I[5] = 2 }},
		{"scale is -1", func(p *Program) { find(p, Attention, 0).F[0] = -1 }},
		{"the key counts is [R, 1], expected [1, 1]", func(p *Program) { find(p, Attention, 0).Src[3] = 1 }},

		{"mode is 4", func(p *Program) { find(p, Select, 0).I[0] = 4 }},
		{"the index is [R, 1], expected [1, 1]", func(p *Program) { find(p, Select, 0).Src[1] = 1 }},
		{"an index is given, but mode 1 reads none", func(p *Program) { find(p, Select, 0).I[0] = SelectLast }},
		{"the index is missing", func(p *Program) { op := find(p, Select, 0); op.I[0], op.Src[1] = SelectIndex, None }},
		{"row is 1, expected one of the R of x", func(p *Program) {
			op := find(p, Select, 0)
			op.I[0], op.I[1], op.Src[1] = SelectRow, 1, None
		}},
		{"row is 1, expected 0 as mode 3 reads none", func(p *Program) { find(p, Select, 0).I[1] = 1 }},
		{"(select): dst is [1, 8], expected [1, 24]", func(p *Program) { find(p, Select, 0).Src[0] = find(p, Linear, 1).Dst }},
	} {
		p := sample()
		c.spoil(p)
		err := p.Verify()
		if assert.Error(t, err, c.want) {
			assert.Contains(t, err.Error(), c.want)
			assert.NotContains(t, err.Error(), "\n")
		}
		assert.NotPanics(t, func() { _ = p.String() }, c.want)
	}
}

// TestString compares the listing with testdata/sample.txt; UPDATE=1 writes it.
func TestString(t *testing.T) {
	path := filepath.Join("testdata", "sample.txt")
	got := sample().String()
	if os.Getenv("UPDATE") != "" {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

// TestSignaturesAreTheEngines compares with ggml/src/ops.def, line by line.
func TestSignaturesAreTheEngines(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testutil.Root(), "ggml", "src", "ops.def"))
	require.NoError(t, err)
	lines := regexp.MustCompile(`(?m)^OP\((\w+), (\w+), "(.{4})", "(.{8})", (\d+), (\d+)\)$`).FindAllStringSubmatch(string(text), -1)
	require.Len(t, lines, len(signatures)-1)
	for i, line := range lines {
		s := signatures[i+1]
		assert.Equal(t, []string{strings.ToUpper(s.name), s.name, s.src, s.w, strconv.Itoa(s.ints), strconv.Itoa(s.floats)}, line[1:])
	}
}

func TestLayout(t *testing.T) {
	p := sample()
	offsets, size := p.Layout(Input, 3, 7)
	// pixels 3*24*8 floats = 2304 bytes, ids 3*7 = 84 bytes, counts 3 = 12 bytes
	assert.Equal(t, []int{0, 2304, 2304 + 128}, offsets)
	assert.Equal(t, 2304+128+12, size)
}

func TestFind(t *testing.T) {
	p := sample()
	assert.Equal(t, int32(1), p.Find(Input, "ids"))
	assert.Equal(t, None, p.Find(Output, "ids"))
	assert.Equal(t, "image", p.Values[p.Find(Output, "image")].Name)
}

// TestEncode reads the records back by the offsets of clipgo.h.
func TestEncode(t *testing.T) {
	p := sample()
	values, ops := p.EncodeValues(), p.EncodeOps()
	require.Len(t, values, 24*len(p.Values))
	require.Len(t, ops, 128*len(p.Ops))
	u32 := func(b []byte, at int) int32 {
		return int32(uint32(b[at]) | uint32(b[at+1])<<8 | uint32(b[at+2])<<16 | uint32(b[at+3])<<24)
	}
	for i, v := range p.Values {
		b := values[24*i:]
		assert.Equal(t, []int32{int32(v.Kind), int32(v.Role), int32(v.Rows.Scale), int32(v.Rows.Add), int32(v.Width), 0},
			[]int32{u32(b, 0), u32(b, 4), u32(b, 8), u32(b, 12), u32(b, 16), u32(b, 20)})
	}
	for i, op := range p.Ops {
		b := ops[128*i:]
		assert.Equal(t, []int32{int32(op.Kind), 0, op.Dst, 0}, []int32{u32(b, 0), u32(b, 4), u32(b, 8), u32(b, 12)})
		for k, v := range op.Src {
			assert.Equal(t, v, u32(b, 16+4*k))
		}
		for k, v := range op.W {
			assert.Equal(t, v, u32(b, 32+4*k))
		}
		for k, v := range op.I {
			assert.Equal(t, v, u32(b, 64+4*k))
		}
		for k, v := range op.F {
			assert.Equal(t, int32(math.Float32bits(v)), u32(b, 112+4*k))
		}
	}
	places := make([]Place, len(p.Tensors))
	places[1] = Place{Offset: 0x123456789a, Bytes: 288}
	tensors := p.EncodeTensors(places)
	require.Len(t, tensors, 40*len(p.Tensors))
	b := tensors[40:]
	assert.Equal(t, []int32{0x3456789a, 0x12, 288, 0, 8, 0, 9, 0, 0, 0},
		[]int32{u32(b, 0), u32(b, 4), u32(b, 8), u32(b, 12), u32(b, 16), u32(b, 20), u32(b, 24), u32(b, 28), u32(b, 32), u32(b, 36)})
}

func TestWeightEntersOnce(t *testing.T) {
	b := NewBuilder()
	assert.Equal(t, b.Weight(f32("w", 1, 1)), b.Weight(f32("w", 1, 1)))
	assert.Len(t, b.Tensors, 1)
}
