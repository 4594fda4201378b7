package bindings

import (
	"fmt"
	"reflect"
	"unsafe"
)

// abiVersion is CLIPGO_ABI_VERSION of the clipgo.h that the records below mirror.
const abiVersion = 8

// The structs of clipgo.h. The engine tells its own sizes and offsets, which are compared with these before anything else
// is called.
type (
	errorRecord struct {
		Size    uint32
		Code    int32
		Detail  int64
		Message [240]byte
	}
	deviceOptions struct {
		Size, Threads, SpinMicros, Flags uint32
		ISA                              [16]byte
	}
	deviceInfo struct {
		Size, Threads uint32
		ISA           [16]byte
		CPU           [64]byte
	}
	tensorRecord struct {
		Offset, Bytes, Rows, Cols uint64
		Type, Flags               uint32
	}
	valueRecord struct {
		Kind, Role, RowScale, RowAdd, Width, Flags uint32
	}
	opRecord struct {
		Kind, Flags   uint32
		Dst, Reserved int32
		Src           [4]int32
		W             [8]int32
		I             [12]int32
		F             [4]float32
	}
	programDesc struct {
		Size, Activations, NValues, NOps uint32
		Flags                            uint64
	}
	contextOptions struct {
		Size, MaxBatch, MaxRows, Flags uint32
	}
	runArgs struct {
		Size, Batch, Rows, Flags uint32
	}
	memoryRecord struct {
		Size, Reserved          uint32
		PackedBytes, ArenaBytes uint64
	}
	resampleArgs struct {
		Size, Axis, Channels, Shift, SrcWidth, SrcHeight, Outputs, Taps uint32
		SrcStride, DstStride                                            uint64
	}
	idctArgs struct {
		Size, Blocks uint32
		Stride       uint64
	}
	yccArgs struct {
		Size, Width, Height, Across, Down, First, Rows, Flags uint32
		YStride, ChromaStride, CbOffset, CrOffset             uint64
	}
	ceilingsRecord struct {
		Size, Threads         uint32
		F32, BF16, Int8, Read float64
		Handover              float64
	}
)

// mirrors lists the structs in the order of clipgo.h.
var mirrors = []struct {
	name string
	typ  reflect.Type
}{
	{"clipgo_error", reflect.TypeFor[errorRecord]()},
	{"clipgo_device_options", reflect.TypeFor[deviceOptions]()},
	{"clipgo_device_info", reflect.TypeFor[deviceInfo]()},
	{"clipgo_tensor", reflect.TypeFor[tensorRecord]()},
	{"clipgo_value", reflect.TypeFor[valueRecord]()},
	{"clipgo_op", reflect.TypeFor[opRecord]()},
	{"clipgo_program_desc", reflect.TypeFor[programDesc]()},
	{"clipgo_context_options", reflect.TypeFor[contextOptions]()},
	{"clipgo_run_args", reflect.TypeFor[runArgs]()},
	{"clipgo_memory", reflect.TypeFor[memoryRecord]()},
	{"clipgo_resample_args", reflect.TypeFor[resampleArgs]()},
	{"clipgo_idct_args", reflect.TypeFor[idctArgs]()},
	{"clipgo_ycc_args", reflect.TypeFor[yccArgs]()},
	{"clipgo_ceilings", reflect.TypeFor[ceilingsRecord]()},
}

// checkLayout compares what clipgo_layout wrote with the mirrors: for each struct its size, then the offset of each field.
func checkLayout(got []uint32) error {
	i := 0
	check := func(what string, want uintptr) error {
		if i >= len(got) {
			return fmt.Errorf("its structs have %d numbers, this program needs more: %s is missing", len(got), what)
		}
		if uintptr(got[i]) != want {
			return fmt.Errorf("%s is %d there, %d in this program", what, got[i], want)
		}
		i++
		return nil
	}
	for _, m := range mirrors {
		if err := check("the size of "+m.name, m.typ.Size()); err != nil {
			return err
		}
		for f := range m.typ.NumField() {
			field := m.typ.Field(f)
			if err := check("the offset of "+m.name+" "+field.Name, field.Offset); err != nil {
				return err
			}
		}
	}
	if i != len(got) {
		return fmt.Errorf("its structs have %d numbers, this program knows %d", len(got), i)
	}
	return nil
}

// records copies encoded records into memory that is aligned for them.
func records[T any](what string, encoded []byte) ([]T, error) {
	size := int(unsafe.Sizeof(*new(T)))
	if len(encoded)%size != 0 {
		return nil, fmt.Errorf("%s: %d bytes, expected a multiple of %d", what, len(encoded), size)
	}
	out := make([]T, len(encoded)/size, len(encoded)/size+1) // never without an address
	copy(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(out))), len(encoded)), encoded)
	return out, nil
}
