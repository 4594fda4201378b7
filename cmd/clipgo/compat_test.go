package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/convert"
	"github.com/clipgo/clipgo/internal/testutil"
)

// Every command that computes takes --compat, and says which modes there are.
func TestCompatFlag(t *testing.T) {
	owl, dir := demo("owl.png"), t.TempDir()
	pixels := func(mode string) string {
		file := filepath.Join(dir, mode+".npy")
		clip(t, "preprocess", model, "--compat", mode, owl, "-o", file).done(t)
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		return string(data)
	}
	require.Equal(t, pixels("hf"), pixels("hf4"))
	require.NotEqual(t, pixels("hf"), pixels("hf5"))
	require.NotEqual(t, pixels("hf"), pixels("tfjs"))
	require.Equal(t, pixels("openclip"), pixels("openai"))

	classify := []string{"classify", model, "--json", "-l", "owl", "-l", "car", owl}
	require.Equal(t, clip(t, classify...).done(t), clip(t, append(classify, "--compat=hf")...).done(t))
	require.NotEqual(t, clip(t, classify...).done(t), clip(t, append(classify, "--compat=tfjs")...).done(t), "the prompt has no full stop")
	tokenize := []string{"tokenize", model, "--json", "caf&eacute;"}
	require.NotEqual(t, clip(t, tokenize...).done(t), clip(t, append(tokenize, "--compat=openclip")...).done(t))
	clip(t, "embed", model, "--compat", "hf5", "--image", owl).done(t)
	clip(t, "compare", demo("demo.gguf"), demo("demo.gguf"), "--images", owl, "--compat", "openai").done(t)
	clip(t, "imatrix", model, "--images", owl, "--compat", "tfjs", "-o", filepath.Join(dir, "i")).done(t)
	quantized := filepath.Join(dir, "q.gguf")
	clip(t, "quantize", demo("demo.gguf"), quantized, "Q8_0", "--allow-requantize", "--check", owl, "--compat", "tfjs").done(t)

	clip(t, append(classify, "--compat", "pytorch")...).refused(t, `"pytorch"`, "hf, hf5, hf4, openclip, openai, tfjs")
	clip(t, "quantize", demo("demo.gguf"), quantized, "Q8_0", "--compat", "tfjs").refused(t, "--compat is for --check")
	require.Contains(t, clip(t, "classify", "--help").done(t), "hf, hf5, hf4, openclip, openai or tfjs")
}

// A program that has no such models is refused, and the others are named.
func TestCompatRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "siglip.gguf")
	_, err := convert.Convert(context.Background(), testutil.Shared(t, "golden", "siglip"), file, convert.Options{})
	require.NoError(t, err)
	clip(t, "classify", "-m", file, "--compat", "openai", "-l", "owl", demo("owl.png")).
		refused(t, file, "openai", "has no models like this one (siglip)", "hf, hf5, hf4, openclip, tfjs")
	clip(t, "classify", "-m", file, "--compat", "openclip", "-l", "owl", demo("owl.png")).done(t)
}
