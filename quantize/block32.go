package quantize

import (
	"encoding/binary"
	"math"

	"github.com/clipgo/clipgo/internal/half"
)

// The types with blocks of 32 elements and one scale, in the order of their bytes: d float16, [m float16], [qh uint32],
// then the codes. Nibble types keep element j in the low half of byte j and element j+16 in its high half; bit j of qh is
// bit 4 of element j. Where a product is added to something, an explicit float32(...) keeps the compiler from fusing
// the two (it does on arm64), because the bytes must be GGML's everywhere.

const block32 = 32

func getHalf(b []byte) float32    { return half.FromF16(binary.LittleEndian.Uint16(b)) }
func putHalf(b []byte, v float32) { binary.LittleEndian.PutUint16(b, half.ToF16(v)) }

// inverse returns 1/d for a step d, and 0 for a block where every code is 0: one without a step, or with one so small
// that its inverse overflows (numbers below the range of float16's scales).
func inverse(d float32) float32 {
	if inv := 1 / d; inv <= math.MaxFloat32 && inv >= -math.MaxFloat32 {
		return inv
	}
	return 0
}

// x = d*(q-8)
func decodeQ4_0(dst []float32, src []byte) {
	for ; len(dst) >= block32; dst, src = dst[block32:], src[18:] {
		d, qs, x := getHalf(src), (*[16]byte)(src[2:]), (*[block32]float32)(dst)
		for j, q := range qs {
			x[j] = d * float32(int(q&15)-8)
			x[j+16] = d * float32(int(q>>4)-8)
		}
	}
}

// x = d*q + m
func decodeQ4_1(dst []float32, src []byte) {
	for ; len(dst) >= block32; dst, src = dst[block32:], src[20:] {
		d, m, qs, x := getHalf(src), getHalf(src[2:]), (*[16]byte)(src[4:]), (*[block32]float32)(dst)
		for j, q := range qs {
			x[j] = float32(d*float32(q&15)) + m
			x[j+16] = float32(d*float32(q>>4)) + m
		}
	}
}

// x = d*(q-16)
func decodeQ5_0(dst []float32, src []byte) {
	for ; len(dst) >= block32; dst, src = dst[block32:], src[22:] {
		d, qh, qs, x := getHalf(src), binary.LittleEndian.Uint32(src[2:]), (*[16]byte)(src[6:]), (*[block32]float32)(dst)
		for j, q := range qs {
			x[j] = d * float32(int(q&15|byte(qh>>j&1)<<4)-16)
			x[j+16] = d * float32(int(q>>4|byte(qh>>(j+16)&1)<<4)-16)
		}
	}
}

// x = d*q + m
func decodeQ5_1(dst []float32, src []byte) {
	for ; len(dst) >= block32; dst, src = dst[block32:], src[24:] {
		d, m, qh := getHalf(src), getHalf(src[2:]), binary.LittleEndian.Uint32(src[4:])
		qs, x := (*[16]byte)(src[8:]), (*[block32]float32)(dst)
		for j, q := range qs {
			x[j] = float32(d*float32(q&15|byte(qh>>j&1)<<4)) + m
			x[j+16] = float32(d*float32(q>>4|byte(qh>>(j+16)&1)<<4)) + m
		}
	}
}

// x = d*q
func decodeQ8_0(dst []float32, src []byte) {
	for ; len(dst) >= block32; dst, src = dst[block32:], src[34:] {
		d, qs, x := getHalf(src), (*[block32]byte)(src[2:]), (*[block32]float32)(dst)
		for j, q := range qs {
			x[j] = d * float32(int8(q))
		}
	}
}

// encodeQ4_0 has d = v/-8 and q = min(15, x/d + 8.5), cut off, where v is the element of greatest magnitude with its sign.
func encodeQ4_0(dst []byte, src, weights []float32) {
	if weights != nil {
		encodeSymmetric(dst, src, weights, 8, 18, encodeQ4_0)
		return
	}
	for ; len(src) >= block32; dst, src = dst[18:], src[block32:] {
		x, qs := (*[block32]float32)(src), (*[16]byte)(dst[2:])
		d := greatest(x) / -8
		putHalf(dst, d)
		inv := inverse(d)
		if inv == 0 {
			*qs = zeroCodes(d, 8|8<<4)
			continue
		}
		for j := range qs {
			lo := min(int32(float32(x[j]*inv)+8.5), 15)
			hi := min(int32(float32(x[j+16]*inv)+8.5), 15)
			qs[j] = byte(lo | hi<<4)
		}
	}
}

// zeroCodes returns the codes of a block whose step has no inverse. Zeros lie on the level of 0; of a step too small
// to invert, GGML makes the codes 0, which its scale of 0 turns into zeros as well.
func zeroCodes(d float32, zero byte) (qs [16]byte) {
	if d == 0 {
		for j := range qs {
			qs[j] = zero
		}
	}
	return qs
}

// encodeQ5_0 has d = v/-16 and q = min(31, x/d + 16.5), cut off.
func encodeQ5_0(dst []byte, src, weights []float32) {
	if weights != nil {
		encodeSymmetric(dst, src, weights, 16, 22, encodeQ5_0)
		return
	}
	for ; len(src) >= block32; dst, src = dst[22:], src[block32:] {
		x, qs := (*[block32]float32)(src), (*[16]byte)(dst[6:])
		d := greatest(x) / -16
		putHalf(dst, d)
		inv := inverse(d)
		if inv == 0 {
			*qs = [16]byte{}
			binary.LittleEndian.PutUint32(dst[2:], zeroCodesHigh(d))
			continue
		}
		var qh uint32
		for j := range qs {
			lo := min(uint32(float32(x[j]*inv)+16.5), 31)
			hi := min(uint32(float32(x[j+16]*inv)+16.5), 31)
			qs[j] = byte(lo&15 | hi<<4)
			qh |= lo>>4<<j | hi>>4<<(j+16)
		}
		binary.LittleEndian.PutUint32(dst[2:], qh)
	}
}

// zeroCodesHigh is zeroCodes for the fifth bits: 16 is the level of 0.
func zeroCodesHigh(d float32) uint32 {
	if d == 0 {
		return math.MaxUint32
	}
	return 0
}

// greatest returns the element of greatest magnitude, the first of equals.
func greatest(x *[block32]float32) float32 {
	var v, m uint32
	for _, f := range x {
		b := math.Float32bits(f)
		if a := b &^ signBit; a > m {
			m, v = a, b
		}
	}
	return math.Float32frombits(v)
}

// encodeQ4_1 has m = min(x), d = (max(x)-m)/15 and q = min(15, (x-m)/d + 0.5), cut off.
func encodeQ4_1(dst []byte, src, weights []float32) {
	if weights != nil {
		encodeAffine(dst, src, weights, 15, 20, encodeQ4_1)
		return
	}
	for ; len(src) >= block32; dst, src = dst[20:], src[block32:] {
		x, qs := (*[block32]float32)(src), (*[16]byte)(dst[4:])
		lo, hi := bounds(x)
		d := (hi - lo) / 15
		putHalf(dst, d)
		putHalf(dst[2:], lo)
		inv := inverse(d)
		for j := range qs {
			a := min(uint32(float32((x[j]-lo)*inv)+0.5), 15)
			b := min(uint32(float32((x[j+16]-lo)*inv)+0.5), 15)
			qs[j] = byte(a | b<<4)
		}
	}
}

// encodeQ5_1 is encodeQ4_1 with 31 for 15.
func encodeQ5_1(dst []byte, src, weights []float32) {
	if weights != nil {
		encodeAffine(dst, src, weights, 31, 24, encodeQ5_1)
		return
	}
	for ; len(src) >= block32; dst, src = dst[24:], src[block32:] {
		x, qs := (*[block32]float32)(src), (*[16]byte)(dst[8:])
		lo, hi := bounds(x)
		d := (hi - lo) / 31
		putHalf(dst, d)
		putHalf(dst[2:], lo)
		inv := inverse(d)
		var qh uint32
		for j := range qs {
			a := min(uint32(float32((x[j]-lo)*inv)+0.5), 31)
			b := min(uint32(float32((x[j+16]-lo)*inv)+0.5), 31)
			qs[j] = byte(a&15 | b<<4)
			qh |= a>>4<<j | b>>4<<(j+16)
		}
		binary.LittleEndian.PutUint32(dst[4:], qh)
	}
}

// bounds returns the least and the greatest element.
func bounds(x *[block32]float32) (lo, hi float32) {
	lo, hi = x[0], x[0]
	for _, v := range x {
		if v < lo {
			lo = v
		}
		if v > hi {
			hi = v
		}
	}
	return lo, hi
}

// encodeQ8_0 has d = max|x|/127 and q = x/d, rounded half away from zero.
func encodeQ8_0(dst []byte, src, _ []float32) {
	// The greatest float32 below 0.5: adding 0.5 itself would round 0.49999997 up.
	const almostHalf = 0x3effffff
	for ; len(src) >= block32; dst, src = dst[34:], src[block32:] {
		x, qs := (*[block32]float32)(src), (*[block32]byte)(dst[2:])
		var m uint32
		for _, v := range x {
			m = max(m, math.Float32bits(v)&^signBit)
		}
		d := math.Float32frombits(m) / 127
		putHalf(dst, d)
		inv := inverse(d)
		for j, v := range x {
			y := float32(v * inv)
			round := math.Float32frombits(math.Float32bits(y)&signBit | almostHalf)
			qs[j] = byte(int32(y + round))
		}
	}
}
