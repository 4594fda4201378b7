// Package half converts between float32 and the two 16-bit floating-point formats, IEEE binary16 and bfloat16.
//
// Widening is exact. Narrowing rounds to nearest, ties to even, and makes a NaN quiet, with the bits of its payload that
// fit.
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
	f16Normal   = 0x38800000 // 2^-14 as a float32, the least normal binary16
	f16Beyond   = 0x47800000 // 2^16 as a float32, which no rounding brings back
)

// FromF16 widens a binary16.
func FromF16(h uint16) float32 {
	// Moved to their places in a float32 the bits are 2^112 times too small (bias 127 against 15), subnormals too.
	bits := math.Float32bits(math.Float32frombits(uint32(h&0x7fff)<<13) * 0x1p112)
	if bits >= f16Beyond { // the exponent of infinities and NaNs
		bits |= f32Infinity
	}
	return math.Float32frombits(bits | uint32(h&0x8000)<<16)
}

// ToF16 narrows to a binary16.
func ToF16(f float32) uint16 {
	bits := math.Float32bits(f)
	magnitude := bits & 0x7fffffff
	if magnitude-f16Normal >= f16Beyond-f16Normal { // below as well: the difference wraps around
		return toF16Rare(uint16(bits>>16&0x8000), magnitude)
	}
	magnitude -= 112 << 23                // the other bias
	magnitude += 0x0fff + magnitude>>13&1 // a carry may run into the exponent, up to infinity, as it should
	return uint16(bits>>16&0x8000 | magnitude>>13)
}

// toF16Rare is ToF16 for what is not a normal binary16; apart, so that the compiler inlines the rest.
func toF16Rare(sign uint16, magnitude uint32) uint16 {
	switch {
	case magnitude > f32Infinity:
		return sign | f16Infinity | f16Quiet | uint16(magnitude>>13&0x3ff)
	case magnitude >= f16Beyond:
		return sign | f16Infinity
	}
	// The result is subnormal or zero. A float32 near 1/2 has steps of 2^-24, the very steps of a subnormal binary16: the
	// addition rounds.
	return sign | uint16(math.Float32bits(math.Float32frombits(magnitude)+0.5)-math.Float32bits(0.5))
}

// FromBF16 widens a bfloat16.
func FromBF16(h uint16) float32 {
	return math.Float32frombits(uint32(h) << 16)
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
	for ; len(src) >= 4; dst, src = dst[8:], src[4:] { // one store for four is three times as fast
		binary.LittleEndian.PutUint64(dst, uint64(ToF16(src[0]))|uint64(ToF16(src[1]))<<16|
			uint64(ToF16(src[2]))<<32|uint64(ToF16(src[3]))<<48)
	}
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
	for ; len(src) >= 4; dst, src = dst[8:], src[4:] {
		binary.LittleEndian.PutUint64(dst, uint64(ToBF16(src[0]))|uint64(ToBF16(src[1]))<<16|
			uint64(ToBF16(src[2]))<<32|uint64(ToBF16(src[3]))<<48)
	}
	for i, f := range src {
		binary.LittleEndian.PutUint16(dst[2*i:], ToBF16(f))
	}
}
