package safetensors

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/clipgo/clipgo/internal/checkpoint"
	"github.com/clipgo/clipgo/internal/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReadFloat32(t *testing.T) {
	header := `{"__metadata__":{"format":"pt"},` +
		one("f64", "F64", "[2]", 18, 34) + "," + one("f32", "F32", "[]", 34, 38) + "," + one("empty", "F32", "[0,7]", 18, 18) + "," +
		one("f16", "F16", "[3]", 0, 6) + "," + one("bf16", "BF16", "[2,2]", 6, 14) + "," + one("i32", "I32", "[1]", 14, 18) + `}   `
	data := []byte{
		0x00, 0x3c, 0x01, 0x00, 0x00, 0xfc, // 1, 2^-24, -infinity
		0x80, 0x3f, 0x00, 0xc0, 0x01, 0x00, 0x80, 0x7f, // 1, -2, 2^-133, infinity
		1, 0, 0, 0,
	}
	data = binary.LittleEndian.AppendUint64(data, math.Float64bits(1+0x1p-24)) // halfway: to the even one
	data = binary.LittleEndian.AppendUint64(data, math.Float64bits(1e300))
	data = binary.LittleEndian.AppendUint32(data, math.Float32bits(0.1))
	f, err := read(append(file(header, 0), data...))
	require.NoError(t, err)
	assert.Equal(t, []string{"f16", "bf16", "i32", "empty", "f64", "f32"}, f.Names())
	inf := float32(math.Inf(1))
	for name, want := range map[string][]float32{
		"f16": {1, 0x1p-24, -inf}, "bf16": {1, -2, 0x1p-133, inf}, "f64": {1, inf}, "f32": {0.1}, "empty": {},
	} {
		tensor, ok := f.Tensor(name)
		require.True(t, ok)
		require.Equal(t, uint64(len(want)), tensor.Elements())
		got := make([]float32, len(want))
		require.NoError(t, tensor.ReadFloat32(got, 0))
		assert.Equal(t, want, got, name)
		for i := range want {
			require.NoError(t, tensor.ReadFloat32(got[:1], uint64(i)))
			assert.Equal(t, want[i], got[0])
		}
		assert.ErrorContains(t, tensor.ReadFloat32(got, 1), "elements, wanted")
		assert.ErrorContains(t, tensor.ReadFloat32(make([]float32, 5), math.MaxUint64), "elements, wanted")
	}
	i32, _ := f.Tensor("i32")
	assert.ErrorContains(t, i32.ReadFloat32(make([]float32, 1), 0), `x.safetensors: tensor "i32" has elements of I32`)
}

// A tensor of many buffers, read in one piece and in odd ones.
func TestReadFloat32Chunks(t *testing.T) {
	const n = 300_000
	data := make([]byte, 2*n)
	for i := range n {
		binary.LittleEndian.PutUint16(data[2*i:], uint16(i%0x7c00))
	}
	f, err := read(append(file(`{`+one("x", "F16", "[3,100000]", 0, 2*n)+`}`, 0), data...))
	require.NoError(t, err)
	x, _ := f.Tensor("x")
	whole, pieces := make([]float32, n), make([]float32, n)
	require.NoError(t, x.ReadFloat32(whole, 0))
	for at := 0; at < n; at += 9973 {
		require.NoError(t, x.ReadFloat32(pieces[at:min(at+9973, n)], uint64(at)))
	}
	assert.Equal(t, whole, pieces)
	assert.Equal(t, float32(1), whole[0x3c00])
	assert.Equal(t, float32(1), whole[0x7c00*8+0x3c00])
}

func TestFileBecomesShorter(t *testing.T) {
	b := file(`{`+one("x", "F32", "[4]", 0, 16)+`}`, 16)
	_, err := Read(bytes.NewReader(b[:20]), int64(len(b)), "x.safetensors")
	assert.ErrorContains(t, err, "x.safetensors: at byte 8: reading the header")
	f, err := Read(bytes.NewReader(b[:len(b)-1]), int64(len(b)), "x.safetensors")
	require.NoError(t, err)
	x, _ := f.Tensor("x")
	assert.ErrorContains(t, x.ReadFloat32(make([]float32, 4), 0), `reading tensor "x": unexpected EOF`)
}

func TestOpenRefusesWhatIsNoFile(t *testing.T) {
	_, err := Open(t.TempDir())
	assert.ErrorContains(t, err, "is not a regular file")
	_, err = Open("none.safetensors")
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestShared(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(testutil.Shared(t, "golden"), "*", "*.safetensors"))
	require.NoError(t, err)
	more, err := filepath.Glob(filepath.Join(testutil.Shared(t, "data", "safetensors"), "*.safetensors"))
	require.NoError(t, err)
	require.Greater(t, len(paths), 10)
	require.NotEmpty(t, more)
	for _, path := range append(paths, more...) {
		f, err := Open(path)
		require.NoError(t, err)
		for _, name := range f.Names() {
			tensor, _ := f.Tensor(name)
			if tensor.DType.Float() {
				require.NoError(t, tensor.ReadFloat32(make([]float32, tensor.Elements()), 0))
			}
		}
		assert.NotEmpty(t, f.Names())
		require.NoError(t, f.Close())
		require.NoError(t, f.Close())
	}
	indexes, err := filepath.Glob(filepath.Join(testutil.Shared(t, "golden"), "*", "*.safetensors.index.json"))
	require.NoError(t, err)
	for _, path := range indexes {
		s, err := checkpoint.OpenIndex(path, Open)
		require.NoError(t, err)
		assert.NotEmpty(t, s.Names())
		require.NoError(t, s.Close())
	}
	t.Logf("%d files, %d indexes", len(paths)+len(more), len(indexes))
}

func BenchmarkReadFloat32(b *testing.B) {
	const n = 1 << 20
	f, err := read(file(`{`+one("x", "F16", "[1048576]", 0, 2*n)+`}`, 2*n))
	require.NoError(b, err)
	x, _ := f.Tensor("x")
	dst := make([]float32, n)
	b.SetBytes(2 * n)
	b.ReportAllocs()
	for b.Loop() {
		if err := x.ReadFloat32(dst, 0); err != nil {
			b.Fatal(err)
		}
	}
}
