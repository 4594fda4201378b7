package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/internal/testutil"
)

// converted converts a golden checkpoint.
func converted(t *testing.T, name, typ string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "clip.gguf")
	clip(t, "convert", testutil.Shared(t, "golden", name), "--type", typ, "-o", out).done(t)
	return out
}

func TestQuantize(t *testing.T) {
	in := converted(t, "clip-mixed", "F32")
	dir := filepath.Dir(in)
	size := func(path string) int64 {
		st, err := os.Stat(path)
		require.NoError(t, err)
		return st.Size()
	}
	types := func(path string) map[string]int {
		return decode[inspection](t, clip(t, "inspect", "--json", path).done(t)).Types
	}

	r := clip(t, "quantize", in, "Q8_0")
	require.Empty(t, r.done(t))
	require.Contains(t, r.err, "clipgo: wrote "+filepath.Join(dir, "clip-Q8_0.gguf")+": ")
	require.Less(t, size(filepath.Join(dir, "clip-Q8_0.gguf")), size(in)/2)
	require.NotZero(t, types(filepath.Join(dir, "clip-Q8_0.gguf"))["Q8_0"])
	clip(t, "classify", "-m", filepath.Join(dir, "clip-Q8_0.gguf"), "-l", "a", "-l", "b", demo("owl.png")).done(t)

	out := filepath.Join(dir, "out.gguf")
	clip(t, "quantize", in, out, "q4_0").done(t)
	require.NotZero(t, types(out)["Q4_0"])
	clip(t, "quantize", "--tensor-type", "attn_q=Q8_0", in, out, "Q4_0", "--tensor-type", "attn_k=F16").done(t)
	mixed := types(out)
	require.NotZero(t, mixed["Q8_0"])
	require.NotZero(t, mixed["F16"])
	require.NotZero(t, mixed["Q4_0"])

	t.Run("in place", func(t *testing.T) {
		clip(t, "quantize", "--allow-requantize", out, out, "Q8_0").done(t)
		clip(t, "quantize", out, "Q4_0").refused(t, "already", "--allow-requantize")
	})
	t.Run("pure", func(t *testing.T) {
		mix, pure := filepath.Join(dir, "mix.gguf"), filepath.Join(dir, "pure.gguf")
		clip(t, "quantize", in, mix, "Q4_K_M").done(t)
		clip(t, "quantize", "--pure", in, pure, "Q4_K_M").done(t)
		require.LessOrEqual(t, size(pure), size(mix))
	})
	t.Run("dry run", func(t *testing.T) {
		before := files(t, dir)
		r := clip(t, "quantize", in, "Q5_0", "--dry-run")
		require.Regexp(t, `(?m)^v\.blk\.0\.attn_q\.weight +F32 +-> Q5_0 +\d+ -> +\d+ bytes`, r.done(t))
		require.Regexp(t, `\n\d+ tensors, .* -> .*\n$`, r.out)
		require.Empty(t, r.err)
		require.Equal(t, before, files(t, dir))
	})
	t.Run("target size", func(t *testing.T) {
		out := filepath.Join(dir, "target.gguf")
		clip(t, "quantize", in, out, "--target-size", "1200k").done(t)
		require.LessOrEqual(t, size(out), int64(1_200_000))
		require.Greater(t, size(out), int64(800_000), "no smaller than it must be")
		clip(t, "quantize", in, "--target-size", "1.2M").done(t)
		require.Equal(t, size(out), size(filepath.Join(dir, "clip-1.2M.gguf")))
		clip(t, "quantize", in, out, "--target-size", "1k").refused(t, "quantize: ")
		clip(t, "quantize", in, out, "--target-size", "big").refused(t, `"big" is no size`, "60M")
	})
}

func TestQuantizeErrors(t *testing.T) {
	in := demo("demo.gguf")
	out := filepath.Join(t.TempDir(), "out.gguf")
	clip(t, "quantize", in, out, "Q9").refused(t, `"Q9"`, "expected one of", "Q8_0")
	clip(t, "quantize", in, out, "Q8_0", "more").refused(t, "4 arguments")
	clip(t, "quantize", in).refused(t, "1 arguments", "IN.gguf [OUT.gguf] TYPE")
	clip(t, "quantize", "/nonexistent.gguf", out, "Q8_0").refused(t, "/nonexistent.gguf", "no such file")
	clip(t, "quantize", demo("owl.png"), out, "Q8_0").refused(t, "owl.png", "GGUF")
	clip(t, "quantize", in, out, "Q8_0", "--tensor-type", "attn").refused(t, "--tensor-type", `"attn"`)
	clip(t, "quantize", in, out, "Q8_0", "--tensor-type", "(=Q8_0").refused(t, "--tensor-type")
	clip(t, "quantize", in, out, "Q8_0", "--imatrix", "/nonexistent").refused(t, "/nonexistent")
	clip(t, "quantize", in, out, "Q8_0", "--imatrix", in).refused(t, "demo.gguf")
	require.Empty(t, files(t, filepath.Dir(out)))
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"1": 1, "60M": 60e6, "60mb": 60e6, "1.5G": 1.5e9, "2KiB": 2048, "3Mi": 3 << 20, "1GiB": 1 << 30, "500B": 500, "7k": 7000,
	} {
		got, err := parseSize(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "x", "0", "-1M", "M", "1T", "NaN", "Inf", "1e300", "1 000"} {
		_, err := parseSize(text)
		require.ErrorContains(t, err, "is no size", text)
	}
}

func TestInspect(t *testing.T) {
	path := demo("demo.gguf")
	x := decode[inspection](t, clip(t, "inspect", "--json", "--tensors", "--program", path).done(t))
	require.Equal(t, path, x.File)
	st, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, st.Size(), x.Size)
	keys := map[string]keyValue{}
	for _, kv := range x.Metadata {
		keys[kv.Key] = kv
	}
	require.Equal(t, keyValue{"general.architecture", "string", "clip"}, keys["general.architecture"])
	n, elements := 0, uint64(0)
	for _, count := range x.Types {
		n += count
	}
	require.Len(t, x.Tensors, n)
	for _, tensor := range x.Tensors {
		product := uint64(1)
		for _, d := range tensor.Dims {
			product *= d
		}
		elements += product
		require.LessOrEqual(t, tensor.Offset+tensor.Bytes, st.Size())
	}
	require.Equal(t, elements, x.Elements)
	require.Len(t, x.Programs, 2)
	require.Contains(t, x.Programs[0].Text, "attention")

	short := decode[inspection](t, clip(t, "inspect", "--json", path).done(t))
	require.Nil(t, short.Tensors)
	require.Nil(t, short.Programs)

	text := clip(t, "inspect", path, "--tensors", "--program").done(t)
	require.Contains(t, text, path+": GGUF version 3, ")
	require.Regexp(t, `(?m)^  general\.architecture +string +clip$`, text)
	require.Regexp(t, `(?m)^  v\.blk\.0\.attn_q\.weight +\S+ +\[\d+ \d+\] +\d+ bytes at \d+$`, text)
	require.Contains(t, text, "\nimage tower:\n")
	require.Contains(t, text, "\ntext tower:\n")

	clip(t, "inspect", "/nonexistent.gguf").refused(t, "/nonexistent.gguf", "no such file")
	clip(t, "inspect", demo("owl.png")).refused(t, "owl.png", "GGUF")
	clip(t, "inspect", filepath.Dir(path)).refused(t, filepath.Dir(path))
	clip(t, "inspect", path, path).refused(t, "2 files, expected one")
	t.Run("what is no CLIP", func(t *testing.T) {
		vocabulary := testutil.Shared(t, "data", "gguf", "ggml-vocab-mpt.gguf")
		require.Contains(t, clip(t, "inspect", vocabulary).done(t), "mpt")
	})
}

func TestDescribeValue(t *testing.T) {
	_, value := describeValue(float32(math.Inf(1)))
	require.Equal(t, "+Inf", value)
	typ, value := describeValue([]float32{1, float32(math.NaN())})
	require.Equal(t, "float32[2]", typ)
	require.Equal(t, []any{1.0, "NaN"}, value)
	typ, value = describeValue([]uint32{1, 2, 3, 4, 5, 6, 7, 8, 9})
	require.Equal(t, "uint32[9]", typ)
	require.Len(t, value, 8)
	_, value = describeValue(strings.Repeat("é", 150))
	require.Equal(t, strings.Repeat("é", 100)+"...", value)
	require.Equal(t, "1,234,567", thousands(1234567))
	require.Equal(t, "999", thousands(999))
}
