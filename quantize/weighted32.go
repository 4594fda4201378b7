package quantize

import (
	"encoding/binary"
	"math"
)

// Quantising Q4_0, Q4_1, Q5_0 and Q5_1 with weights: each block tries several steps and keeps the one of least weighted
// error. Every sum runs in the order of the elements, in float32, without fused multiply-add, since the bytes depend on
// its last bit.

// importance fills u with w*sqrt(s2 + x*x), where s2 is the mean square of the row: the weight of an error grows with the
// column's weight and with the element.
func importance(u *[block32]float32, x, weights []float32, s2 float32) {
	for j, v := range x[:block32] {
		u[j] = weights[j] * float32(math.Sqrt(float64(s2+float32(v*v))))
	}
}

func meanSquare(row []float32) float32 {
	var sum float32
	for _, v := range row {
		sum += float32(v * v)
	}
	return sum / float32(len(row))
}

// roundEven rounds half to even, for |y| < 2^22: the sum has no room for a fraction. Other numbers, NaN too, give 0.
func roundEven(y float32) int32 {
	const shift = 3 << 22 // as float32, one unit in its last place is 1
	if !(y > -1<<22 && y < 1<<22) {
		return 0
	}
	return int32(math.Float32bits(float32(y)+shift)&(1<<23-1)) - 1<<22
}

// encodeSymmetric encodes a row as blocks of size bytes: Q4_0 (n = 8) or Q5_0 (n = 16), levels -n to n-1. plain encodes
// without weights: the way out where the fit to weights of odd size doesn't fit into float16.
func encodeSymmetric(dst []byte, src, weights []float32, n int32, size int, plain func(dst []byte, src, weights []float32)) {
	s2 := meanSquare(src)
	var u [block32]float32
	for ; len(src) >= block32; dst, src, weights = dst[size:], src[block32:], weights[block32:] {
		importance(&u, src, weights, s2)
		codes, d := searchSymmetric((*[block32]float32)(src), &u, n)
		if !isHalf(d) {
			plain(dst[:size], src[:block32], nil)
			continue
		}
		putHalf(dst, d)
		packCodes(dst[:size], &codes, n > 8)
	}
}

// encodeAffine is encodeSymmetric for Q4_1 (n = 15) and Q5_1 (n = 31): levels 0 to n, with a minimum.
func encodeAffine(dst []byte, src, weights []float32, n int32, size int, plain func(dst []byte, src, weights []float32)) {
	s2 := meanSquare(src)
	var u [block32]float32
	for ; len(src) >= block32; dst, src, weights = dst[size:], src[block32:], weights[block32:] {
		importance(&u, src, weights, s2)
		codes, d, m := searchAffine((*[block32]float32)(src), &u, n)
		if !isHalf(d) || !isHalf(m) {
			plain(dst[:size], src[:block32], nil)
			continue
		}
		putHalf(dst, d)
		putHalf(dst[2:], m)
		packCodes(dst[:size], &codes, n > 15)
	}
}

// isHalf reports whether v is within float16's range.
func isHalf(v float32) bool { return v >= -maxHalf && v <= maxHalf }

// packCodes writes the codes to the end of a block, with their fifth bits, if there are any, before the nibbles.
func packCodes(block []byte, codes *[block32]uint8, five bool) {
	nibbles := block[len(block)-16:]
	if high := packNibbles(nibbles, codes); five {
		binary.LittleEndian.PutUint32(block[len(block)-20:], high)
	}
}

// packNibbles writes the low four bits of the codes and returns the fifth.
func packNibbles(dst []byte, codes *[block32]uint8) (high uint32) {
	qs := (*[16]byte)(dst)
	for j := range qs {
		qs[j] = codes[j]&15 | codes[j+16]<<4
	}
	for j, c := range codes {
		high |= uint32(c>>4&1) << j
	}
	return high
}

// searchSymmetric tries steps around -v/n, where v is the greatest element, and keeps the codes whose best-fitting step
// leaves the least error: sum(u*x*x) - P*P/Q, with P = sum(u*x*l) and Q = sum(u*l*l), at the step P/Q.
func searchSymmetric(x, u *[block32]float32, n int32) (codes [block32]uint8, d float32) {
	v := greatest(x)
	if v < 1e-15 && v > -1e-15 {
		return codes, 0
	}
	var ux [block32]float32
	for j := range ux {
		ux[j] = u[j] * x[j]
	}
	var best float32
	for try, k := range [...]float32{0, -9, -8, -7, -6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6, 7, 8, 9} {
		inv := -(float32(n) + float32(0.1*k)) / v
		var levels [block32]uint8
		var p, q float32
		for j := range levels {
			l := max(-n, min(n-1, roundEven(inv*x[j])))
			levels[j] = uint8(l + n)
			f := float32(l)
			p += float32(ux[j] * f)
			q += float32(float32(u[j]*f) * f)
		}
		switch {
		case try == 0:
			if q != 0 {
				d = p / q
			}
			best = d * p
			codes = levels
		case q > 0 && p*p > best*q:
			d = p / q
			best = d * p
			codes = levels
		}
	}
	return codes, d
}

// searchAffine tries steps around (hi-lo)/n, fits step and minimum to the codes by least squares, and keeps the best fit.
// From each better fit on, the tries start from its minimum.
func searchAffine(x, u *[block32]float32, n int32) (codes [block32]uint8, d, m float32) {
	lo, hi := bounds(x)
	lo = min(lo, 0)
	if hi <= lo {
		return codes, 0, lo
	}
	var sumU, sumUX float32
	for j := range x {
		sumU += u[j]
		sumUX += float32(u[j] * x[j])
	}
	fit := func(levels *[block32]uint8, d, m float32) (sum float32) {
		for j := range x {
			e := float32(d*float32(levels[j])) + m - x[j]
			sum += float32(u[j] * float32(e*e))
		}
		return sum
	}
	quantise := func(levels *[block32]uint8, inv float32) {
		for j := range x {
			levels[j] = uint8(max(0, min(n, roundEven(inv*(x[j]-lo)))))
		}
	}
	inv := float32(n) / (hi - lo)
	d, m = 1/inv, lo
	quantise(&codes, inv)
	best := fit(&codes, d, m)
	for k := range 37 {
		var levels [block32]uint8
		quantise(&levels, (-0.9+float32(0.05*float32(k))+float32(n))/(hi-lo))
		var a, b, c float32 // sums of u*l, u*l*l, u*l*x
		for j, l := range levels {
			ul := float32(u[j] * float32(l))
			a += ul
			b += float32(ul * float32(l))
			c += float32(ul * x[j])
		}
		det := float32(sumU*b) - float32(a*a)
		if !(det > 0) {
			continue
		}
		step := (float32(sumU*c) - float32(sumUX*a)) / det
		least := (float32(b*sumUX) - float32(a*c)) / det
		if least > 0 {
			least = 0
			step = c / b
		}
		if e := fit(&levels, step, least); e < best {
			best, codes = e, levels
			d, m, lo = step, least, least
		}
	}
	return codes, d, m
}
