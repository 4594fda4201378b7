// Package program builds, verifies and prints programs: the lists of fixed-size op records that Go compiles a model into
// and that the engine, or the interpreter of internal/refvm, runs. The records are those of ggml/include/clipgo.h, whose
// manual defines every op.
package program

import "github.com/clipgo/clipgo/gguf"

// Kind is the element type of a value.
type Kind uint32

// The kinds of values.
const (
	F32 Kind = iota
	I32
)

// Role says where a value comes from and goes to.
type Role uint32

// The roles of values.
const (
	Temporary Role = iota
	Input
	Output
)

// Rows is a number of rows per item: Scale*R + Add, where R is given at run time and Scale is 0 or 1.
type Rows struct {
	Scale, Add uint32
}

// At returns the number of rows for a run-time R.
func (r Rows) At(runRows int) int { return int(r.Scale)*runRows + int(r.Add) }

// Fixed is a number of rows known when the program is built.
func Fixed(n int) Rows { return Rows{Add: uint32(n)} }

// PerItem is the number of rows given at run time, plus add.
func PerItem(add int) Rows { return Rows{Scale: 1, Add: uint32(add)} }

// Value describes a value of shape [batch, Rows, Width].
type Value struct {
	Kind  Kind
	Role  Role
	Rows  Rows
	Width int
	Name  string // for people; inputs and outputs are found by it
}

// Tensor names a tensor of weights, seen as a matrix [Rows, Cols].
type Tensor struct {
	Name       string
	Type       gguf.Type
	Rows, Cols int
}

// OpKind is the kind of an op.
type OpKind uint32

// The ops; clipgo.h defines each.
const (
	Embed OpKind = iota + 1
	Im2Col
	DWConv
	Concat
	Add
	Mul
	Act
	Norm
	L2Norm
	Linear
	Attention
	Select
)

// Activation is an element-wise function.
type Activation int32

// The activations: none, GELU with erf, GELU with tanh, x*sigmoid(1.702x), ReLU, SiLU, sigmoid, tanh.
const (
	ActNone Activation = iota
	ActGELU
	ActGELUTanh
	ActQuickGELU
	ActReLU
	ActSiLU
	ActSigmoid
	ActTanh
)

// The kinds of Norm.
const (
	LayerNorm int32 = iota
	RMSNorm
)

// The masks of Attention.
const (
	MaskNone int32 = iota
	MaskCausal
)

// What Select picks.
const (
	SelectRow int32 = iota
	SelectLast
	SelectIndex
	SelectMean
)

// None stands for an absent value or tensor.
const None int32 = -1

// Op is one op record.
type Op struct {
	Kind OpKind
	Dst  int32
	Src  [4]int32
	W    [8]int32
	I    [12]int32
	F    [4]float32
}

// Program is a list of ops over values and tensors.
type Program struct {
	Values  []Value
	Tensors []Tensor
	Ops     []Op
}

// Find returns the index of the value with a role and a name, None if there is none.
func (p *Program) Find(role Role, name string) int32 {
	for i, v := range p.Values {
		if v.Role == role && v.Name == name {
			return int32(i)
		}
	}
	return None
}

// Align is what the places of inputs and outputs in the buffers of a run are multiples of.
const Align = 64

// Layout returns the byte offset of each value of a role in the buffer of a run, in table order, and the buffer's size.
func (p *Program) Layout(role Role, batch, runRows int) (offsets []int, size int) {
	for _, v := range p.Values {
		if v.Role != role {
			continue
		}
		size = (size + Align - 1) / Align * Align
		offsets = append(offsets, size)
		size += 4 * batch * v.Rows.At(runRows) * v.Width
	}
	return offsets, size
}
