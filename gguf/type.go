package gguf

import (
	"fmt"
	"math/bits"
	"strings"
)

// Type is the storage type of a tensor's elements, numbered as in the file.
type Type uint32

// The tensor types of GGML. Numbers that are missing here belonged to types that were removed.
const (
	F32     Type = 0
	F16     Type = 1
	Q4_0    Type = 2
	Q4_1    Type = 3
	Q5_0    Type = 6
	Q5_1    Type = 7
	Q8_0    Type = 8
	Q8_1    Type = 9
	Q2_K    Type = 10
	Q3_K    Type = 11
	Q4_K    Type = 12
	Q5_K    Type = 13
	Q6_K    Type = 14
	Q8_K    Type = 15
	IQ2_XXS Type = 16
	IQ2_XS  Type = 17
	IQ3_XXS Type = 18
	IQ1_S   Type = 19
	IQ4_NL  Type = 20
	IQ3_S   Type = 21
	IQ2_S   Type = 22
	IQ4_XS  Type = 23
	I8      Type = 24
	I16     Type = 25
	I32     Type = 26
	I64     Type = 27
	F64     Type = 28
	IQ1_M   Type = 29
	BF16    Type = 30
	TQ1_0   Type = 34
	TQ2_0   Type = 35
	MXFP4   Type = 39
	NVFP4   Type = 40
	Q1_0    Type = 41
	Q2_0    Type = 42
)

// types says how the elements of a row are packed: each block holds blockSize elements in blockBytes bytes.
var types = [...]struct {
	name                  string
	blockSize, blockBytes int // both 0 for a removed type
}{
	F32:     {"F32", 1, 4},
	F16:     {"F16", 1, 2},
	Q4_0:    {"Q4_0", 32, 18},
	Q4_1:    {"Q4_1", 32, 20},
	4:       {"Q4_2", 0, 0},
	5:       {"Q4_3", 0, 0},
	Q5_0:    {"Q5_0", 32, 22},
	Q5_1:    {"Q5_1", 32, 24},
	Q8_0:    {"Q8_0", 32, 34},
	Q8_1:    {"Q8_1", 32, 36},
	Q2_K:    {"Q2_K", 256, 84},
	Q3_K:    {"Q3_K", 256, 110},
	Q4_K:    {"Q4_K", 256, 144},
	Q5_K:    {"Q5_K", 256, 176},
	Q6_K:    {"Q6_K", 256, 210},
	Q8_K:    {"Q8_K", 256, 292},
	IQ2_XXS: {"IQ2_XXS", 256, 66},
	IQ2_XS:  {"IQ2_XS", 256, 74},
	IQ3_XXS: {"IQ3_XXS", 256, 98},
	IQ1_S:   {"IQ1_S", 256, 50},
	IQ4_NL:  {"IQ4_NL", 32, 18},
	IQ3_S:   {"IQ3_S", 256, 110},
	IQ2_S:   {"IQ2_S", 256, 82},
	IQ4_XS:  {"IQ4_XS", 256, 136},
	I8:      {"I8", 1, 1},
	I16:     {"I16", 1, 2},
	I32:     {"I32", 1, 4},
	I64:     {"I64", 1, 8},
	F64:     {"F64", 1, 8},
	IQ1_M:   {"IQ1_M", 256, 56},
	BF16:    {"BF16", 1, 2},
	31:      {"Q4_0_4_4", 0, 0},
	32:      {"Q4_0_4_8", 0, 0},
	33:      {"Q4_0_8_8", 0, 0},
	TQ1_0:   {"TQ1_0", 256, 54},
	TQ2_0:   {"TQ2_0", 256, 66},
	36:      {"IQ4_NL_4_4", 0, 0},
	37:      {"IQ4_NL_4_8", 0, 0},
	38:      {"IQ4_NL_8_8", 0, 0},
	MXFP4:   {"MXFP4", 32, 17},
	NVFP4:   {"NVFP4", 64, 36},
	Q1_0:    {"Q1_0", 128, 18},
	Q2_0:    {"Q2_0", 64, 18},
}

// String returns the type's usual name, such as "F32" or "Q4_K".
func (t Type) String() string {
	if int(t) < len(types) && types[t].name != "" {
		return types[t].name
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// BlockSize returns the number of elements in a block: 1 for plain numbers, 0 for a type that is unknown or removed.
func (t Type) BlockSize() int {
	if int(t) >= len(types) {
		return 0
	}
	return types[t].blockSize
}

// BlockBytes returns the number of bytes in a block, 0 for a type that is unknown or removed.
func (t Type) BlockBytes() int {
	if int(t) >= len(types) {
		return 0
	}
	return types[t].blockBytes
}

// Quantized reports whether elements share a block, so that a row must be a whole number of blocks.
func (t Type) Quantized() bool { return t.BlockSize() > 1 }

// check refuses types that cannot be read.
func (t Type) check() error {
	switch {
	case t.BlockSize() > 0:
		return nil
	case int(t) < len(types) && types[t].name != "":
		return fmt.Errorf("tensor type %s was removed from GGML; convert the model again", t)
	}
	return fmt.Errorf("unknown tensor type %d", uint32(t))
}

// RowBytes returns the size in bytes of a row of cols elements. It is an error if the type is unknown or removed, if
// cols is no multiple of the block size, or if the size overflows.
func (t Type) RowBytes(cols uint64) (uint64, error) {
	if err := t.check(); err != nil {
		return 0, err
	}
	block := uint64(t.BlockSize())
	if cols%block != 0 {
		return 0, fmt.Errorf("row of %d elements is no multiple of the %d in a block of %s", cols, block, t)
	}
	hi, n := bits.Mul64(cols/block, uint64(t.BlockBytes()))
	if hi != 0 {
		return 0, fmt.Errorf("row of %d elements of %s overflows", cols, t)
	}
	return n, nil
}

// ParseType finds a type by its name in any case, such as "q4_k". A removed type is an error that says so.
func ParseType(name string) (Type, error) {
	for i := range types {
		if t := Type(i); types[i].name != "" && strings.EqualFold(types[i].name, name) {
			return t, t.check()
		}
	}
	return 0, fmt.Errorf("unknown tensor type %q", name)
}
