package quantize

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/testutil"
)

// goldenSet is a folder of rows and of the bytes that ggml makes of them (see its README).
type goldenSet struct {
	dir     string
	cols    int
	input   []float32 // [rows, cols]
	weights []float32 // [cols]
}

// eachSet runs f for the sets of testdata, which tools/ggml-types makes, and for the shared ones.
func eachSet(t *testing.T, f func(t *testing.T, s goldenSet)) {
	run := func(t *testing.T, root string) {
		dirs, err := filepath.Glob(filepath.Join(root, "*", "input.f32"))
		require.NoError(t, err)
		require.NotEmpty(t, dirs)
		for _, path := range dirs {
			dir := filepath.Dir(path)
			weights := readFloats(t, filepath.Join(dir, "imatrix.f32"))
			t.Run(filepath.Base(dir), func(t *testing.T) {
				f(t, goldenSet{dir, len(weights), readFloats(t, path), weights})
			})
		}
	}
	run(t, filepath.Join("testdata", "ggml-types"))
	t.Run("shared", func(t *testing.T) { run(t, testutil.Shared(t, "golden", "ggml-types")) })
}

// read returns the named file of the set; ok is false where ggml has no such type, or the width isn't one of its.
func (s goldenSet) read(t testing.TB, typ gguf.Type, suffix string) (data []byte, ok bool) {
	name := strings.ToLower(typ.String())
	if strings.HasSuffix(name, "_k") {
		name = strings.TrimSuffix(name, "k") + "K"
	}
	data, err := os.ReadFile(filepath.Join(s.dir, name+suffix))
	if os.IsNotExist(err) {
		return nil, false
	}
	require.NoError(t, err)
	return data, true
}

func readFloats(t testing.TB, path string) []float32 {
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	x := make([]float32, len(data)/4)
	decodeF32(x, data)
	return x
}

// eachGolden runs f for every set, type and choice of weights.
func eachGolden(t *testing.T, types []gguf.Type, f func(t *testing.T, s goldenSet, typ gguf.Type, golden []byte, weights []float32)) {
	eachSet(t, func(t *testing.T, s goldenSet) {
		n := 0
		for _, typ := range types {
			run := func(suffix string, weights []float32) {
				if golden, ok := s.read(t, typ, suffix); ok {
					n++
					t.Run(typ.String()+strings.TrimSuffix(suffix, ".bin"), func(t *testing.T) {
						f(t, s, typ, golden, weights)
					})
				}
			}
			run(".bin", nil)
			run(".imatrix.bin", s.weights)
		}
		require.NotZero(t, n)
	})
}

var (
	exactTypes  = []gguf.Type{gguf.F16, gguf.BF16, gguf.Q4_0, gguf.Q4_1, gguf.Q5_0, gguf.Q5_1, gguf.Q8_0, gguf.MXFP4}
	searchTypes = []gguf.Type{gguf.Q2_K, gguf.Q3_K, gguf.Q4_K, gguf.Q5_K, gguf.Q6_K, gguf.IQ4_NL, gguf.IQ4_XS}
)

func TestDequantizeEqualsGGML(t *testing.T) {
	eachSet(t, func(t *testing.T, s goldenSet) {
		n := 0
		for typ := gguf.Type(0); typ < 64; typ++ {
			data, ok := s.read(t, typ, ".bin")
			if !ok {
				continue
			}
			n++
			want, _ := s.read(t, typ, ".dequant.f32")
			got := make([]float32, len(s.input))
			require.NoError(t, Dequantize(got, data, typ), typ)
			for i, v := range got {
				if w := binary.LittleEndian.Uint32(want[4*i:]); math.Float32bits(v) != w {
					t.Fatalf("%s: element %d is %v, ggml says %v", typ, i, v, math.Float32frombits(w))
				}
			}
			row := make([]float32, s.cols)
			require.NoError(t, DequantizeRow(row, data, typ, 6))
			require.Equal(t, got[6*s.cols:7*s.cols], row, typ)
		}
		require.NotZero(t, n)
	})
}

func TestQuantizeBytesEqualGGML(t *testing.T) {
	eachGolden(t, exactTypes, func(t *testing.T, s goldenSet, typ gguf.Type, golden []byte, weights []float32) {
		got := make([]byte, len(golden))
		require.NoError(t, Quantize(got, s.input, typ, s.cols, weights))
		block := typ.BlockBytes()
		for i := 0; i < len(got); i += block {
			if string(got[i:i+block]) != string(golden[i:i+block]) {
				t.Fatalf("row %d, block %d: %x, ggml makes %x", i/block*typ.BlockSize()/s.cols, i/block, got[i:i+block], golden[i:i+block])
			}
		}
	})
}

// TestQuantizeErrorAtMostGGML holds the types with a freer search to ggml's error: no larger in sum over the rows,
// weighted when there are weights, and in no row more than 1.3 times it, plus a millionth of the row's energy.
func TestQuantizeErrorAtMostGGML(t *testing.T) {
	eachGolden(t, searchTypes, func(t *testing.T, s goldenSet, typ gguf.Type, golden []byte, weights []float32) {
		got := make([]byte, len(golden))
		require.NoError(t, Quantize(got, s.input, typ, s.cols, weights))
		ours, theirs := make([]float32, len(s.input)), make([]float32, len(s.input))
		require.NoError(t, Dequantize(ours, got, typ))
		require.NoError(t, Dequantize(theirs, golden, typ))
		var sumOurs, sumTheirs float64
		var ratios []string
		for start := 0; start < len(s.input); start += s.cols {
			var our, their, energy float64
			for c := range s.cols {
				w := 1.0
				if weights != nil {
					w = float64(weights[c])
				}
				x := float64(s.input[start+c])
				our += w * square(x-float64(ours[start+c]))
				their += w * square(x-float64(theirs[start+c]))
				energy += w * x * x
			}
			row := start / s.cols
			if our > 1.3*their+1e-6*energy {
				t.Errorf("row %d: error %.4g, ggml's is %.4g (%.2f times)", row, our, their, our/their)
			}
			sumOurs += our
			sumTheirs += their
			ratios = append(ratios, fmt.Sprintf("%.3f", our/their))
		}
		t.Logf("%s: error / ggml's: %.4f; per row: %s", t.Name(), sumOurs/sumTheirs, strings.Join(ratios, " "))
		if sumOurs > sumTheirs {
			t.Errorf("error %.6g in sum, ggml's is %.6g", sumOurs, sumTheirs)
		}
	})
}

func square(x float64) float64 { return x * x }
