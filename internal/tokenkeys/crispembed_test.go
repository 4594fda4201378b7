package tokenkeys

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/tokenizer"
)

// crispText is a text half without tensors.
func crispText(t *testing.T, keys map[string]any) *gguf.File {
	w := gguf.NewWriter()
	for key, value := range keys {
		require.NoError(t, w.Set(key, value))
	}
	var b bytes.Buffer
	require.NoError(t, w.Write(&b, nil))
	f, err := gguf.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()), "text.gguf")
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func TestCrispEmbedAttacks(t *testing.T) {
	const typ = "tokenizer.ggml.type"
	pieces := []string{"<pad>", "</s>", "<unk>", "▁a"}
	for _, test := range []struct {
		name string
		keys map[string]any
		want string
	}{
		{"no tokens", map[string]any{}, "tokenizer.ggml.tokens"},
		{"24 scores as integers", map[string]any{typ: uint32(2), keyTokens: pieces, keyScores: []int32{0, 0, 0, 0}}, "expected an array of float32"},
		{"24 fewer scores than tokens", map[string]any{typ: uint32(2), keyTokens: pieces, keyScores: []float32{0}}, "1 scores for 4 tokens"},
		{"scores that are ranks", map[string]any{typ: uint32(2), keyTokens: pieces, keyScores: []float32{0, -1, -2, -3}}, "name the original"},
		{"50 duplicate tokens", map[string]any{typ: uint32(2), keyTokens: append(pieces, "▁a"), keyScores: []float32{0, 0, 0, -1, -2}}, "repeats token"},
		{"51 merge of unknown tokens", map[string]any{keyTokens: []string{"a", "<|startoftext|>", "<|endoftext|>"}, keyMerges: []string{"b c"}}, "merge 0"},
		{"no merges", map[string]any{keyTokens: pieces}, "no merges"},
	} {
		t.Run(test.name, func(t *testing.T) {
			spec, err := ReadCrispEmbed(crispText(t, test.keys))
			if err == nil {
				_, err = tokenizer.New(spec)
			}
			require.Error(t, err)
			assert.Contains(t, err.Error(), test.want)
		})
	}
}
