package program

import (
	"fmt"
	"math"
	"math/bits"
)

// The limits of the engine: no model comes near, and they keep every product of two in an int64.
const (
	MaxRecords = 4096    // values, ops
	MaxExtent  = 1 << 24 // a width, a number of rows
	maxWindow  = 1 << 15 // a number that describes a convolution, or heads
)

// signatures say what the slots of each op hold, in the letters of ggml/src/ops.def: f a float value, i an integer value,
// w a tensor; a capital letter: or None; a dash: always None. ints and floats say how many of I and F the op reads; the
// others are 0.
var signatures = [...]struct {
	name, src, w string
	ints, floats int
}{
	Embed:     {"embed", "iI--", "wWW-----", 0, 1},
	Im2Col:    {"im2col", "f---", "--------", 11, 0},
	DWConv:    {"dwconv", "f---", "wW------", 11, 0},
	Concat:    {"concat", "F---", "w-------", 0, 0},
	Add:       {"add", "fF--", "W-------", 0, 0},
	Mul:       {"mul", "ff--", "--------", 0, 0},
	Act:       {"act", "f---", "--------", 1, 0},
	Norm:      {"norm", "f---", "WW------", 1, 1},
	L2Norm:    {"l2norm", "f---", "--------", 0, 1},
	Linear:    {"linear", "fFF-", "wWWWWWW-", 3, 0},
	Attention: {"attention", "fffI", "--------", 7, 1},
	Select:    {"select", "fI--", "--------", 2, 1},
}

// String returns the op's name.
func (k OpKind) String() string {
	if !k.known() {
		return fmt.Sprintf("op kind %d", uint32(k))
	}
	return signatures[k].name
}

func (k OpKind) known() bool { return k > 0 && int(k) < len(signatures) }

// Verify checks all that the engine checks: every record's fields, shapes in terms of the number of rows of a run, and that
// each value is written once and before it is read. A program that passes can only fail to run for its inputs.
func (p *Program) Verify() error {
	if n := len(p.Values); n == 0 || n > MaxRecords {
		return fmt.Errorf("program has %d values, expected 1 to %d", n, MaxRecords)
	}
	if n := len(p.Ops); n == 0 || n > MaxRecords {
		return fmt.Errorf("program has %d ops, expected 1 to %d", n, MaxRecords)
	}
	for i := range p.Tensors {
		if err := p.Tensors[i].verify(); err != nil {
			return fmt.Errorf("tensor %d (%s): %w", i, p.Tensors[i].Name, err)
		}
	}
	written := make([]bool, len(p.Values))
	for i := range p.Values {
		if err := p.Values[i].verify(); err != nil {
			return fmt.Errorf("value %s: %w", p.valueName(int32(i)), err)
		}
		written[i] = p.Values[i].Role == Input
	}
	for i := range p.Ops {
		c := check{p: p, op: &p.Ops[i], written: written}
		c.verify()
		if c.err != nil {
			return fmt.Errorf("op %d (%s): %w", i, p.Ops[i].Kind, c.err)
		}
		written[p.Ops[i].Dst] = true
	}
	for i, ok := range written {
		if !ok {
			return fmt.Errorf("value %s is written by no op", p.valueName(int32(i)))
		}
	}
	return nil
}

func (t *Tensor) verify() error {
	if t.Rows < 1 || t.Rows > MaxExtent || t.Cols < 1 || t.Cols > MaxExtent {
		return fmt.Errorf("shape is [%d, %d], expected 1 to %d each", t.Rows, t.Cols, MaxExtent)
	}
	_, err := t.Bytes()
	return err
}

// Bytes returns the size of the tensor's data as stored.
func (t *Tensor) Bytes() (uint64, error) {
	row, err := t.Type.RowBytes(uint64(t.Cols))
	if err != nil {
		return 0, err
	}
	hi, n := bits.Mul64(row, uint64(t.Rows))
	if hi != 0 {
		return 0, fmt.Errorf("size of [%d, %d] of %s overflows", t.Rows, t.Cols, t.Type)
	}
	return n, nil
}

func (v *Value) verify() error {
	switch {
	case v.Kind > I32:
		return fmt.Errorf("kind is %d, expected %d or %d", v.Kind, F32, I32)
	case v.Role > Output:
		return fmt.Errorf("role is %d, expected %d to %d", v.Role, Temporary, Output)
	case v.Rows.Scale > 1:
		return fmt.Errorf("row scale is %d, expected 0 or 1", v.Rows.Scale)
	case v.Rows.Add > MaxExtent || v.Rows.Scale+v.Rows.Add == 0:
		return fmt.Errorf("has %s rows, expected 1 to %d", v.Rows, MaxExtent)
	case v.Width < 1 || v.Width > MaxExtent:
		return fmt.Errorf("width is %d, expected 1 to %d", v.Width, MaxExtent)
	case v.Kind == I32 && v.Role != Input:
		return fmt.Errorf("is of integers but no input, and no op writes integers")
	}
	return nil
}

// String returns the number of rows as it is written in listings: "50", "R", "R+1".
func (r Rows) String() string {
	switch {
	case r.Scale == 0:
		return fmt.Sprint(r.Add)
	case r.Scale == 1 && r.Add == 0:
		return "R"
	case r.Scale == 1:
		return fmt.Sprintf("R+%d", r.Add)
	}
	return fmt.Sprintf("%dR+%d", r.Scale, r.Add)
}

// check verifies one op. It keeps the first error, so that checks can follow one another without an if each.
type check struct {
	p       *Program
	op      *Op
	written []bool
	dst     *Value
	src     [4]*Value  // nil: None
	w       [8]*Tensor // nil: None
	err     error
}

// that records an error unless ok, and returns whether there has been none so far.
func (c *check) that(ok bool, format string, args ...any) bool {
	if !ok && c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
	return c.err == nil
}

func (c *check) verify() {
	if !c.that(c.op.Kind.known(), "kind is unknown") {
		return
	}
	if c.resolve(); c.err != nil {
		return
	}
	switch c.op.Kind {
	case Embed:
		c.embed()
	case Im2Col:
		c.im2col()
	case DWConv:
		c.dwconv()
	case Concat:
		c.concat()
	case Add:
		c.add()
	case Mul:
		c.sameShape("dst", c.dst, c.src[0])
		c.sameOrRow(c.src[1])
	case Act:
		c.sameShape("dst", c.dst, c.src[0])
		c.activation()
	case Norm:
		c.norm()
	case L2Norm:
		c.sameShape("dst", c.dst, c.src[0])
		c.notNegative("eps")
	case Linear:
		c.linear()
	case Attention:
		c.attention()
	case Select:
		c.selects()
	}
}

// resolve fills dst, src and w by the signature of the op.
func (c *check) resolve() {
	p, op, sig := c.p, c.op, signatures[c.op.Kind]
	for s, id := range op.Src {
		letter := sig.src[s]
		if id == None && c.that(letter != 'f' && letter != 'i', "source %d is missing", s) {
			continue
		}
		if !c.that(letter != '-', "source %d is given, but the op has none", s) ||
			!c.that(id >= 0 && int(id) < len(p.Values), "source %d is value %d of %d", s, id, len(p.Values)) ||
			!c.that(c.written[id], "source %d is %s, which is read before it is written", s, p.valueName(id)) {
			return
		}
		kind := F32
		if letter == 'i' || letter == 'I' {
			kind = I32
		}
		c.that(p.Values[id].Kind == kind, "source %d is %s of %s, expected %s", s, p.valueName(id), p.Values[id].Kind, kind)
		c.src[s] = &p.Values[id]
	}
	for s, id := range op.W {
		letter := sig.w[s]
		if id == None && c.that(letter != 'w', "tensor %d is missing", s) {
			continue
		}
		if !c.that(letter != '-', "tensor %d is given, but the op has none", s) ||
			!c.that(id >= 0 && int(id) < len(p.Tensors), "tensor %d is %d of %d", s, id, len(p.Tensors)) {
			return
		}
		c.w[s] = &p.Tensors[id]
	}
	for i := sig.ints; i < len(op.I); i++ {
		c.that(op.I[i] == 0, "integer %d is %d, expected 0 as the op doesn't read it", i, op.I[i])
	}
	for i, f := range op.F {
		c.that(!math.IsNaN(float64(f)) && !math.IsInf(float64(f), 0), "float %d is %v, expected a finite number", i, f)
		c.that(i < sig.floats || f == 0, "float %d is %v, expected 0 as the op doesn't read it", i, f)
	}
	if !c.that(op.Dst >= 0 && int(op.Dst) < len(p.Values), "dst is value %d of %d", op.Dst, len(p.Values)) {
		return
	}
	c.dst = &p.Values[op.Dst]
	c.that(c.dst.Role != Input, "dst is %s, an input", p.valueName(op.Dst))
	c.that(c.dst.Role == Input || !c.written[op.Dst], "dst is %s, which is written twice", p.valueName(op.Dst))
	c.that(c.dst.Kind == F32, "dst is %s of %s, expected %s", p.valueName(op.Dst), c.dst.Kind, F32)
}

func (c *check) shape(what string, v *Value, rows Rows, width int) bool {
	return c.that(v.Rows == rows && v.Width == width, "%s is [%s, %d], expected [%s, %d]", what, v.Rows, v.Width, rows, width)
}

func (c *check) sameShape(what string, v, as *Value) bool { return c.shape(what, v, as.Rows, as.Width) }

// sameOrRow checks the right side of Add and Mul, which may be one row.
func (c *check) sameOrRow(y *Value) {
	if x := c.src[0]; y != nil && y.Rows != Fixed(1) {
		c.sameShape("the right side", y, x)
	} else if y != nil {
		c.shape("the right side", y, Fixed(1), x.Width)
	}
}

func (c *check) row(what string, slot, cols int) {
	if t := c.w[slot]; t != nil {
		c.that(t.Rows == 1 && t.Cols == cols, "%s %s is [%d, %d], expected [1, %d]", what, t.Name, t.Rows, t.Cols, cols)
	}
}

func (c *check) cols(what string, slot, cols int) {
	if t := c.w[slot]; t != nil {
		c.that(t.Cols == cols, "%s %s has %d columns, expected %d", what, t.Name, t.Cols, cols)
	}
}

func (c *check) activation() bool {
	a := c.op.I[0]
	return c.that(a >= 0 && int(a) < len(activationNames), "activation is %d, expected 0 to %d", a, len(activationNames)-1)
}

func (c *check) notNegative(what string) {
	c.that(c.op.F[0] >= 0, "%s is %v, expected 0 or more", what, c.op.F[0])
}

func (c *check) embed() {
	rows := c.dst.Rows
	c.shape("ids", c.src[0], rows, 1)
	c.cols("table", 0, c.dst.Width)
	c.cols("positions", 1, c.dst.Width)
	c.row("added row", 2, c.dst.Width)
	if ids := c.src[1]; ids != nil {
		c.that(c.w[1] != nil, "position ids are given, but no positions")
		c.shape("position ids", ids, rows, 1)
	}
}

// window checks the geometry that Im2Col and DWConv share: I[1..10], as Conv gives it.
func (c *check) window() bool {
	i := &c.op.I
	for k := 1; k <= 10; k++ {
		least := int32(1)
		if k == 7 || k == 8 {
			least = 0 // padding
		}
		c.that(i[k] >= least && i[k] <= maxWindow, "integer %d is %d, expected %d to %d", k, i[k], least, maxWindow)
	}
	g := ConvOf(c.op)
	return c.that(g.PadTop < g.KH && g.PadLeft < g.KW, "padding is %d,%d, expected less than the kernel's %dx%d",
		g.PadTop, g.PadLeft, g.KH, g.KW) &&
		c.that((g.OH-1)*g.Stride-g.PadTop < g.H && (g.OW-1)*g.Stride-g.PadLeft < g.W,
			"the last window starts outside the %dx%d image", g.H, g.W)
}

// ConvOf returns the geometry of an Im2Col or a DWConv op.
func ConvOf(op *Op) Conv {
	i := &op.I
	return Conv{Channels: int(i[1]), H: int(i[2]), W: int(i[3]), KH: int(i[4]), KW: int(i[5]), Stride: int(i[6]),
		PadTop: int(i[7]), PadLeft: int(i[8]), OH: int(i[9]), OW: int(i[10])}
}

// fits checks a product of extents before it becomes a Rows, which has 32 bits.
func (c *check) fits(what string, n int64) bool {
	return c.that(n <= MaxExtent, "%s is %d, expected at most %d", what, n, MaxExtent)
}

func (c *check) im2col() {
	layout := c.op.I[0]
	if !c.that(layout == PlanarImage || layout == ChannelsImage, "layout is %d, expected 0 or 1", layout) || !c.window() {
		return
	}
	g := ConvOf(c.op)
	if !c.fits("C*H", int64(g.Channels)*int64(g.H)) || !c.fits("H*W", int64(g.H)*int64(g.W)) ||
		!c.fits("OH*OW", int64(g.OH)*int64(g.OW)) || !c.fits("KH*KW", int64(g.KH)*int64(g.KW)) ||
		!c.fits("C*KH*KW", int64(g.Channels)*int64(g.KH*g.KW)) {
		return
	}
	c.shape("dst", c.dst, Fixed(g.OH*g.OW), g.Channels*g.KH*g.KW)
	if layout == PlanarImage {
		c.shape("the image", c.src[0], Fixed(g.Channels*g.H), g.W)
	} else {
		c.shape("the image", c.src[0], Fixed(g.H*g.W), g.Channels)
	}
}

func (c *check) dwconv() {
	if !c.activation() || !c.window() {
		return
	}
	g := ConvOf(c.op)
	if !c.fits("H*W", int64(g.H)*int64(g.W)) || !c.fits("OH*OW", int64(g.OH)*int64(g.OW)) {
		return
	}
	c.shape("the image", c.src[0], Fixed(g.H*g.W), g.Channels)
	c.shape("dst", c.dst, Fixed(g.OH*g.OW), g.Channels)
	k := c.w[0]
	c.that(k.Rows == g.Channels && k.Cols == g.KH*g.KW, "kernel %s is [%d, %d], expected [%d, %d]", k.Name, k.Rows, k.Cols,
		g.Channels, g.KH*g.KW)
	c.row("bias", 1, g.Channels)
}

func (c *check) concat() {
	rows, width := Fixed(c.w[0].Rows), c.w[0].Cols
	if x := c.src[0]; x != nil {
		c.cols("the first rows", 0, x.Width)
		rows = Rows{x.Rows.Scale, x.Rows.Add + rows.Add}
	}
	c.shape("dst", c.dst, rows, width)
}

func (c *check) add() {
	x := c.src[0]
	c.sameShape("dst", c.dst, x)
	c.that((c.src[1] != nil) != (c.w[0] != nil), "either source 1 or tensor 0 is given, not both")
	c.sameOrRow(c.src[1])
	c.cols("the rows", 0, x.Width)
	if t := c.w[0]; t != nil {
		// At run time there is at least one row.
		c.that(t.Rows >= x.Rows.At(1), "tensor %s has %d rows, expected at least the %s of x", t.Name, t.Rows, x.Rows)
	}
}

func (c *check) norm() {
	kind := c.op.I[0]
	c.sameShape("dst", c.dst, c.src[0])
	c.that(kind == LayerNorm || kind == RMSNorm, "kind is %d, expected %d or %d", kind, LayerNorm, RMSNorm)
	c.that(kind != RMSNorm || c.w[1] == nil, "an RMS norm has no bias")
	c.notNegative("eps")
	c.row("gain", 0, c.dst.Width)
	c.row("bias", 1, c.dst.Width)
}

func (c *check) linear() {
	n := int(c.op.I[1])
	if !c.activation() || !c.that(n >= 1 && n <= 3, "%d tensors are stacked, expected 1 to 3", n) ||
		!c.that(c.op.I[2] == 0 || c.op.I[2] == 1, "rounding is %d, expected 0 or 1", c.op.I[2]) {
		return
	}
	width := 0
	for k := range 3 {
		if !c.that((c.w[k] != nil) == (k < n), "tensor %d is given or missing against the %d that are stacked", k, n) ||
			!c.that(c.w[k] != nil || c.w[3+k] == nil, "bias %d is given without its tensor", k) {
			return
		}
		if c.w[k] != nil {
			c.cols("weight", k, c.src[0].Width)
			c.row("bias", 3+k, c.w[k].Rows)
			width += c.w[k].Rows
		}
	}
	c.shape("dst", c.dst, c.src[0].Rows, width)
	if residual := c.src[1]; residual != nil {
		c.sameShape("the residual", residual, c.dst)
	}
	if gate := c.src[2]; gate != nil {
		c.sameShape("the gate", gate, c.dst)
	}
	c.row("scale", 6, width)
}

func (c *check) attention() {
	i := &c.op.I
	heads, dim, mask := i[0], i[4], i[5]
	if !c.that(heads >= 1 && heads <= maxWindow && dim >= 1 && dim <= maxWindow, "%d heads of %d columns, expected 1 to %d each",
		heads, dim, maxWindow) {
		return
	}
	width := int(heads) * int(dim)
	for s, name := range [...]string{"q", "k", "v"} {
		first := int(i[1+s])
		c.that(first >= 0 && first+width <= c.src[s].Width, "%s is columns %d to %d of %d", name, first, first+width, c.src[s].Width)
	}
	c.that(c.src[1].Rows == c.src[2].Rows, "k has %s rows and v %s, expected as many", c.src[1].Rows, c.src[2].Rows)
	c.shape("dst", c.dst, c.src[0].Rows, width)
	c.that(mask == MaskNone || mask == MaskCausal, "mask is %d, expected %d or %d", mask, MaskNone, MaskCausal)
	c.that(i[6] == 0 || i[6] == 1, "rounding is %d, expected 0 or 1", i[6])
	c.notNegative("scale")
	if lengths := c.src[3]; lengths != nil {
		c.shape("the key counts", lengths, Fixed(1), min(max(lengths.Width, 1), 2))
	}
}

func (c *check) selects() {
	mode, row, x, index := c.op.I[0], int(c.op.I[1]), c.src[0], c.src[1]
	c.shape("dst", c.dst, Fixed(1), x.Width)
	if !c.that(mode >= SelectRow && mode <= SelectMean, "mode is %d, expected %d to %d", mode, SelectRow, SelectMean) {
		return
	}
	if index != nil {
		c.shape("the index", index, Fixed(1), 1)
		c.that(mode == SelectIndex || mode == SelectMean, "an index is given, but mode %d reads none", mode)
	}
	c.that(index != nil || mode != SelectIndex, "the index is missing")
	if mode == SelectRow {
		// At run time there is at least one row.
		c.that(row >= 0 && row < x.Rows.At(1), "row is %d, expected one of the %s of x", row, x.Rows)
	} else {
		c.that(row == 0, "row is %d, expected 0 as mode %d reads none", row, mode)
	}
}
