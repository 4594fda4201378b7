package quantize

import (
	"encoding/binary"
)

// The types with super-blocks of 256 elements: sub-blocks with small integer scales, and one or two float16 for the
// super-block. Here are their bytes; search.go finds what to put in them.
//
// In the formulas, e is an element of 0..255, h = e/128, r = e%128, l = e%32.

const superBlock = 256

// packed is a super-block before its bits are packed.
type packed struct {
	d, dmin float32 // exact in float16
	codes   [superBlock]uint8
	scales  [16]int8  // of as many sub-blocks as the type has
	mins    [16]uint8 // likewise
}

// Q2_K, 84 bytes: scales[16], qs[64], d, dmin.
// q = qs[32h+l] >> 2*(r/32) & 3; s = scales[e/16]; x = (d*(s&15))*q - dmin*(s>>4).
func decodeQ2K(dst []float32, src []byte) {
	for ; len(dst) >= superBlock; dst, src = dst[superBlock:], src[84:] {
		scales, qs, d, dmin := src[:16], (*[64]byte)(src[16:]), getHalf(src[80:]), getHalf(src[82:])
		for j, s := range scales {
			step, least := d*float32(s&15), float32(dmin*float32(s>>4))
			h, shift := j/8, j/2%4*2
			part := qs[32*h+j%2*16:][:16]
			x := (*[16]float32)(dst[16*j:])
			for i, q := range part {
				x[i] = float32(step*float32(q>>shift&3)) - least
			}
		}
	}
}

func packQ2K(dst []byte, p *packed) {
	for j := range p.scales {
		dst[j] = byte(p.scales[j]) | p.mins[j]<<4
	}
	packPairs((*[64]byte)(dst[16:]), &p.codes)
	putHalf(dst[80:], p.d)
	putHalf(dst[82:], p.dmin)
}

// packPairs packs the low two bits of each code: qs[32h+l] has those of r/32 = 0..3 from its lowest bits up.
func packPairs(qs *[64]byte, codes *[superBlock]uint8) {
	for i := range qs {
		c := codes[i/32*128+i%32:]
		qs[i] = c[0]&3 | c[32]&3<<2 | c[64]&3<<4 | c[96]&3<<6
	}
}

// Q3_K, 110 bytes: hmask[32], qs[64], sc[12], d. The low bits of q as in Q2_K; bit 4h + r/32 of hmask[l] is set
// where 4 needs not be subtracted. x = (d*scale[e/16])*q; q = -4..3.
func decodeQ3K(dst []float32, src []byte) {
	for ; len(dst) >= superBlock; dst, src = dst[superBlock:], src[110:] {
		hmask, qs, d := (*[32]byte)(src), (*[64]byte)(src[32:]), getHalf(src[108:])
		for j, s := range unpackScalesQ3K((*[12]byte)(src[96:])) {
			step := d * float32(s)
			h, k := j/8, j/2%4
			part, high := qs[32*h+j%2*16:][:16], hmask[j%2*16:][:16]
			x := (*[16]float32)(dst[16*j:])
			for i, q := range part {
				x[i] = step * float32(int(q>>(2*k)&3|high[i]>>(4*h+k)&1<<2)-4)
			}
		}
	}
}

func packQ3K(dst []byte, p *packed) {
	hmask, sc := (*[32]byte)(dst), (*[12]byte)(dst[96:])
	*hmask = [32]byte{}
	for e, c := range p.codes {
		hmask[e%32] |= c >> 2 << (e / 32)
	}
	packPairs((*[64]byte)(dst[32:]), &p.codes)
	*sc = [12]byte{}
	for j := range p.scales {
		s := byte(p.scales[j] + 32)
		sc[j%8] |= s & 15 << (j / 8 * 4)
		sc[8+j%4] |= s >> 4 << (j / 4 * 2)
	}
	putHalf(dst[108:], p.d)
}

// unpackScalesQ3K returns the scales, 6 bits each, less 32. Scale j has its low four bits in sc[j%8], the low half for
// j < 8, and its high two in sc[8+j%4], at bit 2*(j/4).
func unpackScalesQ3K(sc *[12]byte) (scales [16]int8) {
	for j := range scales {
		low := sc[j%8] >> (j / 8 * 4) & 15
		high := sc[8+j%4] >> (j / 4 * 2) & 3
		scales[j] = int8(low|high<<4) - 32
	}
	return scales
}

// Q4_K, 144 bytes: d, dmin, sc[12], qs[128]. q = the nibble of qs[32*(e/64)+l], low for even e/32.
// x = (d*scale[e/32])*q - dmin*min[e/32].
func decodeQ4K(dst []float32, src []byte) {
	for ; len(dst) >= superBlock; dst, src = dst[superBlock:], src[144:] {
		d, dmin, qs := getHalf(src), getHalf(src[2:]), (*[128]byte)(src[16:])
		scales, mins := unpackScalesK((*[12]byte)(src[4:]))
		for j := range scales {
			step, least := d*float32(scales[j]), float32(dmin*float32(mins[j]))
			x, part, shift := (*[32]float32)(dst[32*j:]), (*[32]byte)(qs[j/2*32:]), j%2*4
			for i, q := range part {
				x[i] = float32(step*float32(q>>shift&15)) - least
			}
		}
	}
}

func packQ4K(dst []byte, p *packed) {
	putHalf(dst, p.d)
	putHalf(dst[2:], p.dmin)
	packScalesK((*[12]byte)(dst[4:]), p)
	packHalves((*[128]byte)(dst[16:]), &p.codes)
}

// packHalves packs the low four bits of each code: qs[32*(e/64)+l] has the low half for even e/32.
func packHalves(qs *[128]byte, codes *[superBlock]uint8) {
	for i := range qs {
		c := codes[i/32*64+i%32:]
		qs[i] = c[0]&15 | c[32]<<4
	}
}

// unpackScalesK returns the scales and mins of Q4_K and Q5_K, 6 bits each. Those of sub-blocks 0..3 lie whole in
// sc[0..3] and sc[4..7], the others with their low halves in sc[8..11] and their high bits on top of the former.
func unpackScalesK(sc *[12]byte) (scales, mins [8]uint8) {
	for j := range 4 {
		scales[j], mins[j] = sc[j]&63, sc[j+4]&63
		scales[j+4] = sc[j+8]&15 | sc[j]>>6<<4
		mins[j+4] = sc[j+8]>>4 | sc[j+4]>>6<<4
	}
	return scales, mins
}

func packScalesK(sc *[12]byte, p *packed) {
	for j := range 4 {
		s, m := byte(p.scales[j+4]), p.mins[j+4]
		sc[j] = byte(p.scales[j]) | s>>4<<6
		sc[j+4] = p.mins[j] | m>>4<<6
		sc[j+8] = s&15 | m<<4
	}
}

// Q5_K, 176 bytes: d, dmin, sc[12], qh[32], qs[128]. Q4_K with bit e/32 of qh[l] as bit 4 of q.
func decodeQ5K(dst []float32, src []byte) {
	for ; len(dst) >= superBlock; dst, src = dst[superBlock:], src[176:] {
		d, dmin, qh, qs := getHalf(src), getHalf(src[2:]), (*[32]byte)(src[16:]), (*[128]byte)(src[48:])
		scales, mins := unpackScalesK((*[12]byte)(src[4:]))
		for j := range scales {
			step, least := d*float32(scales[j]), float32(dmin*float32(mins[j]))
			x, part, shift := (*[32]float32)(dst[32*j:]), (*[32]byte)(qs[j/2*32:]), j%2*4
			for i, q := range part {
				x[i] = float32(step*float32(q>>shift&15|qh[i]>>j&1<<4)) - least
			}
		}
	}
}

func packQ5K(dst []byte, p *packed) {
	putHalf(dst, p.d)
	putHalf(dst[2:], p.dmin)
	packScalesK((*[12]byte)(dst[4:]), p)
	qh := (*[32]byte)(dst[16:])
	*qh = [32]byte{}
	for e, c := range p.codes {
		qh[e%32] |= c >> 4 << (e / 32)
	}
	packHalves((*[128]byte)(dst[48:]), &p.codes)
}

// Q6_K, 210 bytes: ql[128], qh[64], scales[16] int8, d. With k = r/32: the low four bits of q are a nibble of
// ql[64h + 32*(k%2) + l], the low one for k < 2; the high two are qh[32h+l] >> 2k & 3. x = (d*scales[e/16])*(q-32).
func decodeQ6K(dst []float32, src []byte) {
	for ; len(dst) >= superBlock; dst, src = dst[superBlock:], src[210:] {
		ql, qh, scales, d := (*[128]byte)(src), (*[64]byte)(src[128:]), (*[16]byte)(src[192:]), getHalf(src[208:])
		for j, s := range scales {
			step := d * float32(int8(s))
			h, k, odd := j/8, j/2%4, j%2*16
			low, high := ql[64*h+32*(k%2)+odd:][:16], qh[32*h+odd:][:16]
			x := (*[16]float32)(dst[16*j:])
			for i := range x {
				x[i] = step * float32(int(low[i]>>(k/2*4)&15|high[i]>>(2*k)&3<<4)-32)
			}
		}
	}
}

func packQ6K(dst []byte, p *packed) {
	ql, qh := (*[128]byte)(dst), (*[64]byte)(dst[128:])
	for i := range ql {
		c := p.codes[i/64*128+i%64:]
		ql[i] = c[0]&15 | c[64]<<4
	}
	for i := range qh {
		c := p.codes[i/32*128+i%32:]
		qh[i] = c[0]>>4 | c[32]>>4<<2 | c[64]>>4<<4 | c[96]>>4<<6
	}
	for j, s := range p.scales {
		dst[192+j] = byte(s)
	}
	putHalf(dst[208:], p.d)
}

// iq4Levels are the levels of the IQ4 types, denser around 0.
var iq4Levels = [16]float32{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

// IQ4_NL, blocks of 32 elements in 18 bytes: d, qs[16], nibbles as in Q4_0. x = d*levels[q].
func decodeIQ4NL(dst []float32, src []byte) {
	for ; len(dst) >= block32; dst, src = dst[block32:], src[18:] {
		decodeIQ4((*[block32]float32)(dst), (*[16]byte)(src[2:]), getHalf(src))
	}
}

func decodeIQ4(x *[block32]float32, qs *[16]byte, d float32) {
	for j, q := range qs {
		x[j] = d * iq4Levels[q&15]
		x[j+16] = d * iq4Levels[q>>4]
	}
}

// IQ4_XS, 136 bytes: d, scales_h uint16, scales_l[4], qs[128]. Scale j of 8, 6 bits less 32: the low four are a nibble of
// scales_l[j/2], the high two scales_h >> 2j & 3. x = (d*scale[e/32]) * levels[q]; nibbles per sub-block as in IQ4_NL.
func decodeIQ4XS(dst []float32, src []byte) {
	for ; len(dst) >= superBlock; dst, src = dst[superBlock:], src[136:] {
		d, high := getHalf(src), binary.LittleEndian.Uint16(src[2:])
		for j := range 8 {
			s := src[4+j/2]>>(j%2*4)&15 | byte(high>>(2*j)&3)<<4
			decodeIQ4((*[block32]float32)(dst[32*j:]), (*[16]byte)(src[8+16*j:]), d*float32(int(s)-32))
		}
	}
}

func packIQ4XS(dst []byte, p *packed) {
	var high uint16
	clear(dst[4:8])
	for j := range 8 {
		s := byte(p.scales[j] + 32)
		dst[4+j/2] |= s & 15 << (j % 2 * 4)
		high |= uint16(s>>4) << (2 * j)
		packNibbles(dst[8+16*j:], (*[block32]uint8)(p.codes[32*j:]))
	}
	binary.LittleEndian.PutUint16(dst[2:], high)
	putHalf(dst, p.d)
}

// TQ2_0, 66 bytes: qs[64], d. The codes as in Q2_K; x = d*(q-1).
func decodeTQ2_0(dst []float32, src []byte) {
	for ; len(dst) >= superBlock; dst, src = dst[superBlock:], src[66:] {
		qs, d := (*[64]byte)(src), getHalf(src[64:])
		for e := range superBlock {
			q := qs[e/128*32+e%32] >> (e % 128 / 32 * 2) & 3
			dst[e] = d * float32(int(q)-1)
		}
	}
}
