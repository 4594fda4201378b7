package program

import (
	"fmt"
	"strings"
)

var activationNames = [...]string{ActNone: "none", ActGELU: "gelu", ActGELUTanh: "gelu_tanh", ActQuickGELU: "quick_gelu",
	ActReLU: "relu", ActSiLU: "silu", ActSigmoid: "sigmoid", ActTanh: "tanh"}

// String returns the activation's name.
func (a Activation) String() string {
	if a < 0 || int(a) >= len(activationNames) {
		return fmt.Sprintf("activation %d", int32(a))
	}
	return activationNames[a]
}

// String returns "f32" or "i32".
func (k Kind) String() string {
	switch k {
	case F32:
		return "f32"
	case I32:
		return "i32"
	}
	return fmt.Sprintf("kind %d", uint32(k))
}

// String lists the program, one input or op a line: what is written, its shape [B, rows, width] where B is the batch and R
// the run's number of rows, and what it is made of. The listing is stable and fit for comparison.
func (p *Program) String() string {
	var b strings.Builder
	for i, v := range p.Values {
		if v.Role == Input {
			fmt.Fprintf(&b, "%-10s %-18s = input %s\n", p.valueName(int32(i)), v.shape(), v.Kind)
		}
	}
	for i := range p.Ops {
		op := &p.Ops[i]
		shape := "?"
		if op.Dst >= 0 && int(op.Dst) < len(p.Values) {
			shape = p.Values[op.Dst].shape()
		}
		fmt.Fprintf(&b, "%-10s %-18s = %s\n", p.valueName(op.Dst), shape, p.opText(op))
	}
	for i, v := range p.Values {
		if v.Role == Output {
			fmt.Fprintf(&b, "output %s %s\n", p.valueName(int32(i)), v.shape())
		}
	}
	return b.String()
}

func (v *Value) shape() string { return fmt.Sprintf("[B, %s, %d]", v.Rows, v.Width) }

// valueName returns how a value is called in listings and errors: "%3", or "%3:pixels" if it has a name.
func (p *Program) valueName(id int32) string {
	if id < 0 || int(id) >= len(p.Values) {
		return fmt.Sprintf("%%%d?", id)
	}
	if name := p.Values[id].Name; name != "" {
		return fmt.Sprintf("%%%d:%s", id, name)
	}
	return fmt.Sprintf("%%%d", id)
}

func (p *Program) tensorText(id int32) string {
	if id < 0 || int(id) >= len(p.Tensors) {
		return fmt.Sprintf("tensor %d?", id)
	}
	t := p.Tensors[id]
	return fmt.Sprintf("%s(%s %dx%d)", t.Name, t.Type, t.Rows, t.Cols)
}

// The names of an op's parts in listings.
var sourceNames = map[OpKind][4]string{
	Embed:     {"", "position_ids"},
	Linear:    {"", "residual", "gate"},
	Attention: {"q", "k", "v", "lengths"},
	Select:    {"", "index"},
}

var tensorNames = map[OpKind][8]string{
	Embed:  {"", "positions", "row"},
	DWConv: {"", "bias"},
	Norm:   {"gain", "bias"},
	Linear: {"", "", "", "bias", "bias", "bias", "scale"},
}

// opText returns the part of a line right of the equals sign. An op that Verify refuses is listed as well.
func (p *Program) opText(op *Op) string {
	parts := []string{op.Kind.String()}
	put := func(name, text string) {
		if name != "" {
			text = name + "=" + text
		}
		parts = append(parts, text)
	}
	for i, id := range op.Src {
		if id != None {
			text := p.valueName(id)
			if op.Kind == Attention && i < 3 && op.I[1+i] != 0 {
				text += fmt.Sprintf("[%d:]", op.I[1+i])
			}
			put(sourceNames[op.Kind][i], text)
		}
	}
	for i, id := range op.W {
		if id != None {
			put(tensorNames[op.Kind][i], p.tensorText(id))
		}
	}
	act := Activation(op.I[0])
	eps := fmt.Sprint(op.F[0])
	switch op.Kind {
	case Embed:
		put("factor", eps)
	case Im2Col:
		put("layout", choice(op.I[0], "planar", "channels"))
		put("", ConvOf(op).String())
	case DWConv:
		put("", ConvOf(op).String())
		put("act", act.String())
	case Act:
		put("act", act.String())
	case Norm:
		put("kind", choice(op.I[0], "layer", "rms"))
		put("eps", eps)
	case L2Norm:
		put("eps", eps)
	case Linear:
		if act != ActNone {
			put("act", act.String())
		}
		if op.I[2] != 0 {
			put("round", "q8_0")
		}
	case Attention:
		put("heads", fmt.Sprintf("%dx%d", op.I[0], op.I[4]))
		put("scale", eps)
		put("mask", choice(op.I[5], "none", "causal"))
		if op.I[6] != 0 {
			put("round", "bf16")
		}
	case Select:
		put("mode", choice(op.I[0], "row", "last", "index", "mean"))
		if op.I[0] == SelectRow {
			put("row", fmt.Sprint(op.I[1]))
		}
		if op.I[0] == SelectMean {
			put("eps", eps)
		}
	}
	return strings.Join(parts, " ")
}

func choice(i int32, names ...string) string {
	if i < 0 || int(i) >= len(names) {
		return fmt.Sprint(i)
	}
	return names[i]
}

// String returns the geometry as it is written in listings.
func (c Conv) String() string {
	return fmt.Sprintf("image=%dx%dx%d kernel=%dx%d stride=%d pad=%d,%d out=%dx%d", c.Channels, c.H, c.W, c.KH, c.KW, c.Stride,
		c.PadTop, c.PadLeft, c.OH, c.OW)
}
