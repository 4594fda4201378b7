// Package checkpoint is what the readers of other programs' weight files have in common: named tensors, read as float32
// piece by piece.
package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"os"

	"github.com/clipgo/clipgo/internal/half"
)

// DType is the type of a tensor's elements.
type DType uint8

// The element types. Those without a comment can't be read as float32.
const (
	Bool DType = iota
	U8
	I8
	F8E5M2
	F8E4M3
	I16
	U16
	F16 // IEEE binary16; ReadFloat32 widens
	BF16
	I32
	U32
	F32
	F64 // ReadFloat32 rounds to nearest, ties to even
	I64
	U64
)

// dtypes has the names, which are those of safetensors, and the sizes in bytes.
var dtypes = [...]struct {
	name string
	size int
}{
	Bool: {"BOOL", 1}, U8: {"U8", 1}, I8: {"I8", 1}, F8E5M2: {"F8_E5M2", 1}, F8E4M3: {"F8_E4M3", 1},
	I16: {"I16", 2}, U16: {"U16", 2}, F16: {"F16", 2}, BF16: {"BF16", 2},
	I32: {"I32", 4}, U32: {"U32", 4}, F32: {"F32", 4},
	F64: {"F64", 8}, I64: {"I64", 8}, U64: {"U64", 8},
}

func (d DType) String() string { return dtypes[d].name }

// Size returns the size of an element in bytes.
func (d DType) Size() int { return dtypes[d].size }

// Float reports whether ReadFloat32 can read the type.
func (d DType) Float() bool { return d == F16 || d == BF16 || d == F32 || d == F64 }

// ParseDType finds a type by its name in safetensors.
func ParseDType(name string) (DType, bool) {
	for i := range dtypes {
		if dtypes[i].name == name {
			return DType(i), true
		}
	}
	return 0, false
}

// Tensor is one tensor of a checkpoint.
type Tensor struct {
	Name  string
	File  string // that the tensor lies in
	DType DType
	Shape []uint64 // the row length last, as in Python; empty for a scalar
	// Data has the elements in little-endian order, the last index running fastest, and nothing else.
	Data io.ReaderAt
}

// Elements returns the number of elements. Readers make no tensor for which it overflows.
func (t *Tensor) Elements() uint64 {
	n := uint64(1)
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// ReadFloat32 fills dst with elements first, first+1, ... as float32. It allocates little, however many they are.
func (t *Tensor) ReadFloat32(dst []float32, first uint64) error {
	if !t.DType.Float() {
		return fmt.Errorf("%s: tensor %.80q has elements of %s, expected F16, BF16, F32 or F64", t.File, t.Name, t.DType)
	}
	if n := t.Elements(); first > n || uint64(len(dst)) > n-first {
		return fmt.Errorf("%s: tensor %.80q has %d elements, wanted %d from %d on", t.File, t.Name, n, len(dst), first)
	}
	size := t.DType.Size()
	buf := make([]byte, min(len(dst)*size, 256<<10))
	at := int64(first) * int64(size)
	for len(dst) > 0 {
		n := min(len(dst), len(buf)/size)
		b := buf[:n*size]
		if got, err := t.Data.ReadAt(b, at); got < len(b) {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("%s: reading tensor %.80q: %w", t.File, t.Name, err)
		}
		t.decode(dst[:n], b)
		dst, at = dst[n:], at+int64(len(b))
	}
	return nil
}

func (t *Tensor) decode(dst []float32, b []byte) {
	switch t.DType {
	case F16:
		half.DecodeF16(dst, b)
	case BF16:
		half.DecodeBF16(dst, b)
	case F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
	case F64:
		for i := range dst {
			dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:])))
		}
	}
}

// Bytes returns the size of a tensor's data, or false where that, or the number of elements, overflows.
func Bytes(d DType, shape []uint64) (int64, bool) {
	n := uint64(d.Size())
	for _, s := range shape {
		hi, lo := bits.Mul64(n, s)
		if hi != 0 || lo > math.MaxInt64 {
			return 0, false
		}
		n = lo
	}
	return int64(n), true
}

// OpenFile opens a regular file and returns its size.
func OpenFile(path string) (*os.File, int64, error) {
	// A pipe would block and a device lies about its size: ask before opening.
	st, err := os.Stat(path)
	if err != nil {
		return nil, 0, err
	}
	if !st.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s: is not a regular file (%s)", path, st.Mode().Type())
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	if st, err = f.Stat(); err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, st.Size(), nil
}

// Errorf says what is wrong in a file, at which byte, with which field.
func Errorf(file string, offset int64, field, format string, args ...any) error {
	return fmt.Errorf("%s: at byte %d: %s: %s", file, offset, field, fmt.Sprintf(format, args...))
}
