package checkpoint

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// openList opens a file that holds nothing but the names of its tensors.
func openList(path string) (*Set, error) {
	return Open(path, func(r io.ReaderAt, size int64, name string) (*Set, error) {
		b, err := io.ReadAll(io.NewSectionReader(r, 0, size))
		s := &Set{}
		for _, tensor := range strings.Fields(string(b)) {
			if err := s.Add(&Tensor{Name: tensor, File: name}); err != nil {
				return nil, err
			}
		}
		return s, err
	})
}

// writeIndex writes an index and two shards: a.bin with tensors x and y, b.bin with z.
func writeIndex(t *testing.T, weightMap map[string]string) string {
	dir := t.TempDir()
	index, err := json.Marshal(map[string]any{"metadata": map[string]any{"total_size": 7, "more": []any{1, map[string]any{"deep": nil}}}, "weight_map": weightMap})
	require.NoError(t, err)
	for name, text := range map[string]string{"a.bin": "x y", "b.bin": "z", "twice.bin": "v v", "index.json": string(index)} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return filepath.Join(dir, "index.json")
}

func TestIndex(t *testing.T) {
	s, err := OpenIndex(writeIndex(t, map[string]string{"x": "a.bin", "y": "a.bin", "z": "b.bin"}), openList)
	require.NoError(t, err)
	assert.Equal(t, []string{"x", "y", "z"}, s.Names())
	z, ok := s.Tensor("z")
	require.True(t, ok)
	assert.Equal(t, "b.bin", filepath.Base(z.File))
	_, ok = s.Tensor("none")
	assert.False(t, ok)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
}

func TestAttack38Index(t *testing.T) {
	for _, name := range []string{"../b.bin", "..", ".", "", "/etc/passwd", `..\b.bin`, `c:b.bin`, "sub/b.bin", "b.bin\x00"} {
		_, err := OpenIndex(writeIndex(t, map[string]string{"x": "a.bin", "y": "a.bin", "z": name}), openList)
		assert.ErrorContains(t, err, "is no plain file name", name)
	}
	for want, weightMap := range map[string]map[string]string{
		`shard "c.bin" is missing`:                                           {"x": "a.bin", "y": "a.bin", "z": "c.bin"},
		`tensor "w" is missing from shard "b.bin"`:                           {"x": "a.bin", "y": "a.bin", "z": "b.bin", "w": "b.bin"},
		`tensor "y" lies in shard "a.bin", but the index puts it in "b.bin"`: {"x": "a.bin", "y": "b.bin", "z": "b.bin"},
		`tensor "y" lies in shard "a.bin", but the index puts it in ""`:      {"x": "a.bin", "z": "b.bin"},
		`tensor "v" appears twice`:                                           {"v": "twice.bin"},
		"no weight_map":                                                      {},
	} {
		_, err := OpenIndex(writeIndex(t, weightMap), openList)
		assert.ErrorContains(t, err, want)
	}
	for want, text := range map[string]string{
		"is not JSON":           `{"weight_map":{"x":"a"}`,
		`"x" appears twice`:     `{"weight_map":{"x":"a","x":"b"}}`,
		"found 1, expected a":   `{"weight_map":{"x":1}}`,
		"found [, expected {":   `[]`,
		"unexpected EOF":        ``,
		"no weight_map":         `{"metadata":{}}`,
		"found { after its end": `{"weight_map":{"x":"a"}}{}`,
	} {
		_, err := parseIndex([]byte(text), "index.json")
		assert.ErrorContains(t, err, want)
	}
}

func TestOpenRefusesWhatIsNoFile(t *testing.T) {
	_, err := openList(t.TempDir())
	assert.ErrorContains(t, err, "is not a regular file")
	_, err = openList("none.bin")
	assert.ErrorIs(t, err, os.ErrNotExist)
	_, err = OpenIndex("none.json", openList)
	assert.ErrorIs(t, err, os.ErrNotExist)
}

// FuzzIndex checks that an index is refused or names tensors.
func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"metadata":{"total_size":7},"weight_map":{"x":"a.safetensors"}}`))
	f.Add([]byte(`{"weight_map":{},"a":[[[{}]]]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		weightMap, err := parseIndex(b, "index.json")
		if err == nil && len(weightMap) == 0 {
			t.Fatal("neither an error nor tensors")
		}
	})
}
