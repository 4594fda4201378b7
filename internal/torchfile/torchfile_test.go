package torchfile

import (
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/clipgo/clipgo/internal/checkpoint"
	"github.com/clipgo/clipgo/internal/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// elements returns a tensor's elements as little-endian float32, or as stored if they are integers.
func elements(t *testing.T, tensor *checkpoint.Tensor) []byte {
	t.Helper()
	n := tensor.Elements()
	if !tensor.DType.Float() {
		b := make([]byte, n*uint64(tensor.DType.Size()))
		_, err := tensor.Data.ReadAt(b, 0)
		require.NoError(t, err)
		return b
	}
	values := make([]float32, n)
	require.NoError(t, tensor.ReadFloat32(values, 0))
	b := make([]byte, 0, 4*n)
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, into))
}

// What torch saved is what we read. tools/checkpoint-goldens/make.py wrote the files and what torch says of them.
func TestMatchesTorch(t *testing.T) {
	for _, name := range []string{"types", "training", "nested", "traced", "scripted"} {
		t.Run(name, func(t *testing.T) {
			var want map[string]struct {
				DType string
				Shape []uint64
				CRC32 uint32
			}
			readJSON(t, filepath.Join("testdata", name+".json"), &want)
			f, err := Open(filepath.Join("testdata", name+".pt"))
			require.NoError(t, err)
			defer f.Close()
			assert.Len(t, f.Names(), len(want))
			for name, w := range want {
				tensor, ok := f.Tensor(name)
				require.True(t, ok, name)
				assert.Equal(t, name, tensor.Name)
				assert.Equal(t, w.DType, tensor.DType.String(), name)
				assert.Equal(t, w.Shape, tensor.Shape, name)
				assert.Equal(t, w.CRC32, crc32.ChecksumIEEE(elements(t, tensor)), name)
			}
		})
	}
}

// The tensors of types.pt in two files, which torch saved too.
func TestShards(t *testing.T) {
	whole, err := Open("testdata/types.pt")
	require.NoError(t, err)
	defer whole.Close()
	s, err := checkpoint.OpenIndex("testdata/sharded.bin.index.json", Open)
	require.NoError(t, err)
	defer s.Close()
	assert.ElementsMatch(t, whole.Names(), s.Names())
	for _, name := range s.Names() {
		want, _ := whole.Tensor(name)
		got, _ := s.Tensor(name)
		assert.Equal(t, want.Shape, got.Shape, name)
		assert.Equal(t, elements(t, want), elements(t, got), name)
	}
}

func TestShared(t *testing.T) {
	var want map[string]struct{ Tensors, CRC32 uint32 }
	readJSON(t, "testdata/shared.json", &want)
	require.NotEmpty(t, want)
	for name, w := range want {
		f, err := Open(testutil.Shared(t, filepath.FromSlash(name)))
		require.NoError(t, err)
		assert.Len(t, f.Names(), int(w.Tensors))
		sum := uint32(0)
		for _, name := range f.Names() {
			tensor, _ := f.Tensor(name)
			sum = crc32.Update(sum, crc32.IEEETable, []byte(name))
			sum = crc32.Update(sum, crc32.IEEETable, elements(t, tensor))
		}
		assert.Equal(t, w.CRC32, sum, name)
		require.NoError(t, f.Close())
		require.NoError(t, f.Close())
	}
}
