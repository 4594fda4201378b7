package tokenizer

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func specOf(t *testing.T, dir string) Spec {
	t.Helper()
	spec, err := FromHF(os.DirFS(dir))
	require.NoError(t, err)
	return spec
}

func made(t *testing.T, spec Spec) *Tokenizer {
	t.Helper()
	tok, err := New(spec)
	require.NoError(t, err)
	return tok
}

// TestLikeOpenCLIP compares with open_clip's HFTokenizer over the same vocabularies, and comes back to transformers' ids.
func TestLikeOpenCLIP(t *testing.T) {
	for _, name := range []string{"class-siglip", "class-siglip2", "class-xlmr"} {
		dir := filepath.Join("testdata", name)
		spec, err := specOf(t, dir).LikeOpenCLIP(OpenCLIPOptions{ContextLength: 64})
		require.NoError(t, err)
		t.Run(name, func(t *testing.T) { compare(t, made(t, spec), readGoldens(t, dir+"/open_clip.jsonl.gz")) })
		if name == "class-siglip2" {
			continue // its class lower-cases, which open_clip's configuration doesn't know of
		}
		t.Run(name+" and back", func(t *testing.T) {
			compare(t, made(t, spec.LikeTransformers()), readGoldens(t, dir+"/lines.jsonl.gz"))
		})
	}
}

// TestCLIPLikeOthers does the same with CLIP's own vocabulary, starting from transformers' layout and from open_clip's.
func TestCLIPLikeOthers(t *testing.T) {
	hf, err := OpenAICLIP()
	require.NoError(t, err)
	openCLIP, err := hf.LikeOpenCLIP(OpenCLIPOptions{})
	require.NoError(t, err)
	direct, err := OpenCLIP(OpenCLIPOptions{})
	require.NoError(t, err)
	require.Equal(t, direct, openCLIP)
	for _, from := range []Spec{hf, openCLIP} {
		openAI, err := from.LikeOpenAI(77)
		require.NoError(t, err)
		compare(t, made(t, openAI), readGoldens(t, "testdata/openai.jsonl.gz"))
		compare(t, made(t, from.LikeTransformers()), readGoldens(t, "testdata/clip.jsonl.gz"))
	}
	_, err = specOf(t, "testdata/class-bert").LikeOpenAI(77)
	require.ErrorContains(t, err, "not CLIP's")
}

// Upper and lower case give the same ids with Siglip2Tokenizer, others without its first step: GemmaTokenizer's.
func TestKeepCase(t *testing.T) {
	spec := specOf(t, "testdata/class-siglip2")
	require.Equal(t, made(t, spec).Encode("A Cat"), made(t, spec).Encode("a cat"))
	require.NotEqual(t, made(t, spec.KeepCase()).Encode("A Cat"), made(t, spec).Encode("a cat"))
	require.Len(t, specOf(t, "testdata/class-siglip2").Pipeline.Normalizers, len(spec.Pipeline.Normalizers))
}
