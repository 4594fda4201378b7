package half

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// f16Value is the definition of binary16, in float64.
func f16Value(h uint16) float64 {
	sign, exponent, fraction := 1.0, int(h>>10&31), float64(h&0x3ff)
	if h&0x8000 != 0 {
		sign = -1
	}
	switch {
	case exponent == 31 && fraction != 0:
		return math.NaN()
	case exponent == 31:
		return math.Inf(int(sign))
	case exponent == 0:
		return math.Copysign(math.Ldexp(fraction, -24), sign)
	}
	return sign * math.Ldexp(1024+fraction, exponent-25)
}

func TestEveryF16(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		f, want := FromF16(h), f16Value(h)
		back := ToF16(f)
		if math.IsNaN(want) {
			require.True(t, f != f, "%#04x", h)
			require.Equal(t, h|f16Quiet, back, "%#04x", h)
			require.Equal(t, h&0x8000 != 0, math.Signbit(float64(f)))
			continue
		}
		require.Equal(t, math.Float64bits(want), math.Float64bits(float64(f)), "%#04x", h)
		require.Equal(t, h, back, "%#04x", h)
	}
}

// Between every two neighbours: the middle goes to the even one, a hair off the middle to the nearer one.
func TestToF16Rounds(t *testing.T) {
	for h := uint16(0); h < f16Infinity; h++ {
		low, high := f16Value(h), f16Value(h+1)
		if h+1 == f16Infinity {
			high = 65536 // what would come next, had the exponent room
		}
		middle := float32((low + high) / 2) // exact: one bit more than a binary16
		even := h + h&1
		require.Equal(t, even, ToF16(middle), "%#04x", h)
		require.Equal(t, h, ToF16(math.Nextafter32(middle, 0)), "%#04x", h)
		require.Equal(t, h+1, ToF16(math.Nextafter32(middle, math.MaxFloat32)), "%#04x", h)
		require.Equal(t, even|0x8000, ToF16(-middle), "%#04x", h)
	}
	assert.Equal(t, uint16(f16Infinity), ToF16(math.MaxFloat32))
	assert.Equal(t, uint16(0), ToF16(math.SmallestNonzeroFloat32))
	assert.Equal(t, uint16(0x8000), ToF16(float32(math.Copysign(0, -1))))
	assert.Equal(t, uint16(0x7e00), ToF16(math.Float32frombits(0x7f800001)), "a payload that does not fit")
}

func TestEveryBF16(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		f := FromBF16(h)
		if f != f {
			require.Equal(t, h|0x40, ToBF16(f), "%#04x", h)
			continue
		}
		require.Equal(t, uint32(h)<<16, math.Float32bits(f))
		require.Equal(t, h, ToBF16(f), "%#04x", h)
	}
}

func TestToBF16Rounds(t *testing.T) {
	for h := uint16(0); h < 0x7f80; h++ {
		middle := uint32(h)<<16 | 0x8000
		require.Equal(t, h+h&1, ToBF16(math.Float32frombits(middle)), "%#04x", h)
		require.Equal(t, h, ToBF16(math.Float32frombits(middle-1)), "%#04x", h)
		require.Equal(t, h+1, ToBF16(math.Float32frombits(middle+1)), "%#04x", h)
		require.Equal(t, (h+h&1)|0x8000, ToBF16(math.Float32frombits(middle|1<<31)), "%#04x", h)
	}
	assert.Equal(t, uint16(0x7f80), ToBF16(math.MaxFloat32))
	assert.Equal(t, uint16(0xffc0), ToBF16(math.Float32frombits(0xff800001)))
}

func TestSlices(t *testing.T) {
	in := []float32{0, 1, -2.5, 65504, 0x1p-24, float32(math.Inf(-1))}
	b := make([]byte, 2*len(in))
	out := make([]float32, len(in))
	EncodeF16(b, in)
	assert.Equal(t, []byte{0, 0x3c}, b[2:4][:2])
	DecodeF16(out, b)
	assert.Equal(t, in, out)
	in[3] = 65536
	EncodeBF16(b, in)
	assert.Equal(t, []byte{0x80, 0x3f}, b[2:4])
	DecodeBF16(out, b)
	assert.Equal(t, in, out)
}

// weights fills f with numbers of the sizes that weights have.
func weights(f []float32) {
	for i := range f {
		f[i] = float32(math.Sin(float64(i))) * 0.05
	}
}

func BenchmarkDecodeF16(b *testing.B) {
	dst, src := make([]float32, 1<<15), make([]byte, 1<<16)
	weights(dst)
	EncodeF16(src, dst)
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		DecodeF16(dst, src)
	}
}

func BenchmarkEncodeF16(b *testing.B) {
	src, dst := make([]float32, 1<<15), make([]byte, 1<<16)
	weights(src)
	b.SetBytes(int64(len(dst)))
	for b.Loop() {
		EncodeF16(dst, src)
	}
}
