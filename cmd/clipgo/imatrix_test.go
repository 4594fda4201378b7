package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestImatrix(t *testing.T) {
	in := converted(t, "clip-mixed", "F32")
	dir := t.TempDir()
	texts, out := filepath.Join(dir, "texts"), filepath.Join(dir, "out.imatrix")
	require.NoError(t, os.WriteFile(texts, []byte("a cat\n\na dog\n"), 0o600))
	r := clip(t, "imatrix", "-m", in, "--images", demo("owl.png"), "--images", demo("car.png"), "--texts", texts, "-o", out)
	require.Empty(t, r.done(t))
	require.Regexp(t, `^clipgo: wrote .*out\.imatrix: \d+ tensors, 4 pictures and texts\n$`, r.err)
	clip(t, "quantize", in, filepath.Join(dir, "q.gguf"), "Q4_K_M", "--imatrix", out).done(t)

	r = clip(t, "imatrix", "-m", in, "--images", demo("owl.png"), "--images", "/nonexistent.png", "-o", out)
	require.Equal(t, exitPartial, r.code)
	clip(t, "imatrix", "-m", in, "--images", "/nonexistent.png", "-o", out).refused(t, "/nonexistent.png")
	clip(t, "imatrix", "-m", in, "--texts", texts, "-o", "/nonexistent/out").refused(t, "writing /nonexistent/out: no such file")
}

func TestImatrixErrors(t *testing.T) {
	clip(t, "imatrix").refused(t, "-o FILE.imatrix")
	clip(t, "imatrix", "-o", "x").refused(t, "--images FOLDER", "--texts FILE")
	clip(t, "imatrix", "-o", "x", "y").refused(t, `"y"`, "--images")
	clip(t, "imatrix", "-o", "x", "--texts", "/nonexistent").refused(t, "reading texts", "/nonexistent")
	clip(t, "imatrix", "-o", "x", "--texts", os.DevNull).refused(t, "no lines")
}
