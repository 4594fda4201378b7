package bindings

import "unsafe"

// Program is a verified list of ops with its weights packed. It is immutable.
type Program struct {
	handle
	nOps int
}

// Activations says how the left sides of matrix products are kept.
type Activations uint32

// The kinds of activations.
const (
	ActivationsF32       Activations = iota // products in float32 whatever the weights' type
	ActivationsInt8Block                    // with quantised weights: 8 bits, a scale per 32 columns
	ActivationsInt8Row                      // with quantised weights: 8 bits, a scale per row
	ActivationsBF16                         // with F16 and BF16 weights: bfloat16, summed in float32
)

// NewProgram verifies a program and packs its weights. values and ops are clipgo_value and clipgo_op records, as
// program.EncodeValues and program.EncodeOps make them.
func (w *Weights) NewProgram(activations Activations, values, ops []byte) (*Program, error) {
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
		NValues: uint32(len(v)), NOps: uint32(len(o))}
	p := &Program{handle: handle{lib: w.lib, free: w.lib.fn.programFree}, nOps: len(o)}
	err = w.use(call, func(ptr uintptr) error {
		e := newErrorRecord()
		return e.result(call, w.lib.fn.programCreate(ptr, &desc, unsafe.SliceData(v), unsafe.SliceData(o), &p.ptr, e))
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Memory returns the number of bytes of the packed weights that were made for this program.
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
