package bindings

import (
	"errors"
	"unsafe"
)

// Program is a verified list of ops with its weights packed. It is immutable.
type Program struct {
	handle
	nOps int
}

// Activations says how the left sides of matrix products are kept. The instruction set amx keeps bfloat16, which rounds
// less, in place of 8 bits, and three bfloat16 that add up to it in place of a float32, with F16 and BF16 weights.
type Activations uint32

// The kinds of activations.
const (
	ActivationsF32       Activations = iota // products in float32 whatever the weights' type
	ActivationsInt8                         // with quantised weights: 8 bits, a scale per 128 columns
	ActivationsInt8Block                    // with quantised weights: 8 bits, a scale per 32 columns
	ActivationsBF16                         // with F16 and BF16 weights: bfloat16, summed in float32
)

// programPlan is CLIPGO_PROGRAM_PLAN.
const programPlan = 1

// NewProgram verifies a program and packs its weights. values and ops are clipgo_value and clipgo_op records, as
// program.EncodeValues and program.EncodeOps make them.
func (w *Weights) NewProgram(activations Activations, values, ops []byte) (*Program, error) {
	return w.newProgram(activations, 0, values, ops, nil)
}

// PlanProgram is NewProgram without the packing: the program and its contexts tell their memory, and can't run.
func (w *Weights) PlanProgram(activations Activations, values, ops []byte) (*Program, error) {
	return w.newProgram(activations, programPlan, values, ops, nil)
}

// RestoreProgram is NewProgram with panels that [Program.Panels] gave for the same weights, program and activations, on the
// same instruction set of the same library file. They must not be memory of Go's, begin at a multiple of 64 bytes, and stay
// mapped until the program and its contexts are closed.
func (w *Weights) RestoreProgram(activations Activations, values, ops, panels []byte) (*Program, error) {
	if len(panels) == 0 {
		return nil, errors.New("restore program: no panels")
	}
	return w.newProgram(activations, 0, values, ops, panels)
}

func (w *Weights) newProgram(activations Activations, flags uint64, values, ops, panels []byte) (*Program, error) {
	const call = "create program"
	v, err := records[valueRecord](call+": values", values)
	if err != nil {
		return nil, err
	}
	o, err := records[opRecord](call+": ops", ops)
	if err != nil {
		return nil, err
	}
	desc := programDesc{Size: uint32(unsafe.Sizeof(programDesc{})), Activations: uint32(activations),
		NValues: uint32(len(v)), NOps: uint32(len(o)), Flags: flags}
	p := &Program{handle: handle{lib: w.lib, free: w.lib.fn.programFree}, nOps: len(o)}
	err = w.use(call, func(ptr uintptr) error {
		e := newErrorRecord()
		if panels != nil {
			return e.result(call, w.lib.fn.programRestore(ptr, &desc, unsafe.SliceData(v), unsafe.SliceData(o),
				unsafe.Pointer(unsafe.SliceData(panels)), uint64(len(panels)), &p.ptr, e))
		}
		return e.result(call, w.lib.fn.programCreate(ptr, &desc, unsafe.SliceData(v), unsafe.SliceData(o), &p.ptr, e))
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Panels returns the packed weights that were made for this program, in the engine's memory: they must not be written to,
// and live as long as the program. nil: those of other programs serve it, or it is a plan.
func (p *Program) Panels() (panels []byte, err error) {
	const call = "ask for a program's panels"
	err = p.use(call, func(ptr uintptr) error {
		var data unsafe.Pointer
		var n uint64
		e := newErrorRecord()
		if err := e.result(call, p.lib.fn.programPanels(ptr, &data, &n, e)); err != nil {
			return err
		}
		if data != nil {
			panels = unsafe.Slice((*byte)(data), n)
		}
		return nil
	})
	return panels, err
}

// Memory returns the number of bytes of the packed weights that are, or would be, made for this program.
func (p *Program) Memory() (packed uint64, err error) {
	const call = "ask a program's memory"
	err = p.use(call, func(ptr uintptr) error {
		m := memoryRecord{Size: uint32(unsafe.Sizeof(memoryRecord{}))}
		e := newErrorRecord()
		if err := e.result(call, p.lib.fn.programMemory(ptr, &m, e)); err != nil {
			return err
		}
		packed = m.PackedBytes
		return nil
	})
	return packed, err
}
