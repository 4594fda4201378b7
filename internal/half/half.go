// Package half converts between float32 and the two 16-bit floating-point formats, IEEE binary16 and bfloat16.
//
// Widening is exact. Narrowing rounds to nearest, ties to even. A NaN stays a NaN with the bits of its payload that
// fit, made quiet, as processors do.
package half

import (
	"encoding/binary"
	"math"
)

const (
	f32Infinity = 0x7f800000
	f32Quiet    = 0x00400000
	f16Infinity = 0x7c00
	f16Quiet    = 0x0200
)

// FromF16 widens a binary16.
func FromF16(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	rest := uint32(h & 0x7fff)
	switch {
	case rest > f16Infinity:
		return math.Float32frombits(sign | f32Infinity | f32Quiet | rest<<13)
	case rest == f16Infinity:
		return math.Float32frombits(sign | f32Infinity)
	}
	// Moved to their places in a float32 the bits are 2^112 times too small (bias 127 against 15), subnormals too.
	return math.Float32frombits(math.Float32bits(math.Float32frombits(rest<<13)*0x1p112) | sign)
}

// ToF16 narrows to a binary16.
func ToF16(f float32) uint16 {
	bits := math.Float32bits(f)
	sign := uint16(bits >> 16 & 0x8000)
	bits &= 0x7fffffff
	switch {
	case bits > f32Infinity:
		return sign | f16Infinity | f16Quiet | uint16(bits>>13&0x3ff)
	case bits >= 0x47800000: // 2^16 is beyond what rounding could bring back
		return sign | f16Infinity
	case bits < 0x38800000: // under 2^-14 the result is subnormal or zero
		// A float32 near 1/2 has steps of 2^-24, the very steps of a subnormal binary16: the addition rounds.
		return sign | uint16(math.Float32bits(math.Float32frombits(bits)+0.5)-math.Float32bits(0.5))
	}
	bits -= 112 << 23                 // the other bias
	bits += 0x0fff + (bits >> 13 & 1) // a carry may run into the exponent, up to infinity, as it should
	return sign | uint16(bits>>13)
}

// FromBF16 widens a bfloat16.
func FromBF16(h uint16) float32 {
	f := math.Float32frombits(uint32(h) << 16)
	if f != f {
		return math.Float32frombits(uint32(h)<<16 | f32Quiet)
	}
	return f
}

// ToBF16 narrows to a bfloat16.
func ToBF16(f float32) uint16 {
	bits := math.Float32bits(f)
	if f != f {
		return uint16(bits>>16) | f32Quiet>>16
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}

// DecodeF16 widens the little-endian binary16 numbers in src, 2*len(dst) bytes.
func DecodeF16(dst []float32, src []byte) {
	src = src[:2*len(dst)]
	for i := range dst {
		dst[i] = FromF16(binary.LittleEndian.Uint16(src[2*i:]))
	}
}

// EncodeF16 narrows src to little-endian binary16 in dst, 2*len(src) bytes.
func EncodeF16(dst []byte, src []float32) {
	dst = dst[:2*len(src)]
	for i, f := range src {
		binary.LittleEndian.PutUint16(dst[2*i:], ToF16(f))
	}
}

// DecodeBF16 widens the little-endian bfloat16 numbers in src, 2*len(dst) bytes.
func DecodeBF16(dst []float32, src []byte) {
	src = src[:2*len(dst)]
	for i := range dst {
		dst[i] = FromBF16(binary.LittleEndian.Uint16(src[2*i:]))
	}
}

// EncodeBF16 narrows src to little-endian bfloat16 in dst, 2*len(src) bytes.
func EncodeBF16(dst []byte, src []float32) {
	dst = dst[:2*len(src)]
	for i, f := range src {
		binary.LittleEndian.PutUint16(dst[2*i:], ToBF16(f))
	}
}
