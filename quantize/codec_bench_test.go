package quantize

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/gguf"
)

const benchCols = 4096

func benchRow() []float32 {
	r := rand.New(rand.NewPCG(1, 2))
	x := make([]float32, benchCols)
	for i := range x {
		x[i] = float32(r.NormFloat64() * 0.02)
	}
	return x
}

// BenchmarkQuantize counts the float32 bytes that go in, on one core.
func BenchmarkQuantize(b *testing.B) {
	x := benchRow()
	weights := make([]float32, benchCols)
	for i, v := range x {
		weights[i] = v*v + 0.001
	}
	for _, typ := range append(append([]gguf.Type{}, exactTypes...), searchTypes...) {
		n, err := typ.RowBytes(benchCols)
		require.NoError(b, err)
		dst := make([]byte, n)
		for name, w := range map[string][]float32{"plain": nil, "weighted": weights} {
			b.Run(typ.String()+"/"+name, func(b *testing.B) {
				b.SetBytes(4 * benchCols)
				for b.Loop() {
					if err := Quantize(dst, x, typ, benchCols, w); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(benchCols)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mweights/s")
			})
		}
	}
}

// BenchmarkDequantize counts the float32 bytes that come out, on one core.
func BenchmarkDequantize(b *testing.B) {
	x := benchRow()
	for _, typ := range append(append([]gguf.Type{}, exactTypes...), searchTypes...) {
		n, err := typ.RowBytes(benchCols)
		require.NoError(b, err)
		src := make([]byte, n)
		require.NoError(b, Quantize(src, x, typ, benchCols, nil))
		b.Run(typ.String(), func(b *testing.B) {
			b.SetBytes(4 * benchCols)
			for b.Loop() {
				if err := Dequantize(x, src, typ); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
