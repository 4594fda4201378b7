package quantize

import "math"

// MXFP4: an exponent e uint8, then 16 bytes of nibbles, element j low and j+16 high. x = 2^(e-128) * M[q]. M is twice the
// value of the four-bit float E2M1, hence 128 where the microscaling format has 127.

var mxfp4Levels = [16]float32{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}

// mxfp4Nearest holds, for ceil(2y) of a magnitude y in units of M, the code of the nearest level: the lower one halfway.
var mxfp4Nearest = [33]byte{
	0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 5, 5, 5, 5, 6,
	6, 6, 6, 6, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
}

// mxfp4Scale returns 2^(e-128); e 0 and 1 give subnormal numbers.
func mxfp4Scale(e byte) float32 {
	if e < 2 {
		return math.Float32frombits(1 << (21 + e))
	}
	return math.Float32frombits(uint32(e-1) << 23)
}

func decodeMXFP4(dst []float32, src []byte) {
	for ; len(dst) >= block32; dst, src = dst[block32:], src[17:] {
		d, qs, x := mxfp4Scale(src[0]), (*[16]byte)(src[1:]), (*[block32]float32)(dst)
		for j, q := range qs {
			x[j] = d * mxfp4Levels[q&15]
			x[j+16] = d * mxfp4Levels[q>>4]
		}
	}
}

// encodeMXFP4 takes e = floor(log2(max|x|)) - 2 + 127, which brings the greatest number to the levels 8 to 12, and the
// nearest level for each element.
func encodeMXFP4(dst []byte, src, _ []float32) {
	for ; len(src) >= block32; dst, src = dst[17:], src[block32:] {
		x, qs := (*[block32]float32)(src), (*[16]byte)(dst[1:])
		e, tiny := mxfp4Exponent(maxMagnitude(x[:]))
		dst[0] = e
		if tiny {
			*qs = [16]byte{}
			continue
		}
		// Twice the inverse of the scale: a power of two, so that products with it are exact. It may be beyond float32.
		inv := 2 / float64(mxfp4Scale(e))
		for j := range qs {
			qs[j] = mxfp4Code(x[j], inv) | mxfp4Code(x[j+16], inv)<<4
		}
	}
}

// mxfp4Exponent returns e for a block's greatest magnitude. tiny tells that every code is 0: a block of zeros, and
// numbers so small that e wraps around to a scale that dwarfs them, as it does in GGML.
func mxfp4Exponent(greatest float32) (e byte, tiny bool) {
	if greatest == 0 {
		return 0, true
	}
	// The logarithm is rounded to float32 before the floor, as in GGML: just below a power of two that makes a difference.
	exp := int(math.Floor(float64(float32(math.Log2(float64(greatest)))))) - 2 + 127
	return byte(exp), exp < 0
}

// mxfp4Code returns the code of the level nearest to v; twice is 2 divided by the scale.
func mxfp4Code(v float32, twice float64) byte {
	y := float64(math.Float32frombits(math.Float32bits(v)&^signBit)) * twice
	n := int(y)
	if float64(n) < y {
		n++
	}
	q := mxfp4Nearest[min(n, 32)]
	if v < 0 && q != 0 {
		q |= 8
	}
	return q
}
