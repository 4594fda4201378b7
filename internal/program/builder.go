package program

// Builder appends ops to a program. Its methods return the value that an op writes.
type Builder struct {
	Program
	tensorIndex map[string]int32
}

// NewBuilder returns an empty builder.
func NewBuilder() *Builder { return &Builder{tensorIndex: map[string]int32{}} }

func (b *Builder) value(v Value) int32 {
	b.Values = append(b.Values, v)
	return int32(len(b.Values) - 1)
}

func newOp(kind OpKind) Op {
	op := Op{Kind: kind}
	for i := range op.Src {
		op.Src[i] = None
	}
	for i := range op.W {
		op.W[i] = None
	}
	return op
}

func (b *Builder) emit(op Op, rows Rows, width int) int32 {
	op.Dst = b.value(Value{Kind: F32, Rows: rows, Width: width})
	b.Ops = append(b.Ops, op)
	return op.Dst
}

// Input declares a value that the caller gives.
func (b *Builder) Input(name string, kind Kind, rows Rows, width int) int32 {
	return b.value(Value{Kind: kind, Role: Input, Rows: rows, Width: width, Name: name})
}

// Output makes a value one that the caller gets.
func (b *Builder) Output(name string, v int32) {
	b.Values[v].Role, b.Values[v].Name = Output, name
}

// Weight returns the index of a tensor, which enters the table once however often it is used.
func (b *Builder) Weight(t Tensor) int32 {
	if i, ok := b.tensorIndex[t.Name]; ok {
		return i
	}
	i := int32(len(b.Tensors))
	b.Tensors = append(b.Tensors, t)
	b.tensorIndex[t.Name] = i
	return i
}

// Embed gathers rows of table for ids [batch, rows, 1], times factor; positions and row (a single row) are added where
// they are not None. positionIDs None: positions count from 0.
func (b *Builder) Embed(ids, table int32, factor float32, positions, positionIDs, row int32) int32 {
	op := newOp(Embed)
	op.Src = [4]int32{ids, positionIDs, None, None}
	op.W[0], op.W[1], op.W[2] = table, positions, row
	op.F[0] = factor
	return b.emit(op, b.Values[ids].Rows, b.Tensors[table].Cols)
}

// Conv describes the geometry of Im2Col and DWConv.
type Conv struct {
	Channels, H, W, KH, KW, Stride, PadTop, PadLeft, OH, OW int
}

func (c Conv) ints(first int32) [12]int32 {
	return [12]int32{first, int32(c.Channels), int32(c.H), int32(c.W), int32(c.KH), int32(c.KW), int32(c.Stride),
		int32(c.PadTop), int32(c.PadLeft), int32(c.OH), int32(c.OW)}
}

// The layouts of an image value.
const (
	PlanarImage   int32 = iota // [batch, C*H, W]; a patch is ordered c,ky,kx
	ChannelsImage              // [batch, H*W, C]; a patch is ordered ky,kx,c
)

// Im2Col lays out the patch under every place of a kernel as a row: [batch, OH*OW, C*KH*KW].
func (b *Builder) Im2Col(x, layout int32, c Conv) int32 {
	op := newOp(Im2Col)
	op.Src[0], op.I = x, c.ints(layout)
	return b.emit(op, Fixed(c.OH*c.OW), c.Channels*c.KH*c.KW)
}

// DWConv is a depthwise convolution of x [batch, H*W, C] with kernel [C, KH*KW]; bias may be None.
func (b *Builder) DWConv(x, kernel, bias int32, c Conv, act Activation) int32 {
	op := newOp(DWConv)
	op.Src[0], op.W[0], op.W[1], op.I = x, kernel, bias, c.ints(int32(act))
	return b.emit(op, Fixed(c.OH*c.OW), c.Channels)
}

// Concat puts the rows of a tensor before the rows of each item; x may be None.
func (b *Builder) Concat(first, x int32) int32 {
	op := newOp(Concat)
	op.Src[0], op.W[0] = x, first
	rows := Fixed(b.Tensors[first].Rows)
	if x != None {
		rows.Scale, rows.Add = b.Values[x].Rows.Scale, rows.Add+b.Values[x].Rows.Add
	}
	return b.emit(op, rows, b.Tensors[first].Cols)
}

// Add adds two values; y may have one row.
func (b *Builder) Add(x, y int32) int32 {
	op := newOp(Add)
	op.Src[0], op.Src[1] = x, y
	return b.emit(op, b.Values[x].Rows, b.Values[x].Width)
}

// AddRows adds the first rows of a tensor to every item.
func (b *Builder) AddRows(x, tensor int32) int32 {
	op := newOp(Add)
	op.Src[0], op.W[0] = x, tensor
	return b.emit(op, b.Values[x].Rows, b.Values[x].Width)
}

// Mul multiplies two values; y may have one row.
func (b *Builder) Mul(x, y int32) int32 {
	op := newOp(Mul)
	op.Src[0], op.Src[1] = x, y
	return b.emit(op, b.Values[x].Rows, b.Values[x].Width)
}

// Act applies an activation.
func (b *Builder) Act(x int32, act Activation) int32 {
	op := newOp(Act)
	op.Src[0], op.I[0] = x, int32(act)
	return b.emit(op, b.Values[x].Rows, b.Values[x].Width)
}

// Norm is a layer norm (kind LayerNorm) or RMS norm; gain and bias may be None.
func (b *Builder) Norm(x int32, kind int32, gain, bias int32, eps float32) int32 {
	op := newOp(Norm)
	op.Src[0], op.W[0], op.W[1], op.I[0], op.F[0] = x, gain, bias, kind, eps
	return b.emit(op, b.Values[x].Rows, b.Values[x].Width)
}

// L2Norm divides each row by its length, at least eps.
func (b *Builder) L2Norm(x int32, eps float32) int32 {
	op := newOp(L2Norm)
	op.Src[0], op.F[0] = x, eps
	return b.emit(op, b.Values[x].Rows, b.Values[x].Width)
}

// LinearArgs are the parts of a Linear op. Weights are 1 to 3 tensors stacked by rows; Biases has as many entries, each of
// which may be None. Gate, Scale and Residual may be None.
type LinearArgs struct {
	Weights, Biases       []int32
	Act                   Activation
	Gate, Scale, Residual int32
	MayRound              bool // float weights to Q8_0, where activations have 8 bits
}

// Linear is residual + scale*gate*act(x W^T + bias).
func (b *Builder) Linear(x int32, a LinearArgs) int32 {
	op := newOp(Linear)
	op.Src = [4]int32{x, a.Residual, a.Gate, None}
	width := 0
	for i, w := range a.Weights {
		op.W[i], op.W[3+i] = w, a.Biases[i]
		width += b.Tensors[w].Rows
	}
	op.W[6] = a.Scale
	op.I[0], op.I[1] = int32(a.Act), int32(len(a.Weights))
	if a.MayRound {
		op.I[2] = 1
	}
	return b.emit(op, b.Values[x].Rows, width)
}

// AttentionArgs are the parts of an Attention op. Q, K and V are read from columns QCol, KCol and VCol on. Lengths, int32
// [batch, 1, 1 or 2] or None, says how many of an item's keys count, and how many of the batch's first rows come before them.
type AttentionArgs struct {
	Q, K, V          int32
	QCol, KCol, VCol int
	Heads, HeadDim   int
	Mask             int32
	Lengths          int32
	Scale            float32
	MayRound         bool // to bfloat16, where activations have 8 bits
}

// Attention is softmax(scale * q k^T + mask) v for each head.
func (b *Builder) Attention(a AttentionArgs) int32 {
	op := newOp(Attention)
	op.Src = [4]int32{a.Q, a.K, a.V, a.Lengths}
	op.I = [12]int32{int32(a.Heads), int32(a.QCol), int32(a.KCol), int32(a.VCol), int32(a.HeadDim), a.Mask}
	if a.MayRound {
		op.I[6] = 1
	}
	op.F[0] = a.Scale
	return b.emit(op, b.Values[a.Q].Rows, a.Heads*a.HeadDim)
}

// Select picks one row of each item: row `row` (SelectRow), the last (SelectLast), row index[b] (SelectIndex) or the mean
// over the first index[b] rows, all where index is None, with eps added to the count (SelectMean).
func (b *Builder) Select(x int32, mode int32, row int, index int32, eps float32) int32 {
	op := newOp(Select)
	op.Src[0], op.Src[1], op.I[0], op.I[1], op.F[0] = x, index, mode, int32(row), eps
	return b.emit(op, Fixed(1), b.Values[x].Width)
}
