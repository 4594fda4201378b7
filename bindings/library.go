package bindings

import (
	"bytes"
	"fmt"
	"strings"
	"unsafe"
)

// Library is a loaded engine. It stays loaded until the process ends, and may be used by several goroutines.
type Library struct {
	path, source string
	fn           functions
}

// functions are the C functions. int32 results are statuses; each *errorRecord is filled on failure.
type functions struct {
	abiVersion     func() int32
	layout         func(out *uint32, n uint64) int32
	isas           func(text *byte, n uint64) int32
	deviceCreate   func(o *deviceOptions, device *uintptr, e *errorRecord) int32
	deviceDescribe func(device uintptr, info *deviceInfo, e *errorRecord) int32
	deviceCeilings func(device uintptr, readBytes uint64, c *ceilingsRecord, e *errorRecord) int32
	deviceFree     func(device uintptr)
	weightsCreate  func(device uintptr, data unsafe.Pointer, bytes uint64, tensors *tensorRecord, n uint64, flags uint64,
		weights *uintptr, e *errorRecord) int32
	weightsFree   func(weights uintptr)
	programCreate func(weights uintptr, desc *programDesc, values *valueRecord, ops *opRecord, program *uintptr,
		e *errorRecord) int32
	programRestore func(weights uintptr, desc *programDesc, values *valueRecord, ops *opRecord, panels unsafe.Pointer,
		panelBytes uint64, program *uintptr, e *errorRecord) int32
	programPanels func(program uintptr, panels *unsafe.Pointer, bytes *uint64, e *errorRecord) int32
	programMemory func(program uintptr, m *memoryRecord, e *errorRecord) int32
	programFree   func(program uintptr)
	contextCreate func(program uintptr, o *contextOptions, context *uintptr, e *errorRecord) int32
	contextMemory func(context uintptr, m *memoryRecord, e *errorRecord) int32
	contextFree   func(context uintptr)
	run           func(context uintptr, args *runArgs, in unsafe.Pointer, inBytes uint64, out unsafe.Pointer,
		outBytes uint64, e *errorRecord) int32
	cancel   func(context uintptr, on int32) int32
	profile  func(context uintptr, nanoseconds *uint64, n uint64, e *errorRecord) int32
	resample func(device uintptr, args *resampleArgs, src unsafe.Pointer, srcBytes uint64, kernel *int32, dst unsafe.Pointer,
		dstBytes uint64, e *errorRecord) int32
	idct func(device uintptr, args *idctArgs, coeffs *int16, last *uint8, quant *int32, dst unsafe.Pointer, dstBytes uint64,
		e *errorRecord) int32
	yccRows func(device uintptr, args *yccArgs, planes unsafe.Pointer, planesBytes uint64, dst unsafe.Pointer, dstBytes uint64,
		e *errorRecord) int32
}

// symbol is a C function's name and the address of the Go function that calls it.
type symbol struct {
	name string
	fn   any
}

func (f *functions) symbols() []symbol {
	return []symbol{
		{"clipgo_abi_version", &f.abiVersion},
		{"clipgo_layout", &f.layout},
		{"clipgo_isas", &f.isas},
		{"clipgo_device_create", &f.deviceCreate},
		{"clipgo_device_describe", &f.deviceDescribe},
		{"clipgo_device_ceilings", &f.deviceCeilings},
		{"clipgo_device_free", &f.deviceFree},
		{"clipgo_weights_create", &f.weightsCreate},
		{"clipgo_weights_free", &f.weightsFree},
		{"clipgo_program_create", &f.programCreate},
		{"clipgo_program_restore", &f.programRestore},
		{"clipgo_program_panels", &f.programPanels},
		{"clipgo_program_memory", &f.programMemory},
		{"clipgo_program_free", &f.programFree},
		{"clipgo_context_create", &f.contextCreate},
		{"clipgo_context_memory", &f.contextMemory},
		{"clipgo_context_free", &f.contextFree},
		{"clipgo_run", &f.run},
		{"clipgo_cancel", &f.cancel},
		{"clipgo_resample", &f.resample},
		{"clipgo_idct", &f.idct},
		{"clipgo_ycc_rows", &f.yccRows},
		{"clipgo_profile", &f.profile},
	}
}

// load opens the library file at path and checks that it is the engine that this package was written for.
func load(path string) (*Library, error) {
	l := &Library{path: path}
	symbols := l.fn.symbols()
	addresses, unload, err := openLibrary(path, symbols)
	if err != nil {
		return nil, err
	}
	if err := l.bind(symbols, addresses); err != nil {
		unload()
		return nil, err
	}
	return l, nil
}

func (l *Library) bind(symbols []symbol, addresses []uintptr) error {
	var missing []string
	for i, a := range addresses {
		if a == 0 {
			missing = append(missing, symbols[i].name)
		}
	}
	if missing != nil {
		return fmt.Errorf("it lacks %s: not a clipgo engine, or one of another version", strings.Join(missing, ", "))
	}
	for i, s := range symbols {
		registerFunc(s.fn, addresses[i])
	}
	if v := l.fn.abiVersion(); v != abiVersion {
		return fmt.Errorf("its ABI version is %d, this program needs %d: use the engine that came with it", v, abiVersion)
	}
	numbers := make([]uint32, 256)
	n := l.fn.layout(&numbers[0], uint64(len(numbers)))
	if n < 0 || int(n) > len(numbers) {
		return fmt.Errorf("clipgo_layout says %d numbers, expected less than %d", n, len(numbers))
	}
	return checkLayout(numbers[:n])
}

// Path returns the file that the library was loaded from.
func (l *Library) Path() string { return l.path }

// Source says which step of the search found the library, such as "$CLIPGO_LIBRARY".
func (l *Library) Source() string { return l.source }

// ISAs returns the names of the instruction sets that the library has and this processor runs, best first.
func (l *Library) ISAs() ([]string, error) {
	var text [256]byte
	if status := l.fn.isas(&text[0], uint64(len(text))); status != 0 {
		return nil, &Error{Call: "list instruction sets", Code: Code(status)}
	}
	return strings.Split(cString(text[:]), ","), nil
}

func cString(b []byte) string {
	text, _, _ := bytes.Cut(b, []byte{0})
	return string(text)
}
