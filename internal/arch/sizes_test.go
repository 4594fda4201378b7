package arch

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/gguf"
)

// tensorCalled returns one of a model's tensors.
func tensorCalled(t *testing.T, f *Family, m *Model, name string) Tensor {
	t.Helper()
	for _, tensor := range f.Tensors(m) {
		if tensor.Name == name {
			return tensor
		}
	}
	t.Fatalf("there is no tensor %q", name)
	return Tensor{}
}

// TestPicturesOfOtherSizes: what each family does where the processor makes other pictures than the tower was trained on.
func TestPicturesOfOtherSizes(t *testing.T) {
	for _, c := range []struct {
		family  *Family
		vision  string
		picture Size
		dims    []uint64 // of the positions in the GGUF
		from    []uint64 // and in the checkpoint
		refused string
	}{
		{clipSegFamily, `"image_size": 64, "patch_size": 16`, Size{48, 96}, []uint64{768, 3*6 + 1}, []uint64{768, 17}, ""},
		{clipSegFamily, `"image_size": 64, "patch_size": 16`, Size{65, 79}, []uint64{768, 17}, []uint64{768, 17}, ""},
		{clipSegFamily, `"image_size": 64, "patch_size": 16`, Size{64, 15}, nil, nil, "15 x 64 pixels are smaller than a patch of 16"},
		{tipsv2Family, `"image_size": 56`, Size{28, 70}, []uint64{768, 2*5 + 1}, []uint64{768, 17}, ""},
		{siglipFamily, `"image_size": 64`, Size{32, 128}, []uint64{768, 16}, []uint64{768, 16}, ""},
		{siglipFamily, `"image_size": 64`, Size{32, 64}, nil, nil, "8 patches of 16 pixels, but the image tower has positions for 16"},
		{blipFamily, `"image_size": 64`, Size{32, 48}, []uint64{768, 7}, []uint64{768, 7}, ""},
		{blipFamily, `"image_size": 64`, Size{80, 64}, nil, nil, "20 patches of 16 pixels, but the image tower has positions for 16"},
	} {
		m := readModel(t, c.family, `{"vision_config": {`+c.vision+`}, "text_config": {}}`)
		err := c.family.Resize(m, c.picture)
		if c.refused != "" {
			assert.ErrorContains(t, err, c.refused)
			continue
		}
		require.NoError(t, err)
		require.NoError(t, m.Validate())
		positions := tensorCalled(t, c.family, m, "v.position_embd.weight")
		assert.Equal(t, c.dims, positions.Dims, "%s %v", c.family.Type, c.picture)
		assert.Equal(t, c.from, positions.From, "%s %v", c.family.Type, c.picture)
		assert.Equal(t, c.family == blipFamily, positions.Head, "the first positions count")
	}
}

func TestOpenCLIPTakesRectangles(t *testing.T) {
	m := readModel(t, OpenCLIP, `{"vision_cfg": {"image_size": [48, 80], "patch_size": [16, 16]}, "text_cfg": {}}`)
	assert.Equal(t, Size{H: 3, W: 5}, m.Vision.Grid())
	assert.Equal(t, []uint64{768, 16}, tensorCalled(t, OpenCLIP, m, "v.position_embd.weight").Dims)

	w := gguf.NewWriter()
	require.NoError(t, m.WriteKeys(w))
	path := filepath.Join(t.TempDir(), "model.gguf")
	require.NoError(t, w.WriteFile(path, nil))
	f, err := gguf.Open(path)
	require.NoError(t, err)
	defer f.Close()
	read, err := ReadKeys(f)
	require.NoError(t, err)
	assert.Equal(t, m.Vision.Image, read.Vision.Image)
}

func TestNoBiasOfQKV(t *testing.T) {
	for _, f := range []*Family{blip2Family, tipsv2Family} {
		m := readModel(t, f, `{"vision_config": {"qkv_bias": false, "num_register_tokens": 0}, "text_config": {}, "qformer_config": {}}`)
		names := tensorNames(f, m)
		assert.Contains(t, names, "v.blk.0.attn_q.weight", f.Type)
		assert.NotContains(t, names, "v.blk.0.attn_q.bias", f.Type)
		assert.Contains(t, names, "v.blk.0.attn_out.bias", f.Type)
	}
	assert.True(t, tipsv2Family.Ignores("vision_encoder.register_tokens"))
}

// TestPositionsThatContradict: such files would reach beyond their tables of positions.
func TestPositionsThatContradict(t *testing.T) {
	m := readModel(t, siglip2Family, `{"text_config": {}, "vision_config": {}}`)
	m.Vision.Image.W *= 2
	assert.ErrorContains(t, m.Validate(), "clip.vision.image_size is 512 x 256, expected a square")
	m = readModel(t, altCLIPFamily, `{"text_config": {}, "vision_config": {}}`)
	m.Text.Pooling = PoolAppended
	assert.ErrorContains(t, m.Validate(), "clip.text.positions_count_words")
}
