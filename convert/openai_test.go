package convert

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// openAILike is a small model with the heads of 64 that OpenAI's have.
const openAILike = `{"model_cfg": {"embed_dim": 4, "quick_gelu": true, "vision_cfg": {"image_size": 12, "layers": 2, "width": 64,
	"patch_size": 4}, "text_cfg": {"context_length": 8, "vocab_size": 16, "width": 64, "heads": 1, "layers": 1}}}`

// writeOpenAI writes weights without a configuration, and returns the file's path.
func writeOpenAI(t *testing.T, change func(shapes map[string][]uint64)) string {
	shapes := sourceShapes(t, openAILike)
	shapes["input_resolution"] = []uint64{}
	change(shapes)
	dir := writeOpenCLIP(t, openAILike, shapes)
	require.NoError(t, os.Remove(filepath.Join(dir, openCLIPConfig)))
	return filepath.Join(dir, "open_clip_model.safetensors")
}

func TestOpenAIShapesTellTheModel(t *testing.T) {
	f, err := convertTo(t, writeOpenAI(t, func(map[string][]uint64) {}), Options{Type: "F32"})
	require.NoError(t, err)
	for key, want := range map[string]uint64{"clip.vision.image_size": 12, "clip.vision.patch_size": 4, "clip.vision.block_count": 2,
		"clip.vision.attention.head_count": 1, "clip.text.block_count": 1, "clip.text.context_length": 8, "clip.text.projection_dim": 4} {
		got, err := f.Uint(key)
		require.NoError(t, err)
		assert.Equal(t, want, got, key)
	}
	act, err := f.String("clip.text.hidden_act")
	require.NoError(t, err)
	assert.Equal(t, "quick_gelu", act)
}

func TestOpenAIRefuses(t *testing.T) {
	for _, c := range []struct {
		change func(shapes map[string][]uint64)
		want   string
	}{
		{func(s map[string][]uint64) { delete(s, "input_resolution") }, "neither config.json nor open_clip_config.json"},
		{func(s map[string][]uint64) { s["visual.layer1.0.conv1.weight"] = []uint64{1} }, "ModifiedResNet"},
		{func(s map[string][]uint64) { delete(s, "text_projection") }, "text_projection"},
		{func(s map[string][]uint64) { s["visual.conv1.weight"] = []uint64{64, 48} }, "expected 4 dimensions"},
		{func(s map[string][]uint64) { s["visual.positional_embedding"] = []uint64{9, 64} }, "visual.positional_embedding"},
		{func(s map[string][]uint64) { s["visual.positional_embedding"] = []uint64{0, 64} }, "image_size"},
	} {
		_, err := convertTo(t, writeOpenAI(t, c.change), Options{Type: "F32"})
		assert.ErrorContains(t, err, c.want)
	}
}
