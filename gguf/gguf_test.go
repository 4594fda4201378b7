package gguf

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clipgo/clipgo/internal/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// golden sets what tools/gguf-golden/make.py sets, in its order.
func golden(t *testing.T) *Writer {
	w := NewWriter()
	for _, kv := range []struct {
		key   string
		value any
	}{
		{"general.architecture", "clip"},
		{"general.alignment", uint32(64)},
		{"t.uint8", uint8(200)},
		{"t.int8", int8(-100)},
		{"t.uint16", uint16(60000)},
		{"t.int16", int16(-30000)},
		{"t.uint32", uint32(4000000000)},
		{"t.int32", int32(-2000000000)},
		{"t.float32", float32(0.1)},
		{"t.uint64", uint64(math.MaxUint64)},
		{"t.int64", int64(math.MinInt64)},
		{"t.float64", 0.1},
		{"t.true", true},
		{"t.false", false},
		{"t.string", "naïve 猫 \x00 end"},
		{"t.strings", []string{"a", "", "猫</w>"}},
		{"t.int32s", []int32{-1, 0, math.MaxInt32}},
		{"t.float32s", []float32{0.5, -1, 3e38}},
		{"t.bools", []bool{true, false, true}},
	} {
		require.NoError(t, w.Set(kv.key, kv.value))
	}
	require.NoError(t, w.AddTensor("v.patch.weight", F32, []uint64{3, 2}))
	require.NoError(t, w.AddTensor("v.half", F16, []uint64{5}))
	require.NoError(t, w.AddTensor("v.q8", Q8_0, []uint64{64, 2}))
	require.NoError(t, w.AddTensor("v.cube", F32, []uint64{2, 3, 1, 2}))
	return w
}

// goldenFill writes the bytes 0, 1, 2, ..., 250, 0, ... into every tensor, in small steps.
func goldenFill(t TensorInfo, w io.Writer) error {
	for i := range t.Bytes {
		if _, err := w.Write([]byte{byte(i % 251)}); err != nil {
			return err
		}
	}
	return nil
}

// The file that gguf-py writes and ours are the same bytes.
func TestWriterMatchesGGUFPy(t *testing.T) {
	want, err := os.ReadFile("testdata/gguf-py.gguf")
	require.NoError(t, err)
	var got bytes.Buffer
	require.NoError(t, golden(t).Write(&got, goldenFill))
	assert.True(t, bytes.Equal(want, got.Bytes()), "the files differ")
}

func TestReadBackGGUFPy(t *testing.T) {
	f, err := Open("testdata/gguf-py.gguf")
	require.NoError(t, err)
	defer f.Close()
	assert.Equal(t, 3, f.Version())
	assert.Equal(t, int64(64), f.Alignment())
	assert.Zero(t, f.DataOffset()%64)
	w := golden(t)
	assert.Equal(t, w.keys, f.Keys())
	for _, key := range f.Keys() {
		got, err := f.Value(key)
		require.NoError(t, err)
		assert.Equal(t, w.values[key], got, key)
	}
	require.Len(t, f.Tensors(), len(w.tensors))
	for i, info := range f.Tensors() {
		want := w.tensors[i]
		want.Offset += f.DataOffset()
		assert.Equal(t, want, info)
		data, err := f.ReadTensor(info.Name)
		require.NoError(t, err)
		var filled bytes.Buffer
		require.NoError(t, goldenFill(info, &filled))
		assert.Equal(t, filled.Bytes(), data)
		if mapped := f.Mapped(); mapped != nil {
			assert.Equal(t, data, mapped[info.Offset:info.Offset+info.Bytes])
		}
	}
	cube, ok := f.Tensor("v.cube")
	require.True(t, ok)
	assert.Equal(t, uint64(12), cube.Elements())
	assert.Equal(t, uint64(6), cube.Rows())
}

func TestGetters(t *testing.T) {
	f, err := Open("testdata/gguf-py.gguf")
	require.NoError(t, err)
	defer f.Close()
	equal := func(want, got any, err error) {
		t.Helper()
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	for key, want := range map[string]int64{"t.uint8": 200, "t.int8": -100, "t.uint16": 60000, "t.int16": -30000,
		"t.uint32": 4000000000, "t.int32": -2000000000, "t.int64": math.MinInt64} {
		got, err := f.Int(key)
		equal(want, got, err)
	}
	u, err := f.Uint("t.uint64")
	equal(uint64(math.MaxUint64), u, err)
	x, err := f.Float("t.float32")
	equal(float64(float32(0.1)), x, err)
	x, err = f.FloatOr("t.float64", 1)
	equal(0.1, x, err)
	b, err := f.BoolOr("t.false", true)
	equal(false, b, err)
	s, err := f.StringOr("t.string", "")
	equal("naïve 猫 \x00 end", s, err)
	ss, err := f.StringsOr("t.strings", nil)
	equal([]string{"a", "", "猫</w>"}, ss, err)
	is, err := f.IntsOr("t.int32s", nil)
	equal([]int64{-1, 0, math.MaxInt32}, is, err)
	xs, err := f.FloatsOr("t.float32s", nil)
	equal([]float32{0.5, -1, 3e38}, xs, err)
	i, err := f.IntOr("none", -5)
	equal(int64(-5), i, err)
}

func TestWriteFileRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.gguf")
	w := NewWriter()
	values := map[string]any{
		"a": []uint8{}, "b": []int8{-1}, "c": []uint16{65535}, "d": []int16{-2}, "e": []uint32{7}, "f": []int32{},
		"g": []float32{float32(math.Inf(1))}, "h": []bool{}, "i": []string{}, "j": []uint64{1 << 63}, "k": []int64{-1}, "l": []float64{1e300},
	}
	keys := strings.Split("lkjihgfedcba", "")
	for _, key := range keys {
		require.NoError(t, w.Set(key, values[key]))
	}
	require.NoError(t, w.Set("j", values["k"]))
	require.NoError(t, w.Set("j", values["j"])) // replaced, in its first place
	for typ := range Type(len(types)) {
		if typ.BlockSize() > 0 {
			require.NoError(t, w.AddTensor(typ.String(), typ, []uint64{256, 3}))
		}
	}
	require.NoError(t, w.WriteFile(path, goldenFill))
	f, err := Open(path)
	require.NoError(t, err)
	assert.Equal(t, keys, f.Keys())
	for _, key := range keys {
		got, err := f.Value(key)
		require.NoError(t, err)
		assert.Equal(t, values[key], got)
	}
	for _, info := range f.Tensors() {
		assert.Equal(t, info.Name, info.Type.String())
		assert.Equal(t, int64(3*256/info.Type.BlockSize()*info.Type.BlockBytes()), info.Bytes)
	}
	require.NoError(t, f.Close())
	require.NoError(t, f.Close())
	assert.Nil(t, f.Mapped())
	_, err = f.ReadTensor("F32")
	assert.Error(t, err)
}

func TestVersion2(t *testing.T) {
	b, err := os.ReadFile("testdata/gguf-py.gguf")
	require.NoError(t, err)
	b[4] = 2
	f, err := read(b)
	require.NoError(t, err)
	assert.Equal(t, 2, f.Version())
	assert.Len(t, f.Tensors(), 4)
	assert.Nil(t, f.Mapped())
	assert.NoError(t, f.Close())
}

func TestPaddingAfterTheLastTensorIsOptional(t *testing.T) {
	f, err := read(header(1, 0).tensor("t", F16, 0, 3).align(32).zeros(6))
	require.NoError(t, err)
	data, err := f.ReadTensor("t")
	require.NoError(t, err)
	assert.Len(t, data, 6)
}

func TestNoTensorsNoDataSection(t *testing.T) {
	f, err := read(header(0, 1).key("k").typ(kindBool).u8(1))
	require.NoError(t, err)
	assert.Empty(t, f.Tensors())
}

func TestWriterRefuses(t *testing.T) {
	w := NewWriter()
	assert.ErrorContains(t, w.Set("", true), "expected 1 to 65535")
	assert.ErrorContains(t, w.Set("k", 1), "int is no type")
	assert.ErrorContains(t, w.Set("k", nil), "is no type")
	assert.ErrorContains(t, w.Set("k", [][]string{}), "is no type")
	assert.ErrorContains(t, w.Set(alignmentKey, uint64(32)), "expected a uint32")
	assert.ErrorContains(t, w.Set(alignmentKey, uint32(48)), "power of two")
	assert.ErrorContains(t, w.AddTensor("", F32, []uint64{1}), "expected 1 to 63")
	assert.ErrorContains(t, w.AddTensor(strings.Repeat("n", 64), F32, []uint64{1}), "expected 1 to 63")
	assert.ErrorContains(t, w.AddTensor("t", F32, nil), "0 dimensions")
	assert.ErrorContains(t, w.AddTensor("t", Q4_K, []uint64{128}), "no multiple of the 256")
	assert.ErrorContains(t, w.AddTensor("t", Type(4), []uint64{128}), "Q4_2 was removed")
	require.NoError(t, w.AddTensor("t", I8, []uint64{1 << 62}))
	assert.ErrorContains(t, w.AddTensor("t", I8, []uint64{1}), "declared twice")
	assert.ErrorContains(t, w.AddTensor("u", I8, []uint64{1 << 62}), "size of all tensors overflows")
	assert.ErrorContains(t, w.Set(alignmentKey, uint32(64)), "after tensor")
}

func TestFillMustWriteExactly(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out.gguf")
	boom := errors.New("boom")
	for want, fill := range map[string]Fill{
		`tensor "t" got 4 bytes, expected 8`: func(_ TensorInfo, w io.Writer) error {
			_, err := w.Write(make([]byte, 4))
			return err
		},
		`tensor "t": 1 bytes more than expected`: func(_ TensorInfo, w io.Writer) error {
			_, err := w.Write(make([]byte, 9))
			return err
		},
		`tensor "t": boom`: func(TensorInfo, io.Writer) error { return boom },
	} {
		w := NewWriter()
		require.NoError(t, w.AddTensor("t", F32, []uint64{2}))
		assert.ErrorContains(t, w.WriteFile(path, fill), want)
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestOpenRefusesWhatIsNoFile(t *testing.T) {
	_, err := Open(t.TempDir())
	assert.ErrorContains(t, err, "is not a regular file")
	_, err = Open("testdata/none.gguf")
	assert.ErrorIs(t, err, os.ErrNotExist)
	_, err = Open("gguf_test.go")
	assert.ErrorContains(t, err, "this is not a GGUF file")
}

func TestTypes(t *testing.T) {
	for typ := range Type(len(types)) {
		parsed, err := ParseType(strings.ToLower(typ.String()))
		if typ.BlockSize() == 0 {
			assert.ErrorContains(t, err, "was removed")
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, typ, parsed)
	}
	_, err := ParseType("Q4_K_M")
	assert.ErrorContains(t, err, `unknown tensor type "Q4_K_M"`)
	n, err := Q4_K.RowBytes(512)
	require.NoError(t, err)
	assert.Equal(t, uint64(288), n)
	_, err = F32.RowBytes(1 << 62)
	assert.ErrorContains(t, err, "overflows")
	assert.Equal(t, "type 4711", Type(4711).String())
	assert.False(t, BF16.Quantized())
	assert.True(t, Q1_0.Quantized())
}

// The table against gguf-py's, which lacks Q2_0 and says 40 bytes for Q8_1, where ggml's block has 36.
func TestTypesMatchGGUFPy(t *testing.T) {
	b, err := os.ReadFile("testdata/gguf-py-types.json")
	require.NoError(t, err)
	var want map[string][3]int // name: number, elements and bytes per block
	require.NoError(t, json.Unmarshal(b, &want))
	for typ := range Type(len(types)) {
		if typ.BlockSize() > 0 && typ != Q8_1 && typ != Q2_0 {
			assert.Equal(t, want[typ.String()], [3]int{int(typ), typ.BlockSize(), typ.BlockBytes()}, typ)
			delete(want, typ.String())
		}
	}
	delete(want, "Q8_1")
	assert.Empty(t, want, "types that gguf-py has and we lack")
}

func TestSharedVocabularies(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(testutil.Shared(t, "data", "gguf"), "*.gguf"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		f, err := Open(path)
		require.NoError(t, err)
		assert.Empty(t, f.Tensors())
		tokens, err := f.Strings("tokenizer.ggml.tokens")
		require.NoError(t, err)
		types, err := f.Ints("tokenizer.ggml.token_type")
		require.NoError(t, err)
		assert.Len(t, types, len(tokens))
		assert.Greater(t, len(tokens), 30000)
		assertRewritten(t, f)
		require.NoError(t, f.Close())
	}
}

func TestSharedClipCpp(t *testing.T) {
	for name, typ := range map[string]Type{"legacy-f16.gguf": F16, "legacy-q4_0.gguf": Q4_0} {
		f, err := Open(testutil.Shared(t, "golden", "clip.cpp", name))
		require.NoError(t, err)
		architecture, err := f.String("general.architecture")
		require.NoError(t, err)
		assert.Equal(t, "clip", architecture)
		of := 0
		for _, info := range f.Tensors() {
			if info.Type == typ {
				of++
			}
		}
		assert.Positive(t, of)
		assertRewritten(t, f)
		require.NoError(t, f.Close())
	}
}

// assertRewritten copies f through a Writer and compares the bytes, padding at the end aside.
func assertRewritten(t *testing.T, f *File) {
	t.Helper()
	w := NewWriter()
	for _, key := range f.Keys() {
		v, err := f.Value(key)
		require.NoError(t, err)
		require.NoError(t, w.Set(key, v))
	}
	for _, info := range f.Tensors() {
		require.NoError(t, w.AddTensor(info.Name, info.Type, info.Dims))
	}
	var got bytes.Buffer
	require.NoError(t, w.Write(&got, func(info TensorInfo, w io.Writer) error {
		r, err := f.TensorReader(info.Name)
		if err == nil {
			_, err = io.Copy(w, r)
		}
		return err
	}))
	want, err := os.ReadFile(f.Name())
	require.NoError(t, err)
	trim := func(b []byte) []byte { return bytes.TrimRight(b, "\x00") }
	assert.True(t, bytes.Equal(trim(want[8:]), trim(got.Bytes()[8:])), "%s rewritten differs", f.Name())
}

func BenchmarkOpenVocabulary(b *testing.B) {
	path := testutil.Shared(b, "data", "gguf", "ggml-vocab-falcon.gguf")
	for b.Loop() {
		f, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := f.Strings("tokenizer.ggml.tokens"); err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}
