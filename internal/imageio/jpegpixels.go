package imageio

// The inverse DCT, the upsampling and the colours are libjpeg's, integer for integer: models were trained on its output.

// Fixed-point constants of the inverse DCT of Loeffler, Ligtenberg and Moschytz, 13 fraction bits.
const (
	dct0_298 = 2446
	dct0_390 = 3196
	dct0_541 = 4433
	dct0_765 = 6270
	dct0_899 = 7373
	dct1_175 = 9633
	dct1_501 = 12299
	dct1_847 = 15137
	dct1_961 = 16069
	dct2_053 = 16819
	dct2_562 = 20995
	dct3_072 = 25172
)

// idct8 transforms eight values in one dimension; results have 13 more fraction bits.
func idct8(v0, v1, v2, v3, v4, v5, v6, v7 int32) (o0, o1, o2, o3, o4, o5, o6, o7 int32) {
	// Even part.
	r := (v2 + v6) * dct0_541
	a2, a3 := r-v6*dct1_847, r+v2*dct0_765
	a0, a1 := (v0+v4)<<13, (v0-v4)<<13
	e0, e3, e1, e2 := a0+a3, a0-a3, a1+a2, a1-a2
	// Odd part.
	z1, z2, z3, z4 := v7+v1, v5+v3, v7+v3, v5+v1
	z5 := (z3 + z4) * dct1_175
	z1, z2 = -z1*dct0_899, -z2*dct2_562
	z3, z4 = z5-z3*dct1_961, z5-z4*dct0_390
	q0 := v7*dct0_298 + z1 + z3
	q1 := v5*dct2_053 + z2 + z4
	q2 := v3*dct3_072 + z2 + z3
	q3 := v1*dct1_501 + z1 + z4
	return e0 + q3, e1 + q2, e2 + q1, e3 + q0, e3 - q0, e2 - q1, e1 - q2, e0 - q3
}

// idct transforms a dequantised block [8, 8] to samples at dst, columns first. last is the place (zigzag) of the last coefficient
// that may not be 0.
func idct(block *[64]int32, last int, dst []byte, stride int) {
	if last == 0 {
		// Two shifts with rounding, as the two passes have them: the first is exact.
		v := clip8((block[0]<<2+1<<4)>>5 + 128)
		for y := range 8 {
			row := dst[y*stride : y*stride+8]
			for x := range row {
				row[x] = v
			}
		}
		return
	}
	const pass1 = 2 // fraction bits kept between the passes
	const half1 = 1 << (13 - pass1 - 1)
	for x := range 8 {
		b := block[x : x+57]
		if b[8]|b[16]|b[24]|b[32]|b[40]|b[48]|b[56] == 0 {
			v := b[0] << pass1
			b[0], b[8], b[16], b[24], b[32], b[40], b[48], b[56] = v, v, v, v, v, v, v, v
			continue
		}
		o0, o1, o2, o3, o4, o5, o6, o7 := idct8(b[0], b[8], b[16], b[24], b[32], b[40], b[48], b[56])
		const s = 13 - pass1
		b[0], b[8], b[16], b[24] = (o0+half1)>>s, (o1+half1)>>s, (o2+half1)>>s, (o3+half1)>>s
		b[32], b[40], b[48], b[56] = (o4+half1)>>s, (o5+half1)>>s, (o6+half1)>>s, (o7+half1)>>s
	}
	for y := range 8 {
		b := block[8*y : 8*y+8 : 8*y+8]
		o0, o1, o2, o3, o4, o5, o6, o7 := idct8(b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7])
		const s = 13 + pass1 + 3
		const half2 = 1<<(s-1) + 128<<s // and the level shift
		d := dst[y*stride : y*stride+8 : y*stride+8]
		d[0], d[1], d[2], d[3] = clip8((o0+half2)>>s), clip8((o1+half2)>>s), clip8((o2+half2)>>s), clip8((o3+half2)>>s)
		d[4], d[5], d[6], d[7] = clip8((o4+half2)>>s), clip8((o5+half2)>>s), clip8((o6+half2)>>s), clip8((o7+half2)>>s)
	}
}

func clip8(v int32) byte {
	if uint32(v) > 255 {
		if v < 0 {
			return 0
		}
		return 255
	}
	return byte(v)
}

// upsampled returns row y of the picture in the component's samples: one of its own rows, or one interpolated into buf.
// 2x1, 1x2 and 2x2 interpolate linearly ("fancy upsampling"); other ratios repeat samples, and so do planes too narrow for it.
func (c *jpegComponent) upsampled(y int, buf []byte, sums []int32) []byte {
	row := c.row(y / c.stepY)
	fancy := c.w > 2
	switch {
	case c.stepX == 1 && c.stepY == 1:
		return row
	case c.stepX == 2 && c.stepY == 1 && fancy:
		fancyAcross(buf, row)
		return buf
	case c.stepY == 2 && c.stepX <= 2 && (fancy || c.stepX == 1):
		// The nearer row counts three times as much as the farther one.
		far := c.row(min(max(0, y/2-1+2*(y%2)), c.h-1))
		if c.stepX == 1 {
			bias := int32(1 + y%2) // it alternates, so that no level is favoured
			for x, v := range row[:len(buf)] {
				buf[x] = byte((3*int32(v) + int32(far[x]) + bias) >> 2)
			}
			return buf
		}
		for x, v := range row {
			sums[x] = 3*int32(v) + int32(far[x])
		}
		fancyAcrossSums(buf, sums[:len(row)])
		return buf
	}
	for x := range buf {
		buf[x] = row[x/c.stepX]
	}
	return buf
}

// fancyAcross doubles a row: weights 3 and 1 of 4, the bias alternating.
func fancyAcross(dst, src []byte) {
	last := len(src) - 1
	for i, v := range src {
		left, right := v, v
		if i > 0 {
			left = src[i-1]
		}
		if i < last {
			right = src[i+1]
		}
		dst[2*i] = byte((3*int32(v) + int32(left) + 1) >> 2)
		if 2*i+1 < len(dst) {
			dst[2*i+1] = byte((3*int32(v) + int32(right) + 2) >> 2)
		}
	}
}

// fancyAcrossSums doubles a row of column sums (weights 3 and 1 already): 9, 3, 3, 1 of 16 in all.
func fancyAcrossSums(dst []byte, src []int32) {
	last := len(src) - 1
	for i, v := range src {
		left, right := v, v
		if i > 0 {
			left = src[i-1]
		}
		if i < last {
			right = src[i+1]
		}
		dst[2*i] = byte((3*v + left + 8) >> 4)
		if 2*i+1 < len(dst) {
			dst[2*i+1] = byte((3*v + right + 7) >> 4)
		}
	}
}

// The factors of libjpeg's colour conversion, 16 fraction bits.
const (
	fixCrR = 91881  // 1.40200
	fixCbG = 22554  // 0.34414
	fixCrG = 46802  // 0.71414
	fixCbB = 116130 // 1.77200
	half16 = 1 << 15
)

// yccRow converts a row to n bytes per pixel, of which it writes the first three.
func yccRow(dst, ys, cbs, crs []byte, n int) {
	w := len(dst) / n
	ys, cbs, crs = ys[:w], cbs[:w], crs[:w]
	for i := range w {
		y, cb, cr := int32(ys[i]), int32(cbs[i])-128, int32(crs[i])-128
		r := y + (fixCrR*cr+half16)>>16
		g := y + (-fixCbG*cb-fixCrG*cr+half16)>>16
		b := y + (fixCbB*cb+half16)>>16
		if uint32(r|g|b) > 255 {
			r, g, b = int32(clip8(r)), int32(clip8(g)), int32(clip8(b))
		}
		o := dst[n*i : n*i+3 : n*i+3]
		o[0], o[1], o[2] = byte(r), byte(g), byte(b)
	}
}
