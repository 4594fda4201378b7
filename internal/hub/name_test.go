package hub

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseName(t *testing.T) {
	for text, want := range map[string]Name{
		"openai/clip-vit-base-patch32":                       {"openai/clip-vit-base-patch32", "main", ""},
		"openai/clip-vit-base-patch32:Q8_0":                  {"openai/clip-vit-base-patch32", "main", "Q8_0"},
		"google/siglip2-so400m-patch14-384@v1.0":             {"google/siglip2-so400m-patch14-384", "v1.0", ""},
		"a/b@refs/pr/1:q4_k_m":                               {"a/b", "refs/pr/1", "q4_k_m"},
		"hf://a/b@3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268:": {},
		"hf://a/b.c_d":                                       {"a/b.c_d", "main", ""},
		"https://huggingface.co/a/b":                         {"a/b", "main", ""},
		"mys/ggml_clip:x-model-q4_0.gguf":                    {"mys/ggml_clip", "main", "x-model-q4_0.gguf"},
		"a/b:Q8_0@main":                                      {},
		"a":                                                  {},
		"a/b/c":                                              {},
		"a/":                                                 {},
		"/a":                                                 {},
		"./a":                                                {},
		"../a":                                               {},
		"~/a":                                                {},
		"a/b--c":                                             {},
		"a/b..c":                                             {},
		"a/-b":                                               {},
		"a/b.":                                               {},
		"a/b.git":                                            {},
		"a b/c":                                              {},
		"café/c":                                             {},
		"C:\\models/x":                                       {},
		"a/b@":                                               {},
		"a/b@../x":                                           {},
		"a/b@/x":                                             {},
		"a/b@x/":                                             {},
		"a/b@-x":                                             {},
		"a/b@x\n":                                            {},
		"a/" + strings.Repeat("b", 97):                       {},
		"a/b@" + strings.Repeat("b", 201):                    {},
	} {
		got, err := ParseName(text)
		require.Equal(t, want, got, text)
		require.Equal(t, want == Name{}, err != nil, text)
		if err == nil {
			again, err := ParseName(got.String())
			require.NoError(t, err)
			require.Equal(t, got, again)
		}
	}
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"a/b", "a/b@v1:Q8_0", "hf://a/b", "a/b@refs/pr/1", "a/b:c.gguf", "@:/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseName(s)
		if err != nil {
			return
		}
		again, err := ParseName(n.String())
		require.NoError(t, err)
		require.Equal(t, n, again)
		require.NotContains(t, FolderName(n.Repo), "/")
		require.NotContains(t, n.Revision, "..")
	})
}
