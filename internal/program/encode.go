package program

import (
	"encoding/binary"
	"math"
)

// EncodeValues returns the values as clipgo_value records of clipgo.h.
func (p *Program) EncodeValues() []byte {
	b := make([]byte, 0, 24*len(p.Values))
	for _, v := range p.Values {
		for _, field := range [...]uint32{uint32(v.Kind), uint32(v.Role), v.Rows.Scale, v.Rows.Add, uint32(v.Width), 0} {
			b = binary.LittleEndian.AppendUint32(b, field)
		}
	}
	return b
}

// EncodeOps returns the ops as clipgo_op records of clipgo.h.
func (p *Program) EncodeOps() []byte {
	le := binary.LittleEndian
	b := make([]byte, 0, 128*len(p.Ops))
	for i := range p.Ops {
		op := &p.Ops[i]
		b = le.AppendUint32(b, uint32(op.Kind))
		b = le.AppendUint32(b, 0) // flags
		b = le.AppendUint32(b, uint32(op.Dst))
		b = le.AppendUint32(b, 0) // reserved
		for _, fields := range [...][]int32{op.Src[:], op.W[:], op.I[:]} {
			for _, field := range fields {
				b = le.AppendUint32(b, uint32(field))
			}
		}
		for _, f := range op.F {
			b = le.AppendUint32(b, math.Float32bits(f))
		}
	}
	return b
}

// Place is where a tensor lies in the data that the engine is given.
type Place struct {
	Offset, Bytes uint64
}

// EncodeTensors returns the tensors as clipgo_tensor records of clipgo.h; places has one entry for each.
func (p *Program) EncodeTensors(places []Place) []byte {
	le := binary.LittleEndian
	b := make([]byte, 0, 40*len(p.Tensors))
	for i, t := range p.Tensors {
		for _, field := range [...]uint64{places[i].Offset, places[i].Bytes, uint64(t.Rows), uint64(t.Cols)} {
			b = le.AppendUint64(b, field)
		}
		b = le.AppendUint32(b, uint32(t.Type))
		b = le.AppendUint32(b, 0) // flags
	}
	return b
}
