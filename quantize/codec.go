package quantize

import (
	"fmt"
	"math"

	"github.com/clipgo/clipgo/gguf"
)

// codec packs and unpacks rows of one type. Both functions get whole blocks and lengths that fit each other.
type codec struct {
	// decode fills dst from src.
	decode func(dst []float32, src []byte)
	// encode fills dst from one row of finite numbers, none beyond limit. weights is nil, or one number per element.
	// nil for a type that is only read.
	encode func(dst []byte, src, weights []float32)
	// limit is the greatest magnitude whose scale is still finite in the type.
	limit float32
}

// maxHalf is the greatest number that a scale in float16 can hold.
const maxHalf = 65504

// A scale is stored as float16, so the limit of a type is maxHalf times its highest level, times the highest scale of a
// sub-block where there is one. With a minimum, which is stored like the scale, maxHalf itself is the limit.
var codecs = map[gguf.Type]codec{
	gguf.F32:    {decodeF32, encodeF32, math.MaxFloat32},
	gguf.F16:    {decodeF16, encodeF16, maxHalf},
	gguf.BF16:   {decodeBF16, encodeBF16, maxBF16},
	gguf.Q4_0:   {decodeQ4_0, encodeQ4_0, 8 * maxHalf},
	gguf.Q4_1:   {decodeQ4_1, encodeQ4_1, maxHalf},
	gguf.Q5_0:   {decodeQ5_0, encodeQ5_0, 16 * maxHalf},
	gguf.Q5_1:   {decodeQ5_1, encodeQ5_1, maxHalf},
	gguf.Q8_0:   {decodeQ8_0, encodeQ8_0, 127 * maxHalf},
	gguf.MXFP4:  {decodeMXFP4, encodeMXFP4, 0x1.8p127},
	gguf.Q2_K:   {decodeQ2K, encodeQ2K, maxHalf},
	gguf.Q3_K:   {decodeQ3K, encodeQ3K, maxHalf},
	gguf.Q4_K:   {decodeQ4K, encodeQ4K, maxHalf},
	gguf.Q5_K:   {decodeQ5K, encodeQ5K, maxHalf},
	gguf.Q6_K:   {decodeQ6K, encodeQ6K, maxHalf},
	gguf.IQ4_NL: {decodeIQ4NL, encodeIQ4NL, maxHalf},
	gguf.IQ4_XS: {decodeIQ4XS, encodeIQ4XS, maxHalf},
	gguf.TQ2_0:  {decode: decodeTQ2_0},
}

// CanDequantize reports whether Dequantize knows the type.
func CanDequantize(t gguf.Type) bool { return codecs[t].decode != nil }

// CanQuantize reports whether Quantize knows the type.
func CanQuantize(t gguf.Type) bool { return codecs[t].encode != nil }

// A ValueError reports a number that the type cannot hold: NaN, an infinity, or one beyond the type's range.
type ValueError struct {
	Index int64 // in src of Quantize, or in the tensor where File reports it
	Value float32
	Type  gguf.Type
	Limit float32 // greatest magnitude that the type can hold
}

func (e *ValueError) Error() string {
	if v := float64(e.Value); math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Sprintf("element %d is %v, expected a finite number", e.Index, e.Value)
	}
	return fmt.Sprintf("element %d is %v, beyond the ±%v of %s; choose a type of greater range, such as BF16", e.Index, e.Value, e.Limit, e.Type)
}

// Dequantize fills dst from src, blocks of type t. dst may be any whole number of blocks, such as a row, a chunk of rows
// or a tensor; src must have exactly the bytes of as many elements. Any bytes decode: what a file says may be infinite
// or NaN.
func Dequantize(dst []float32, src []byte, t gguf.Type) error {
	c := codecs[t]
	if c.decode == nil {
		return fmt.Errorf("dequantise: no codec for %s", t)
	}
	if err := checkLengths(len(dst), len(src), t); err != nil {
		return fmt.Errorf("dequantise: %w", err)
	}
	c.decode(dst, src)
	return nil
}

// DequantizeRow fills dst with a row of a tensor: data is the whole tensor of type t, in rows of len(dst) elements.
func DequantizeRow(dst []float32, data []byte, t gguf.Type, row int) error {
	n, err := t.RowBytes(uint64(len(dst)))
	if err != nil {
		return fmt.Errorf("dequantise: %w", err)
	}
	if n == 0 || row < 0 || uint64(row) >= uint64(len(data))/n {
		return fmt.Errorf("dequantise: row %d, but %d bytes hold no such row of %d elements of %s", row, len(data), len(dst), t)
	}
	start := uint64(row) * n
	return Dequantize(dst, data[start:start+n], t)
}

// Quantize fills dst with src [rows, cols] as blocks of type t; len(dst) must be the size of as many rows. weights, nil
// or one number from 0 to 1e20 per column, says how much an error in the column matters (an importance matrix). The types
// F32, F16, BF16, Q8_0 and MXFP4 have no choice to make and ignore it.
//
// Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, MXFP4, F16 and BF16 give the bytes that GGML gives. The K and IQ types have a freer
// search, for the least (weighted) sum of squared errors. A number that the type can't hold is a *ValueError.
func Quantize(dst []byte, src []float32, t gguf.Type, cols int, weights []float32) error {
	c := codecs[t]
	if c.encode == nil {
		return fmt.Errorf("quantise: no encoder for %s", t)
	}
	if cols <= 0 || len(src)%cols != 0 {
		return fmt.Errorf("quantise: %d elements are not in rows of %d", len(src), cols)
	}
	if block := t.BlockSize(); cols%block != 0 {
		return fmt.Errorf("quantise: row of %d elements is no multiple of the %d in a block of %s", cols, block, t)
	}
	if err := checkLengths(len(src), len(dst), t); err != nil {
		return fmt.Errorf("quantise: %w", err)
	}
	if err := checkWeights(weights, cols); err != nil {
		return fmt.Errorf("quantise: %w", err)
	}
	rowBytes := cols / t.BlockSize() * t.BlockBytes()
	for start := 0; start < len(src); start += cols {
		row := src[start : start+cols]
		if maxMagnitude(row) > c.limit {
			return valueError(row, start, t, c.limit)
		}
		c.encode(dst[:rowBytes:rowBytes], row, weights)
		dst = dst[rowBytes:]
	}
	return nil
}

// maxMagnitude returns the greatest magnitude in x; infinity stands for NaN as well.
func maxMagnitude(x []float32) float32 {
	// As integers, the bits of two numbers >= 0 compare like the numbers, with infinity and then NaN on top.
	var m uint32
	for _, v := range x {
		m = max(m, math.Float32bits(v)&^signBit)
	}
	return math.Float32frombits(min(m, infBits))
}

const (
	signBit = 1 << 31
	infBits = 0xff << 23
)

// valueError finds the number in row, known to be there, that is not within limit.
func valueError(row []float32, start int, t gguf.Type, limit float32) error {
	for i, v := range row {
		if !(v >= -limit && v <= limit) {
			return &ValueError{int64(start + i), v, t, limit}
		}
	}
	return nil
}

func checkLengths(elements, bytes int, t gguf.Type) error {
	n, err := t.RowBytes(uint64(elements))
	if err != nil {
		return err
	}
	if uint64(bytes) != n {
		return fmt.Errorf("%d elements of %s take %d bytes, got %d", elements, t, n, bytes)
	}
	return nil
}

func checkWeights(weights []float32, cols int) error {
	if weights == nil {
		return nil
	}
	if len(weights) != cols {
		return fmt.Errorf("%d weights for rows of %d elements", len(weights), cols)
	}
	const greatest = 1e20 // sums of products with it stay within float32
	for i, w := range weights {
		if !(w >= 0 && w <= greatest) {
			return fmt.Errorf("weight of column %d is %v, expected 0 to %v", i, w, float32(greatest))
		}
	}
	return nil
}
