package quantize

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/gguf"
)

func FuzzDequantize(f *testing.F) {
	for typ := range codecs {
		f.Add(uint32(typ), make([]byte, 300), 256)
		f.Add(uint32(typ), bytes.Repeat([]byte{0xff}, typ.BlockBytes()), typ.BlockSize())
	}
	f.Fuzz(func(t *testing.T, typ uint32, src []byte, n int) {
		if n < 0 || n > 1<<12 {
			return
		}
		x := make([]float32, n)
		if Dequantize(x, src, gguf.Type(typ)) != nil || n == 0 {
			return
		}
		row := make([]float32, n)
		if err := DequantizeRow(row, src, gguf.Type(typ), 0); err != nil {
			t.Fatal(err)
		}
		// What decodes to numbers in range can be encoded again.
		if c := codecs[gguf.Type(typ)]; c.encode == nil || maxMagnitude(x) > c.limit {
			return
		}
		if err := Quantize(make([]byte, len(src)), x, gguf.Type(typ), n, nil); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzQuantize: whatever numbers and weights come in, what goes out decodes to finite numbers, or there is an error.
func FuzzQuantize(f *testing.F) {
	f.Add(bytes.Repeat([]byte{0, 0, 128, 63}, 256), bytes.Repeat([]byte{0, 0, 0, 1}, 256))
	f.Add(bytes.Repeat([]byte{255, 255, 127, 127, 0, 0, 0, 128}, 128), bytes.Repeat([]byte{1, 0, 0, 0}, 256))
	f.Fuzz(func(t *testing.T, xs, ws []byte) {
		const cols = 256
		x, w := make([]float32, cols), make([]float32, cols)
		if len(xs) < 4 || len(ws) < 4 {
			return
		}
		for i := range x {
			x[i] = math.Float32frombits(binary.LittleEndian.Uint32(xs[4*(i%(len(xs)/4)):]))
			w[i] = math.Float32frombits(binary.LittleEndian.Uint32(ws[4*(i%(len(ws)/4)):]))
		}
		for typ, c := range codecs {
			if c.encode == nil {
				continue
			}
			for _, weights := range [][]float32{nil, w} {
				row, err := typ.RowBytes(cols)
				if err != nil {
					t.Fatal(err)
				}
				data, y := make([]byte, row), make([]float32, cols)
				if Quantize(data, x, typ, cols, weights) != nil {
					continue
				}
				if err := Dequantize(y, data, typ); err != nil {
					t.Fatal(err)
				}
				if maxMagnitude(y) > math.MaxFloat32 {
					t.Fatalf("%s: %v with weights %v became %v", typ, x, weights, y)
				}
			}
		}
	})
}

// TestTinyNumbers: between the least float32 and the least scale, for every type; found by FuzzQuantize where the inverse of
// MXFP4's least scale is beyond float32.
func TestTinyNumbers(t *testing.T) {
	for exp := -149; exp < -100; exp++ {
		x, y := make([]float32, 256), make([]float32, 256)
		for i := range x {
			x[i] = float32(math.Ldexp(float64(i%7-3), exp))
		}
		for typ, c := range codecs {
			if c.encode == nil {
				continue
			}
			row, err := typ.RowBytes(256)
			require.NoError(t, err)
			data := make([]byte, row)
			require.NoError(t, Quantize(data, x, typ, 256, nil))
			require.NoError(t, Dequantize(y, data, typ))
			for i := range y {
				require.LessOrEqual(t, math.Abs(float64(x[i]-y[i])), math.Abs(float64(x[i])), "%s: %v became %v", typ, x[i], y[i])
			}
		}
	}
}

// TestTinyWeights: weights so small that their sums underflow must not make a scale that float16 doesn't hold.
func TestTinyWeights(t *testing.T) {
	x, y, w := random(1, 256), make([]float32, 256), make([]float32, 256)
	for i := range x {
		x[i] *= 1e6
		w[i] = math.SmallestNonzeroFloat32 * float32(1+i%3)
	}
	x[17] = 1e-45
	for typ, c := range codecs {
		if c.encode == nil || maxMagnitude(x) > c.limit {
			continue
		}
		row, err := typ.RowBytes(256)
		require.NoError(t, err)
		data := make([]byte, row)
		require.NoError(t, Quantize(data, x, typ, 256, w))
		require.NoError(t, Dequantize(y, data, typ))
		require.LessOrEqual(t, maxMagnitude(y), float32(math.MaxFloat32), typ)
	}
}

func TestQuantizeArguments(t *testing.T) {
	x, w := make([]float32, 512), make([]float32, 256)
	data := make([]byte, 288)
	require.NoError(t, Quantize(data, x, gguf.Q4_0, 256, w))
	for name, err := range map[string]error{
		"no encoder for TQ2_0":       Quantize(data, x, gguf.TQ2_0, 256, nil),
		"no encoder for type 77":     Quantize(data, x, 77, 256, nil),
		"not in rows of 0":           Quantize(data, x, gguf.Q4_0, 0, nil),
		"not in rows of -1":          Quantize(data, x, gguf.Q4_0, -1, nil),
		"not in rows of 300":         Quantize(data, x, gguf.Q4_0, 300, nil),
		"row of 64 elements is no":   Quantize(data, x, gguf.Q4_K, 64, nil),
		"take 288 bytes, got 287":    Quantize(data[1:], x, gguf.Q4_0, 256, nil),
		"255 weights for rows":       Quantize(data, x, gguf.Q4_0, 256, w[1:]),
		"no codec for IQ1_S":         Dequantize(x, data, gguf.IQ1_S),
		"take 144 bytes, got 288":    Dequantize(x[:256], data, gguf.Q4_0),
		"row of 33 elements":         Dequantize(x[:33], data, gguf.Q4_0),
		"row 2, but":                 DequantizeRow(x[:256], data, gguf.Q4_0, 2),
		"row -1, but":                DequantizeRow(x[:256], data, gguf.Q4_0, -1),
		"row 0, but 288 bytes":       DequantizeRow(nil, data, gguf.Q4_0, 0),
		"weight of column 3 is NaN":  Quantize(data, x, gguf.Q4_0, 256, with(w, 3, float32(math.NaN()))),
		"weight of column 4 is -1":   Quantize(data, x, gguf.Q4_0, 256, with(w, 4, -1)),
		"weight of column 5 is +Inf": Quantize(data, x, gguf.Q4_0, 256, with(w, 5, float32(math.Inf(1)))),
	} {
		require.ErrorContains(t, err, name)
	}
}

func with(x []float32, i int, v float32) []float32 {
	x = append([]float32(nil), x...)
	x[i] = v
	return x
}
