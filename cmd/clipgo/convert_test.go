package main

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/internal/testutil"
)

// checkpoint copies a golden checkpoint to where it may be changed.
func checkpoint(t *testing.T, name string) string {
	t.Helper()
	from, to := testutil.Shared(t, "golden", name), filepath.Join(t.TempDir(), name)
	require.NoError(t, os.Mkdir(to, 0o700))
	entries, err := os.ReadDir(from)
	require.NoError(t, err)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(from, e.Name()))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(to, e.Name()), data, 0o600))
	}
	return to
}

// editTensors changes the header of a safetensors file and appends data.
func editTensors(t *testing.T, path string, more []byte, edit func(header map[string]any, end int)) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	n := 8 + int(binary.LittleEndian.Uint64(data))
	header := map[string]any{}
	require.NoError(t, json.Unmarshal(data[8:n], &header))
	edit(header, len(data)-n)
	text, err := json.Marshal(header)
	require.NoError(t, err)
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	out = append(append(append(out, text...), data[n:]...), more...)
	require.NoError(t, os.WriteFile(path, out, 0o600))
}

// files lists a folder, hidden files included.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestConvert(t *testing.T) {
	src := checkpoint(t, "clip-mixed")
	t.Chdir(t.TempDir())
	r := clip(t, "convert", src)
	require.Empty(t, r.done(t), "stdout carries answers only")
	require.Regexp(t, `^clipgo: wrote clip-mixed-F16\.gguf: clip, \d+ tensors \(.*F16.*\), [0-9.]+ \wB\n$`, r.err)
	require.Equal(t, []string{"clip-mixed-F16.gguf"}, files(t, "."))
	clip(t, "convert", "--type", "bf16", src, "-o", "b.gguf").done(t)
	clip(t, "convert", "-o", "f.gguf", src, "--type", "F32").done(t)
	require.Equal(t, []string{"b.gguf", "clip-mixed-F16.gguf", "f.gguf"}, files(t, "."))

	t.Run("rows that no block divides", func(t *testing.T) {
		r := clip(t, "convert", src, "--type", "Q8_0", "-o", "q.gguf")
		r.done(t)
		if strings.Count(r.err, "\n") > 1 {
			require.Regexp(t, `clipgo: \d+ of \d+ tensors have rows that the blocks of Q8_0 don't divide`, r.err)
		}
	})
	t.Run("one tower", func(t *testing.T) {
		clip(t, "convert", src, "--text-only", "-o", "text.gguf").done(t)
		clip(t, "convert", src, "--vision-only", "-o", "vision.gguf").done(t)
		owl := demo("owl.png")
		clip(t, "embed", "-m", "text.gguf", "--text", "a").done(t)
		clip(t, "embed", "-m", "vision.gguf", "--image", owl).done(t)
		clip(t, "embed", "-m", "vision.gguf", "--text", "a").refused(t, "vision.gguf", "no text tower")
		clip(t, "tokenize", "-m", "vision.gguf", "a").refused(t, "vision.gguf", "no text tower")
		clip(t, "classify", "-m", "vision.gguf", "-l", "a", owl).refused(t, "vision.gguf", "no text tower")
		clip(t, "classify", "-m", "text.gguf", "-l", "a", owl).refused(t, "text.gguf", "no image tower")
		clip(t, "preprocess", "-m", "text.gguf", owl, "-o", "x.npy").refused(t, "text.gguf", "no image tower")
		clip(t, "convert", src, "--text-only", "--vision-only").refused(t, "exclude each other")
	})
}

// TestConvertReplacesWhole wants the old file to stay until the new one is done, and for those who have it open.
func TestConvertReplacesWhole(t *testing.T) {
	src, dir := checkpoint(t, "clip-mixed"), t.TempDir()
	out := filepath.Join(dir, "out.gguf")
	require.NoError(t, os.WriteFile(out, []byte("the old file"), 0o600))
	old, err := os.Open(out)
	require.NoError(t, err)
	defer old.Close()

	editTensors(t, filepath.Join(src, "model.safetensors"), nil, func(map[string]any, int) {})
	clip(t, "convert", src, "-o", out).done(t)
	was, err := io.ReadAll(old)
	require.NoError(t, err)
	require.Equal(t, "the old file", string(was))
	require.Equal(t, []string{"out.gguf"}, files(t, dir))
	clip(t, "tokenize", "-m", out, "a").done(t)

	// A number that is none is found while the new file is being written.
	whole, err := os.ReadFile(out)
	require.NoError(t, err)
	weights := filepath.Join(src, "model.safetensors")
	data, err := os.ReadFile(weights)
	require.NoError(t, err)
	for i := range 64 {
		data[len(data)-1-i] = 0xff
	}
	require.NoError(t, os.WriteFile(weights, data, 0o600))
	clip(t, "convert", src, "-o", out).refused(t, "expected a finite number")
	now, err := os.ReadFile(out)
	require.NoError(t, err)
	require.Equal(t, whole, now)
	require.Equal(t, []string{"out.gguf"}, files(t, dir))
}

func TestConvertErrors(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	clip(t, "convert", "/nonexistent").refused(t, "convert: /nonexistent", "no such file", "config.json, model.safetensors")
	clip(t, "convert", dir).refused(t, dir, "config.json; expected")
	clip(t, "convert", dir, dir).refused(t, "2 folders, expected one")
	clip(t, "convert", dir, "--type", "Q9").refused(t, `unknown type "Q9", expected one of F32, F16`)
	clip(t, "convert", dir, "--type", "").refused(t, "config.json; expected")
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("config.json", "{")
	clip(t, "convert", dir).refused(t, "config.json")
	write("config.json", `{"model_type":"llama"}`)
	clip(t, "convert", dir).refused(t, "config.json", `"llama"`)
	write("config.json", `{"model_type":"clip"}`)
	clip(t, "convert", dir).refused(t, "preprocessor_config.json")
	require.Equal(t, []string{"config.json"}, files(t, dir))

	for name, c := range map[string]struct {
		damage func(t *testing.T, dir string)
		want   []string
	}{
		"no weights": {func(t *testing.T, dir string) {
			require.NoError(t, os.Remove(filepath.Join(dir, "model.safetensors")))
		}, []string{"no weights", "model.safetensors.index.json"}},
		"no tokenizer": {func(t *testing.T, dir string) {
			require.NoError(t, os.Remove(filepath.Join(dir, "tokenizer.json")))
		}, []string{"tokenizer"}},
		"unknown tensors": {func(t *testing.T, dir string) {
			editTensors(t, filepath.Join(dir, "model.safetensors"), make([]byte, 8), func(h map[string]any, end int) {
				h["lora.up"] = map[string]any{"dtype": "F32", "shape": []int{1}, "data_offsets": []int{end, end + 4}}
				h["lora.down"] = map[string]any{"dtype": "F32", "shape": []int{1}, "data_offsets": []int{end + 4, end + 8}}
			})
		}, []string{"lora.down, lora.up"}},
		"missing tensor": {func(t *testing.T, dir string) {
			editTensors(t, filepath.Join(dir, "model.safetensors"), nil, func(h map[string]any, _ int) {
				h["else.weight"] = h["visual_projection.weight"]
				delete(h, "visual_projection.weight")
			})
		}, []string{`"visual_projection.weight" is missing`}},
		"another shape": {func(t *testing.T, dir string) {
			editTensors(t, filepath.Join(dir, "model.safetensors"), nil, func(h map[string]any, _ int) {
				tensor := h["visual_projection.weight"].(map[string]any)
				shape := tensor["shape"].([]any)
				tensor["shape"] = []any{shape[0].(float64) * shape[1].(float64)}
			})
		}, []string{`"visual_projection.weight" has shape`, "expected"}},
		"cut weights": {func(t *testing.T, dir string) {
			path := filepath.Join(dir, "model.safetensors")
			st, err := os.Stat(path)
			require.NoError(t, err)
			require.NoError(t, os.Truncate(path, st.Size()/2))
		}, []string{"model.safetensors"}},
	} {
		t.Run(name, func(t *testing.T) {
			src := checkpoint(t, "clip-mixed")
			c.damage(t, src)
			out := filepath.Join(t.TempDir(), "out.gguf")
			clip(t, "convert", src, "-o", out).refused(t, append(c.want, "convert: ")...)
			require.Empty(t, files(t, filepath.Dir(out)))
		})
	}
	t.Run("output that can't be written", func(t *testing.T) {
		src := checkpoint(t, "clip-mixed")
		clip(t, "convert", src, "-o", "/nonexistent/out.gguf").refused(t, "/nonexistent", "no such file")
		clip(t, "convert", src, "-o", src).refused(t, src)
	})
}
