package arch

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/internal/jsonconf"
)

// readModel reads a configuration as a family does.
func readModel(t *testing.T, f *Family, config string) *Model {
	t.Helper()
	c, err := jsonconf.Parse("config.json", []byte(config))
	require.NoError(t, err)
	m, err := f.Read(c)
	require.NoError(t, err)
	require.NoError(t, m.Validate())
	return m
}

func tensorNames(f *Family, m *Model) map[string]int {
	names := map[string]int{}
	for _, t := range f.Tensors(m) {
		names[t.Name]++
	}
	return names
}

const smallBLIP2 = `{"model_type": "blip-2", "num_query_tokens": 8, "image_token_index": 1500, "vision_config": {"hidden_size": 88,
	"num_attention_heads": 4, "num_hidden_layers": 3, "image_size": 56}, "qformer_config": {"hidden_size": 64,
	"num_attention_heads": 4, "num_hidden_layers": 4, "cross_attention_frequency": 2}}`

func TestBLIP2TowersShareSelfAttention(t *testing.T) {
	both := readModel(t, blip2Family, smallBLIP2)
	names := tensorNames(blip2Family, both)
	for name, n := range names {
		assert.Equal(t, 1, n, name)
	}
	assert.Contains(t, names, "q.blk.2.cross_attn_k.weight")
	assert.NotContains(t, names, "q.blk.1.cross_attn_k.weight")

	for _, left := range []*Model{{Vision: both.Vision}, {Text: both.Text}} {
		names := tensorNames(blip2Family, left)
		assert.Contains(t, names, "q.blk.3.attn_q.weight")
		assert.Equal(t, left.Text != nil, names["t.blk.0.ffn_up.weight"] == 1)
		assert.Equal(t, left.Vision != nil, names["q.blk.0.ffn_up.weight"] == 1)
	}
}

func TestBLIP2DropsPlaceholders(t *testing.T) {
	m := readModel(t, blip2Family, smallBLIP2)
	assert.Equal(t, 8, m.Text.Skip)
	assert.Equal(t, 512+8, m.Text.MaxTokens())
}
