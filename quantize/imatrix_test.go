package quantize

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/gguf"
)

// datEntry is one of the older format.
type datEntry struct {
	name   string
	calls  int32
	values []float32
}

// datFile encodes the older format.
func datFile(entries []datEntry, chunks int32, dataset string) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, uint32(len(entries)))
	for _, e := range entries {
		b = le.AppendUint32(b, uint32(len(e.name)))
		b = append(b, e.name...)
		b = le.AppendUint32(b, uint32(e.calls))
		b = le.AppendUint32(b, uint32(len(e.values)))
		for _, v := range e.values {
			b = le.AppendUint32(b, math.Float32bits(v))
		}
	}
	b = le.AppendUint32(b, uint32(chunks))
	b = le.AppendUint32(b, uint32(len(dataset)))
	return append(b, dataset...)
}

func read(b []byte) (*Imatrix, error) {
	return readImatrix(bytes.NewReader(b), int64(len(b)), "test.imatrix")
}

func TestImatrixRoundTrip(t *testing.T) {
	m := NewImatrix()
	m.Datasets, m.Chunks, m.ChunkSize = []string{"pictures"}, 7, 50
	require.NoError(t, m.Add("v.blk.0.ffn_up.weight", []float32{1, 2, 3, 1, 0, 3}, 3))
	require.NoError(t, m.Add("v.blk.0.ffn_up.weight", []float32{4, 0, 3}, 3))
	assert.Error(t, m.Add("v.blk.0.ffn_up.weight", []float32{1, 2}, 2))
	assert.Error(t, m.Add("v.blk.0.ffn_up.weight", []float32{1, 2}, 3))
	path := filepath.Join(t.TempDir(), "x.imatrix")
	require.NoError(t, m.WriteFile(path))
	got, err := ReadImatrix(path)
	require.NoError(t, err)
	assert.Equal(t, m, got)
	w, err := got.Weights("v.blk.0.ffn_up.weight", 3)
	require.NoError(t, err)
	assert.Equal(t, []float32{18. / 3, 4. / 3, 27. / 3}, w)
	w, err = got.Weights("another", 3)
	require.NoError(t, err)
	assert.Nil(t, w)
	_, err = got.Weights("v.blk.0.ffn_up.weight", 4)
	assert.ErrorContains(t, err, "another model")

	f, err := gguf.Open(path)
	require.NoError(t, err)
	defer f.Close()
	assert.Equal(t, []string{"general.type", "imatrix.datasets", "imatrix.chunk_count", "imatrix.chunk_size"}, f.Keys())
	info, ok := f.Tensor("v.blk.0.ffn_up.weight.counts")
	require.True(t, ok)
	assert.Equal(t, []uint64{1, 1}, info.Dims)
}

func TestImatrixOlderFormat(t *testing.T) {
	m, err := read(datFile([]datEntry{{"a.weight", 2, []float32{2, 4}}, {"b.weight", 0, []float32{5}}}, 9, "wiki"))
	require.NoError(t, err)
	assert.Equal(t, []string{"a.weight", "b.weight"}, m.Names())
	assert.EqualValues(t, 9, m.Chunks)
	assert.Equal(t, []string{"wiki"}, m.Datasets)
	w, err := m.Weights("a.weight", 2)
	require.NoError(t, err)
	assert.Equal(t, []float32{1, 2}, w)
	w, err = m.Weights("b.weight", 1)
	require.NoError(t, err)
	assert.Equal(t, []float32{5}, w, "no calls count as one")

	oldest := datFile([]datEntry{{"a.weight", 2, []float32{2, 4}}}, 0, "")
	m, err = read(oldest[:len(oldest)-8])
	require.NoError(t, err)
	assert.Equal(t, 1, m.Len())
}

func TestImatrixAttacks(t *testing.T) {
	le := binary.LittleEndian
	u32 := func(v ...uint32) (b []byte) {
		for _, v := range v {
			b = le.AppendUint32(b, v)
		}
		return b
	}
	good := datFile([]datEntry{{"a.weight", 2, []float32{2, 4}}}, 1, "wiki")
	for name, b := range map[string][]byte{
		"empty":                      {},
		"three bytes":                {1, 0, 0},
		"no entries":                 u32(0),
		"entries beyond the file":    u32(math.MaxInt32),
		"negative entries":           u32(math.MaxUint32),
		"name beyond the file":       u32(1, math.MaxInt32, 1, 1, 1),
		"negative name":              u32(1, math.MaxUint32, 1, 1, 1),
		"empty name":                 u32(1, 0, 1, 1, 0),
		"negative calls":             append(u32(1, 1), append([]byte{'a'}, u32(math.MaxUint32, 1, 0)...)...),
		"columns beyond the file":    append(u32(1, 1), append([]byte{'a'}, u32(1, math.MaxInt32, 0)...)...),
		"columns that overflow":      append(u32(1, 1), append([]byte{'a'}, u32(1, 1<<30, 0)...)...),
		"no columns":                 append(u32(1, 1), append([]byte{'a'}, u32(1, 0, 0)...)...),
		"NaN":                        datFile([]datEntry{{"a", 1, []float32{float32(math.NaN())}}}, 1, ""),
		"infinite":                   datFile([]datEntry{{"a", 1, []float32{float32(math.Inf(1))}}}, 1, ""),
		"negative":                   datFile([]datEntry{{"a", 1, []float32{-1}}}, 1, ""),
		"twice":                      datFile([]datEntry{{"a", 1, []float32{1}}, {"a", 1, []float32{1}}}, 1, ""),
		"bytes after the end":        append(append([]byte(nil), good...), 0),
		"cut":                        good[:len(good)-1],
		"cut in the values":          good[:20],
		"GGUF without more":          []byte("GGUF"),
		"a model, no importance":     fileBytes(t, func(w *gguf.Writer) { set(t, w, "general.architecture", "clip") }),
		"general.type of wrong kind": fileBytes(t, func(w *gguf.Writer) { set(t, w, "general.type", uint32(1)) }),
		"chunks too many": fileBytes(t, func(w *gguf.Writer) {
			set(t, w, "general.type", "imatrix")
			set(t, w, "imatrix.chunk_count", uint64(1)<<40)
		}),
		"sums without counts": fileBytes(t, func(w *gguf.Writer) {
			set(t, w, "general.type", "imatrix")
			require.NoError(t, w.AddTensor("a.in_sum2", gguf.F32, []uint64{1}))
		}),
		"sums of wrong type": fileBytes(t, func(w *gguf.Writer) {
			set(t, w, "general.type", "imatrix")
			require.NoError(t, w.AddTensor("a.in_sum2", gguf.I32, []uint64{1}))
		}),
		"many matrices": fileBytes(t, func(w *gguf.Writer) {
			set(t, w, "general.type", "imatrix")
			require.NoError(t, w.AddTensor("a.in_sum2", gguf.F32, []uint64{2, 2}))
			require.NoError(t, w.AddTensor("a.counts", gguf.F32, []uint64{1, 2}))
		}),
	} {
		m, err := read(b)
		assert.Error(t, err, name)
		assert.Nil(t, m, name)
	}
	_, err := ReadImatrix(t.TempDir())
	assert.ErrorContains(t, err, "is no importance matrix")
}

func set(t *testing.T, w *gguf.Writer, key string, v any) { require.NoError(t, w.Set(key, v)) }

func fileBytes(t *testing.T, build func(w *gguf.Writer)) []byte {
	w := gguf.NewWriter()
	build(w)
	var b bytes.Buffer
	require.NoError(t, w.Write(&b, func(info gguf.TensorInfo, w io.Writer) error {
		_, err := w.Write(make([]byte, info.Bytes))
		return err
	}))
	return b.Bytes()
}

func TestFileUsesTheImatrix(t *testing.T) {
	x := matrix("v.blk.0.attn_q.weight", 256, 8)
	m := NewImatrix()
	m.Datasets, m.Chunks = []string{"pictures"}, 3
	require.NoError(t, m.Add(x.name, random(9, 256), 256))
	out := filepath.Join(t.TempDir(), "out.gguf")
	report, err := File(context.Background(), writeModel(t, []tensor{x, matrix("v.blk.0.attn_k.weight", 256, 8)}), out,
		Options{Policy: policy(t, "Q4_0"), Imatrix: m, ImatrixFile: filepath.Join("some", "where.imatrix")})
	require.NoError(t, err)
	assert.Equal(t, 1, report.Weighted())
	f, err := gguf.Open(out)
	require.NoError(t, err)
	defer f.Close()
	got, err := f.ReadTensor(x.name)
	require.NoError(t, err)
	weights, err := m.Weights(x.name, 256)
	require.NoError(t, err)
	want := make([]byte, len(got))
	require.NoError(t, Quantize(want, x.x, gguf.Q4_0, 256, weights))
	assert.Equal(t, want, got)
	for key, want := range map[string]any{
		"quantize.imatrix.file": "where.imatrix", "quantize.imatrix.dataset": "pictures",
		"quantize.imatrix.entries_count": uint32(1), "quantize.imatrix.chunks_count": uint32(3),
	} {
		v, err := f.Value(key)
		require.NoError(t, err)
		assert.Equal(t, want, v, key)
	}
	// One of another model is refused.
	other := NewImatrix()
	require.NoError(t, other.Add(x.name, random(9, 128), 128))
	_, err = File(context.Background(), f.Name(), out, Options{Policy: policy(t, "Q4_0"), Imatrix: other, AllowRequantize: true})
	assert.ErrorContains(t, err, "another model")
}

// TestDeadColumns: columns that sample data never touched must survive all the same.
func TestDeadColumns(t *testing.T) {
	x := random(4, 256)
	in := make([]float32, 256)
	copy(in, random(5, 128)) // the other half is zero
	m := NewImatrix()
	require.NoError(t, m.Add("w", in, 256))
	weights, err := m.Weights("w", 256)
	require.NoError(t, err)
	for _, typ := range append(exactTypes[2:6:6], searchTypes...) {
		row, err := typ.RowBytes(256)
		require.NoError(t, err)
		data := make([]byte, row)
		require.NoError(t, Quantize(data, x, typ, 256, weights))
		sum, energy, err := measureError(x[128:], data[row/2:], typ, nil)
		if typ.BlockSize() == superBlock {
			y := make([]float32, 256)
			require.NoError(t, Dequantize(y, data, typ))
			sum, energy, err = 0, 0, nil
			for i, v := range x[128:] {
				sum += square(float64(v - y[128+i]))
				energy += square(float64(v))
			}
		}
		require.NoError(t, err)
		assert.Less(t, sum/energy, 0.3, typ)
	}
}

func TestWeightsOfUnusualSize(t *testing.T) {
	m := NewImatrix()
	require.NoError(t, m.put("tiny", []float32{1e-30, 3e-30}, 1))
	require.NoError(t, m.put("huge", []float32{math.MaxFloat32, math.MaxFloat32, 0}, 1))
	require.NoError(t, m.put("zero", []float32{0, 0}, 1))
	w, err := m.Weights("tiny", 2)
	require.NoError(t, err)
	assert.InDeltaSlice(t, []float32{0.5, 1.5}, w, 1e-6)
	w, err = m.Weights("huge", 3)
	require.NoError(t, err)
	assert.InDeltaSlice(t, []float32{1.5, 1.5, 1e-6}, w, 1e-6)
	w, err = m.Weights("zero", 2)
	require.NoError(t, err)
	assert.Nil(t, w)
}

func FuzzReadImatrix(f *testing.F) {
	f.Add(datFile([]datEntry{{"a.weight", 2, []float32{2, 4}}, {"b", 1, []float32{1}}}, 3, "wiki"))
	m := NewImatrix()
	require.NoError(f, m.Add("a.weight", []float32{1, 2}, 2))
	path := filepath.Join(f.TempDir(), "x")
	require.NoError(f, m.WriteFile(path))
	b, err := os.ReadFile(path)
	require.NoError(f, err)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := read(b)
		if err != nil {
			return
		}
		for _, name := range m.Names() {
			e := m.entries[name]
			w, err := m.Weights(name, len(e.sums))
			if err != nil || checkWeights(w, len(e.sums)) != nil {
				t.Fatalf("entry %q: %v, weights %v", name, err, w)
			}
		}
	})
}
