package arch

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/program"
)

// Names of the inputs and the output of the programs.
const (
	InputPixels    = "pixels"    // float32 [batch, 3*H, W], normalised
	InputPatches   = "patches"   // float32 [batch, rows, 3*patch*patch], ordered ky,kx,c (NaFlex)
	InputPositions = "positions" // float32 [batch, rows, width]: position embeddings (NaFlex)
	InputIDs       = "ids"       // int32 [batch, rows, 1]
	InputLengths   = "lengths"   // int32 [batch, 1, 1]: valid rows
	InputIndex     = "index"     // int32 [batch, 1, 1]: the row that is pooled
	InputPlaces    = "places"    // int32 [batch, rows, 1]: each id's position (Text.Placed, Text.Shares)
	InputKeys      = "keys"      // int32 [batch, 1, 2]: valid rows, and those of the batch's first rows that come before them (Text.Shares)
	Output         = "embedding" // float32 [batch, 1, projection] (BLIP-2: a row per query), not normalised
)

// compiler builds one program. Its methods keep the first error.
type compiler struct {
	*program.Builder
	f       *gguf.File
	swapped bool // ffn_up and ffn_down have each other's names
	rounds  bool // the tower's products are quantised
	err     error
}

// newCompiler looks at the first block: files by clip.cpp call the product that widens ffn_down. Shapes tell, since it is the
// other way round that a matrix [width, ffn] is the second product.
func newCompiler(f *gguf.File, prefix string, t *Tower) *compiler {
	c := &compiler{Builder: program.NewBuilder(), f: f}
	down, ok := f.Tensor(prefix + "blk.0.ffn_down.weight")
	c.swapped = ok && t.Width != t.FFN && len(down.Dims) == 2 && down.Dims[0] == uint64(t.Width) && down.Dims[1] == uint64(t.FFN)
	c.rounds = slices.ContainsFunc(f.Tensors(), func(t gguf.TensorInfo) bool {
		return t.Type.Quantized() && strings.HasPrefix(t.Name, prefix+"blk.")
	})
	return c
}

var swapFFN = strings.NewReplacer("ffn_up", "ffn_down", "ffn_down", "ffn_up")

// find finds a tensor by our name.
func (c *compiler) find(name string) (gguf.TensorInfo, bool) {
	if c.swapped {
		name = swapFFN.Replace(name)
	}
	return c.f.Tensor(name)
}

// has says whether the file has a tensor.
func (c *compiler) has(name string) bool {
	_, ok := c.find(name)
	return ok
}

// tensor returns the tensor as a matrix [rows, cols]: a vector is one row, the patches' kernel [patch, patch, 3, width] is
// [width, 3*patch*patch].
func (c *compiler) tensor(name string, rows, cols int) int32 {
	info, ok := c.find(name)
	if !ok {
		c.fail("%s: tensor %q is missing", c.f.Name(), name)
		return program.None
	}
	row, elements := info.Dims[0], uint64(1)
	for _, d := range info.Dims {
		elements *= d // bounded by the file's size: the reader checked it
	}
	if len(info.Dims) == 4 {
		row = elements / max(info.Dims[3], 1)
	}
	if elements != uint64(rows)*uint64(cols) || rows > 1 && row != uint64(cols) {
		c.fail("%s: tensor %q has dimensions %v, expected rows of %d, %d of them", c.f.Name(), name, info.Dims, cols, rows)
		return program.None
	}
	return c.Weight(program.Tensor{Name: info.Name, Type: info.Type, Rows: rows, Cols: cols})
}

func (c *compiler) optional(name string, rows, cols int) int32 {
	if !c.has(name) {
		return program.None
	}
	return c.tensor(name, rows, cols)
}

func (c *compiler) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

func (c *compiler) norm(x int32, name string, t *Tower) int32 {
	return c.Norm(x, program.LayerNorm, c.tensor(name+".weight", 1, t.Width), c.tensor(name+".bias", 1, t.Width), t.Eps)
}

// linear is a Linear op over tensors name.weight [out, in], with name.bias where there is one.
func (c *compiler) linear(x int32, in, out int, a program.LinearArgs, names ...string) int32 {
	for _, name := range names {
		a.Weights = append(a.Weights, c.tensor(name+".weight", out, in))
		a.Biases = append(a.Biases, c.optional(name+".bias", 1, out))
	}
	if c.err != nil {
		return x
	}
	return c.Builder.Linear(x, a)
}

// rounded lets a product of many rows in a quantised tower round weights that no block type could keep, or that a file keeps
// wide for other programs' sake: in float32 that product would take as long as ten others.
func (c *compiler) rounded(a program.LinearArgs) program.LinearArgs {
	a.MayRound = c.rounds
	return a
}

// shortBlocks does so where rows of the tensor are no whole blocks.
func (c *compiler) shortBlocks(a program.LinearArgs, cols int) program.LinearArgs {
	if cols%32 == 0 {
		return a
	}
	return c.rounded(a)
}

var plain = program.LinearArgs{Gate: program.None, Scale: program.None, Residual: program.None}

func withResidual(x, scale int32) program.LinearArgs {
	return program.LinearArgs{Gate: program.None, Scale: scale, Residual: x}
}

func withAct(act program.Activation) program.LinearArgs {
	a := plain
	a.Act = act
	return a
}

// one is what the last block computes when pooling takes one row: the rest of that row's block, and of the others only
// their keys and values.
type one func(x int32) int32

// mask describes which keys a query sees.
type mask struct {
	kind    int32 // program.MaskNone or MaskCausal
	lengths int32 // value, or None
}

// blocks compiles t.Layers transformer blocks named prefix+"blk.N.", whose attention may be another tower's. If pool is not
// nil, the result is the one row that it picks, and pooled the mask that this row has.
func (c *compiler) blocks(x int32, attention, prefix string, t *Tower, m mask, pool one, pooled mask) int32 {
	for i := 0; i < t.Layers && c.err == nil; i++ {
		last := i == t.Layers-1 && pool != nil
		if last {
			x = c.selfAttention(x, block(attention, i), t, pooled, pool)
		} else {
			x = c.selfAttention(x, block(attention, i), t, m, nil)
		}
		x = c.feedForward(x, block(prefix, i), t)
		if last {
			return x
		}
	}
	if pool != nil {
		x = pool(x)
	}
	return x
}

// block begins the names of the tensors of a tower's block.
func block(prefix string, n int) string { return fmt.Sprintf("%sblk.%d.", prefix, n) }

// selfAttention is the first half of a block: attention, residual, norm.
func (c *compiler) selfAttention(x int32, p string, t *Tower, m mask, pool one) int32 {
	h := x
	if !t.PostNorm {
		h = c.norm(x, p+"ln1", t)
	}
	a := c.attend(h, h, p, t, m, pool)
	if pool != nil {
		x = pool(x)
	}
	x = c.linear(a, t.Width, t.Width, withResidual(x, c.optional(p+"ls1.weight", 1, t.Width)), p+"attn_out")
	if t.PostNorm {
		x = c.norm(x, p+"ln1", t)
	}
	return x
}

// feedForward is the second half of a block: MLP, residual, norm.
func (c *compiler) feedForward(x int32, p string, t *Tower) int32 {
	if t.PostNorm {
		return c.norm(c.mlp(x, x, p, t), p+"ln2", t)
	}
	return c.mlp(c.norm(x, p+"ln2", t), x, p, t)
}

// attend is the attention of queries from q over keys and values from kv, before the output product.
func (c *compiler) attend(q, kv int32, p string, t *Tower, m mask, pool one) int32 {
	w := t.Width
	args := program.AttentionArgs{
		Heads: t.Heads, HeadDim: w / t.Heads, Mask: m.kind, Lengths: m.lengths, MayRound: c.rounds,
		Scale: float32(1 / math.Sqrt(float64(w/t.Heads))),
	}
	if q == kv && pool == nil {
		qkv := c.linear(q, w, w, plain, p+"attn_q", p+"attn_k", p+"attn_v")
		args.Q, args.K, args.V, args.KCol, args.VCol = qkv, qkv, qkv, w, 2*w
	} else {
		if pool != nil {
			q = pool(q)
		}
		kv = c.linear(kv, c.Values[kv].Width, w, plain, p+"attn_k", p+"attn_v")
		args.Q, args.K, args.V, args.VCol = c.linear(q, w, w, plain, p+"attn_q"), kv, kv, w
	}
	if c.err != nil {
		return q
	}
	return c.Attention(args)
}

// mlp is residual + ls2 * down(act(up(x))), or with a gate down(act(gate(x)) * up(x)).
func (c *compiler) mlp(x, residual int32, p string, t *Tower) int32 {
	var h int32
	if c.has(p + "ffn_gate.weight") {
		a := withAct(t.Act)
		a.Gate = c.linear(x, t.Width, t.FFN, plain, p+"ffn_up")
		h = c.linear(x, t.Width, t.FFN, a, p+"ffn_gate")
	} else {
		h = c.linear(x, t.Width, t.FFN, withAct(t.Act), p+"ffn_up")
	}
	scale := c.optional(p+"ls2.weight", 1, t.Width)
	return c.linear(h, t.FFN, t.Width, c.shortBlocks(withResidual(residual, scale), t.FFN), p+"ffn_down")
}

// project is the product with name.weight [projection, width] where there is one.
func (c *compiler) project(x int32, name string, width, projection int) int32 {
	if !c.has(name + ".weight") {
		if width != projection {
			c.fail("%s: tensor %q is missing, and the width %d is not the embedding's %d", c.f.Name(), name+".weight", width, projection)
		}
		return x
	}
	return c.linear(x, width, projection, plain, name)
}

func (c *compiler) first(x int32) int32 {
	return c.Select(x, program.SelectRow, 0, program.None, 0)
}

func (c *compiler) finish(out int32) (*program.Program, error) {
	if c.err != nil {
		return nil, c.err
	}
	c.Builder.Output(Output, out)
	p := c.Builder.Program
	if err := p.Verify(); err != nil {
		return nil, fmt.Errorf("%s: the model can't be computed: %w", c.f.Name(), err)
	}
	return &p, nil
}

// ImageProgram compiles the image tower of f: pixels (or patches) to an embedding.
func (m *Model) ImageProgram(f *gguf.File) (*program.Program, error) {
	v := m.Vision
	if v == nil {
		return nil, fmt.Errorf("%s: the file has no image tower", f.Name())
	}
	c := newCompiler(f, "v.", &v.Tower)
	if v.Conv != nil {
		x := c.convolutions(v)
		if c.err != nil {
			return nil, c.err
		}
		return c.finish(c.Select(x, program.SelectMean, 0, program.None, 0))
	}
	x, lengths := c.patches(v)
	m1 := mask{program.MaskNone, lengths}
	if c.has("v.pre_ln.weight") {
		x = c.norm(x, "v.pre_ln", &v.Tower)
	}
	var pool one
	if v.Pooling == PoolFirst {
		pool = func(x int32) int32 { return c.Select(x, program.SelectRow, v.Registers, program.None, 0) }
	}
	x = c.blocks(x, "v.", "v.", &v.Tower, m1, pool, m1)
	if v.Pooling == PoolAttention {
		return c.finish(c.project(c.attentionPool(x, v), "visual_projection", v.Projection, v.Projection))
	}
	norms := c.has("v.post_ln.weight")
	if norms && !v.NormAfterPool {
		x = c.norm(x, "v.post_ln", &v.Tower)
		if v.NormTwice {
			x = c.norm(x, "v.post_ln", &v.Tower)
		}
	}
	switch v.Pooling {
	case PoolMean:
		x = c.Select(x, program.SelectMean, 0, lengths, 0)
	case PoolPatches:
		x = c.meanOfPatches(x, v)
	case PoolMAP:
		x = c.mapHead(x, lengths, v)
	}
	if norms && v.NormAfterPool {
		x = c.norm(x, "v.post_ln", &v.Tower)
	}
	width := v.Width
	if v.Queries != nil {
		x, width = c.queries(x, v.Queries), v.Queries.Width
	}
	return c.finish(c.project(x, "visual_projection", width, v.Projection))
}

// dropClass is the kernel that meanOfPatches needs.
const dropClass = "v.drop_class.weight"

// meanOfPatches leaves out the class token, row 0: a depthwise kernel of two rows that picks the second shifts the rows up.
func (c *compiler) meanOfPatches(x int32, v *Vision) int32 {
	kernel := c.tensor(dropClass, v.Width, 2)
	if c.err != nil {
		return x
	}
	rows := c.Values[x].Rows.At(0)
	x = c.DWConv(x, kernel, program.None, program.Conv{Channels: v.Width, H: rows, W: 1, KH: 2, KW: 1, Stride: 1,
		OH: rows - 1, OW: 1}, program.ActNone)
	return c.Select(x, program.SelectMean, 0, program.None, 0)
}

// attentionPool is CoCa's pooler: learned queries over the rows, a norm, the mean. Its width is the projection's.
func (c *compiler) attentionPool(x int32, v *Vision) int32 {
	const p = "v.head."
	head := v.head()
	queries := c.norm(c.rowsOf(p+"probe", v.HeadQueries, head.Width), p+"ln_q", head)
	a := c.attend(queries, c.norm(x, p+"ln_k", &v.Tower), p, head, mask{program.MaskNone, program.None}, nil)
	x = c.norm(c.linear(a, head.Width, head.Width, plain, p+"attn_out"), "v.post_ln", head)
	return c.Select(x, program.SelectMean, 0, program.None, 0)
}

// patches embeds the patches and adds class token, registers and positions: [batch, rows, width].
func (c *compiler) patches(v *Vision) (x, lengths int32) {
	size := 3 * v.Patch * v.Patch
	if v.NaFlex {
		in := c.Input(InputPatches, program.F32, program.PerItem(0), size)
		positions := c.Input(InputPositions, program.F32, program.PerItem(0), v.Width)
		lengths = c.Input(InputLengths, program.I32, program.Fixed(1), 1)
		return c.linear(in, size, v.Width, c.rounded(withResidual(positions, program.None)), "v.patch_embd"), lengths
	}
	grid := v.Grid()
	in := c.Input(InputPixels, program.F32, program.Fixed(3*v.Image.H), v.Image.W)
	x = c.Im2Col(in, program.PlanarImage, program.Conv{Channels: 3, H: v.Image.H, W: v.Image.W, KH: v.Patch, KW: v.Patch,
		Stride: v.Patch, OH: grid.H, OW: grid.W})
	x = c.linear(x, size, v.Width, c.rounded(plain), "v.patch_embd")
	rows := grid.Area()
	if c.has("v.class_embd") {
		x = c.concat("v.class_embd", 1, x, v)
		rows++
	}
	x = c.addRows(x, "v.position_embd.weight", rows, v)
	// Blocks don't care about the order of rows: the registers may come first.
	if v.Registers > 0 {
		x = c.concat("v.register_embd.weight", v.Registers, x, v)
	}
	return x, program.None
}

func (c *compiler) concat(name string, rows int, x int32, v *Vision) int32 {
	w := c.tensor(name, rows, v.Width)
	if c.err != nil {
		return x
	}
	return c.Builder.Concat(w, x)
}

// rowsOf makes a tensor a value: the same rows for each item.
func (c *compiler) rowsOf(name string, rows, width int) int32 {
	w := c.tensor(name, rows, width)
	if c.err != nil {
		return 0
	}
	return c.Builder.Concat(w, program.None)
}

func (c *compiler) addRows(x int32, name string, rows int, v *Vision) int32 {
	w := c.tensor(name, rows, v.Width)
	if c.err != nil {
		return x
	}
	return c.Builder.AddRows(x, w)
}

// mapHead is SigLIP's attention pooling: a learned query over all rows, then an MLP with a residual.
func (c *compiler) mapHead(x, lengths int32, v *Vision) int32 {
	const p = "v.head."
	// The query is the same for every item: a row of weights, made a value.
	probe := c.rowsOf(p+"probe", 1, v.Width)
	a := c.attend(probe, x, p, &v.Tower, mask{program.MaskNone, lengths}, nil)
	x = c.linear(a, v.Width, v.Width, plain, p+"attn_out")
	return c.mlp(c.norm(x, p+"ln2", &v.Tower), x, p, &v.Tower)
}

// TextProgram compiles the text tower of f: token ids to an embedding.
func (m *Model) TextProgram(f *gguf.File) (*program.Program, error) {
	t := m.Text
	if t == nil {
		return nil, fmt.Errorf("%s: the file has no text tower", f.Name())
	}
	c := newCompiler(f, "t.", &t.Tower)
	ids := c.Input(InputIDs, program.I32, program.PerItem(0), 1)
	lengths, places := program.None, program.None
	switch {
	case t.Shares():
		lengths = c.Input(InputKeys, program.I32, program.Fixed(1), 2)
	case t.Placed():
		lengths = c.Input(InputLengths, program.I32, program.Fixed(1), 1)
	}
	if lengths != program.None {
		places = c.Input(InputPlaces, program.I32, program.PerItem(0), 1)
	}
	table := c.tensor("t.token_embd.weight", t.Vocab, t.Width)
	positions := c.tensor("t.position_embd.weight", t.positions(), t.Width)
	if c.err != nil {
		return nil, c.err
	}
	segment := c.optional("t.token_type_embd.weight", 1, t.Width)
	x := c.Embed(ids, table, t.EmbedFactor, positions, places, segment)
	if c.has("t.embd_ln.weight") {
		x = c.norm(x, "t.embd_ln", &t.Tower)
	}

	all := mask{program.MaskNone, lengths}
	if t.Causal {
		all.kind = program.MaskCausal
	}
	pool, pooled := c.textPooling(t, all)
	attention := "t."
	if !c.has("t.blk.0.attn_q.weight") && c.has("q.blk.0.attn_q.weight") {
		attention = "q." // BLIP-2: the queries' attention reads texts too
	}
	x = c.blocks(x, attention, "t.", &t.Tower, all, pool, pooled)
	if c.has("t.post_ln.weight") {
		x = c.norm(x, "t.post_ln", &t.Tower)
	}
	if t.Pooling == PoolMean {
		x = c.Select(x, program.SelectMean, 0, lengths, t.PoolEps)
	}
	width := t.Width
	if t.Pooler > 0 {
		x = c.linear(x, width, t.Pooler, withAct(t.PoolerAct), "t.pooler")
		width = t.Pooler
	}
	return c.finish(c.project(x, "text_projection", width, t.Projection))
}

// textPooling returns the pooling of one row, nil for a mean, and the keys that this row sees: also in a causal tower all that
// are computed, since rows after it are left out.
func (c *compiler) textPooling(t *Text, all mask) (one, mask) {
	pooled := mask{program.MaskNone, all.lengths}
	switch {
	case t.Pooling == PoolMean:
		return nil, all
	case t.Placed(), t.Pooling == PoolEOS, t.Pooling == PoolArgmax:
		index := c.Input(InputIndex, program.I32, program.Fixed(1), 1)
		return func(x int32) int32 { return c.Select(x, program.SelectIndex, 0, index, 0) }, pooled
	case t.Pooling == PoolLast:
		return func(x int32) int32 { return c.Select(x, program.SelectLast, 0, program.None, 0) }, pooled
	}
	if t.Causal {
		c.fail("%s: %spooling is %q in a causal tower", c.f.Name(), textKey, t.Pooling)
	}
	return c.first, all
}
