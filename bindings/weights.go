package bindings

import "unsafe"

// Weights is a table of tensors over memory of the caller.
type Weights struct{ handle }

// WeightsFlags change how weights are treated.
type WeightsFlags uint64

// DiscardPages says that the data is a private mapping of a file, whose pages are given back to the system once a tensor is
// packed. They are read again from the file when touched.
const DiscardPages WeightsFlags = 1

// NewWeights makes a table of the tensors in data. tensors are clipgo_tensor records, as program.EncodeTensors makes them.
//
// The engine keeps data, so it must not be memory of Go: it is a mapped file, or what [AllocMemory] gives. It must stay
// mapped until the weights, and all programs and contexts made from them, are closed.
func (d *Device) NewWeights(data, tensors []byte, flags WeightsFlags) (*Weights, error) {
	const call = "create weights"
	table, err := records[tensorRecord](call+": tensors", tensors)
	if err != nil {
		return nil, err
	}
	w := &Weights{handle{lib: d.lib, free: d.lib.fn.weightsFree}}
	err = d.use(call, func(ptr uintptr) error {
		e := newErrorRecord()
		return e.result(call, d.lib.fn.weightsCreate(ptr, unsafe.Pointer(unsafe.SliceData(data)), uint64(len(data)), unsafe.SliceData(table),
			uint64(len(table)), uint64(flags), &w.ptr, e))
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}
