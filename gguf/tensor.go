package gguf

import (
	"fmt"
	"math"
	"math/bits"
)

const (
	maxDims          = 4
	maxTensorName    = 63 // GGML keeps names in 64 bytes, with a terminator
	defaultAlignment = 32
	maxAlignment     = 64 << 10
)

// TensorInfo describes one tensor of a file.
type TensorInfo struct {
	Name   string
	Dims   []uint64 // 1 to 4 of them, the row length first: a matrix of [rows, cols] has Dims {cols, rows}
	Type   Type
	Offset int64 // of the first byte, from the start of the file
	Bytes  int64 // size of the data
}

// Elements returns the number of elements, the product of Dims.
func (t TensorInfo) Elements() uint64 {
	n := uint64(1)
	for _, d := range t.Dims {
		n *= d
	}
	return n
}

// Rows returns the number of rows: Elements divided by Dims[0].
func (t TensorInfo) Rows() uint64 {
	return t.Elements() / t.Dims[0]
}

// tensorBytes checks a shape and returns the size of its data. The number of elements fits an int64 as well.
func tensorBytes(typ Type, dims []uint64) (int64, error) {
	if len(dims) < 1 || len(dims) > maxDims {
		return 0, fmt.Errorf("%d dimensions, expected 1 to %d", len(dims), maxDims)
	}
	elements := uint64(1)
	for i, d := range dims {
		if d == 0 || d > math.MaxInt64 {
			return 0, fmt.Errorf("dimension %d is %d, expected 1 or more", i, int64(d))
		}
		hi, lo := bits.Mul64(elements, d)
		if hi != 0 || lo > math.MaxInt64 {
			return 0, fmt.Errorf("number of elements of %v overflows", dims)
		}
		elements = lo
	}
	row, err := typ.RowBytes(dims[0])
	if err != nil {
		return 0, err
	}
	hi, n := bits.Mul64(row, elements/dims[0])
	if hi != 0 || n > math.MaxInt64 {
		return 0, fmt.Errorf("size in bytes of %v of %s overflows", dims, typ)
	}
	return int64(n), nil
}

// alignUp rounds n up to a multiple of alignment, a power of two; ok is false where that overflows.
func alignUp(n, alignment int64) (aligned int64, ok bool) {
	if n > math.MaxInt64-(alignment-1) {
		return 0, false
	}
	return (n + alignment - 1) &^ (alignment - 1), true
}

func checkAlignment(n uint64) error {
	if n == 0 || n&(n-1) != 0 || n > maxAlignment {
		return fmt.Errorf("%d, expected a power of two up to %d", n, maxAlignment)
	}
	return nil
}
