package convert

import (
	"archive/zip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/internal/arch"
	"github.com/clipgo/clipgo/internal/checkpoint"
	"github.com/clipgo/clipgo/internal/jsonconf"
)

const tinySigLIP = `{"vision_config": {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12,
	"image_size": 8, "patch_size": 4}, "text_config": {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
	"intermediate_size": 12, "vocab_size": 1000, "max_position_embeddings": 64}}`

// bigVisionShapes are the shapes of the arrays in a file of big_vision's, without "params/".
func bigVisionShapes(t *testing.T, modelType string) map[string][]uint64 {
	c, err := jsonconf.Parse("config.json", []byte(tinySigLIP))
	require.NoError(t, err)
	family, err := arch.BigVision(modelType)
	require.NoError(t, err)
	m, err := family.Read(c)
	require.NoError(t, err)
	if modelType == "siglip2" {
		m.Vision.Image = arch.Square(2 * m.Vision.Patch)
	}
	shapes := map[string][]uint64{"t": {1}, "b": {1}}
	for _, tensor := range family.Tensors(m) {
		shapes[tensor.Sources[0]] = reversed(tensor.From)
	}
	return shapes
}

// writeNPZ writes arrays of zeros, and returns the file's path.
func writeNPZ(t *testing.T, shapes map[string][]uint64) string {
	path := filepath.Join(t.TempDir(), "siglip.npz")
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	z := zip.NewWriter(f)
	for name, shape := range shapes {
		w, err := z.CreateHeader(&zip.FileHeader{Name: "params/" + name + ".npy", Method: zip.Store})
		require.NoError(t, err)
		header, n := "{'descr': '<f4', 'fortran_order': False, 'shape': (", uint64(4)
		for _, d := range shape {
			header, n = header+fmt.Sprint(d)+",", n*d
		}
		header += ")}\n"
		_, err = w.Write([]byte("\x93NUMPY\x01\x00" + string([]byte{byte(len(header)), 0}) + header + strings.Repeat("\x00", int(n))))
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return path
}

var spiece = filepath.Join("..", "internal", "tokenizer", "testdata", "class-siglip", "spiece.model")

func TestBigVisionShapesTellTheModel(t *testing.T) {
	for modelType, filter := range map[string]string{"siglip": "bicubic", "siglip2": "bilinear"} {
		f, err := convertTo(t, writeNPZ(t, bigVisionShapes(t, modelType)), Options{Type: "F32", Tokenizer: spiece})
		require.NoError(t, err)
		for key, want := range map[string]uint64{"clip.vision.image_size": 8, "clip.vision.patch_size": 4, "clip.vision.block_count": 2,
			"clip.vision.attention.head_count": 2, "clip.vision.feed_forward_length": 12, "clip.text.block_count": 1,
			"clip.text.context_length": 64, "clip.text.projection_dim": 8, "clip.text.vocabulary_size": 1000} {
			got, err := f.Uint(key)
			require.NoError(t, err)
			assert.Equal(t, want, got, key)
		}
		name, err := f.String("general.name")
		require.NoError(t, err)
		assert.Equal(t, "siglip", name)
		got, err := f.String("clip.vision.preprocess.filter")
		require.NoError(t, err)
		assert.Equal(t, filter, got)
	}
}

func TestBigVisionRefuses(t *testing.T) {
	const query = "img/Transformer/encoderblock_0/MultiHeadDotProductAttention_0/query/kernel"
	for _, c := range []struct {
		change func(shapes map[string][]uint64)
		want   string
	}{
		{func(s map[string][]uint64) { delete(s, "img/embedding/kernel") }, `"params/img/embedding/kernel" is missing`},
		{func(s map[string][]uint64) { delete(s, "txt/head/bias") }, `"txt/head/bias" is missing`},
		{func(s map[string][]uint64) { delete(s, query) }, "query/kernel\" is missing"},
		{func(s map[string][]uint64) { s[query] = []uint64{8, 8} }, "expected [3] dimensions"},
		{func(s map[string][]uint64) { s[query] = []uint64{8, 0, 4} }, "no size of 0"},
		{func(s map[string][]uint64) { s[query] = []uint64{8, 3, 4} }, "head_count is 3"},
		{func(s map[string][]uint64) { s["img/pos_embedding"] = []uint64{1, 5, 8} }, "5 positions, expected a square"},
		{func(s map[string][]uint64) { s["img/pos_embedding"] = []uint64{0, 0, 8} }, "no size of 0"},
		{func(s map[string][]uint64) { s["img/embedding/kernel"] = []uint64{4, 5, 3, 8} }, "expected [4 4 3 8]"},
		{func(s map[string][]uint64) { s["img/embedding/kernel"] = []uint64{50, 8} }, "has shape [50 8], expected [48 8]"},
		{func(s map[string][]uint64) { s["t"] = []uint64{2} }, `"t" has 2 elements, expected 1`},
		{func(s map[string][]uint64) { s["img/new"] = []uint64{2} }, "no place is known for these tensors"},
		{func(s map[string][]uint64) { s["txt/Embed_0/embedding"] = []uint64{800, 8} }, "it belongs to another model"},
		{func(s map[string][]uint64) { s["img/Transformer/encoderblock/x"] = []uint64{0, 8} }, "expected 1 to 512 parts"},
		{func(s map[string][]uint64) { s["img/Transformer/encoderblock/x"] = []uint64{513, 1} }, "expected 1 to 512 parts"},
		{func(s map[string][]uint64) { s["img/Transformer/encoderblock/x"] = []uint64{} }, "expected 1 to 512 parts"},
		{func(s map[string][]uint64) { s["img/Transformer/encoderblock/LayerNorm_0/scale"] = []uint64{2, 8} }, "appears twice"},
	} {
		shapes := bigVisionShapes(t, "siglip")
		c.change(shapes)
		_, err := convertTo(t, writeNPZ(t, shapes), Options{Type: "F32", Tokenizer: spiece})
		assert.ErrorContains(t, err, c.want)
	}
	path := writeNPZ(t, bigVisionShapes(t, "siglip"))
	_, err := convertTo(t, path, Options{})
	assert.ErrorContains(t, err, "there is no tokenizer")
	_, err = convertTo(t, path, Options{VisionOnly: true})
	assert.NoError(t, err)
	_, err = convertTo(t, path, Options{Tokenizer: "nowhere"})
	assert.ErrorContains(t, err, "nowhere: no such file")
}

// FuzzBigVisionShapes reads configurations of shapes that any file may have: an error, or a model whose tensors can be listed.
func FuzzBigVisionShapes(f *testing.F) {
	f.Add(uint64(4), uint64(3), uint64(8), uint64(2), uint64(4), uint64(12), uint64(64), uint64(1000), true)
	f.Add(uint64(48), uint64(1), uint64(8), uint64(2), uint64(4), uint64(12), uint64(64), uint64(1000), false)
	f.Add(uint64(1<<63), uint64(0), uint64(1<<32), uint64(1<<32), uint64(1), uint64(1<<62), uint64(1), uint64(1<<31), false)
	f.Fuzz(func(t *testing.T, patch, side, width, heads, headWidth, ffn, context, vocab uint64, conv bool) {
		set := &checkpoint.Set{}
		add := func(name string, shape ...uint64) {
			require.NoError(t, set.Add(&checkpoint.Tensor{Name: "params/" + name, Shape: shape}))
		}
		if conv {
			add("img/embedding/kernel", patch, patch, 3, width)
		} else {
			add("img/embedding/kernel", patch, width)
		}
		add("img/pos_embedding", side*side, width)
		for _, prefix := range []string{"img/Transformer/", "txt/Encoder_0/"} {
			add(prefix+"encoderblock_0/LayerNorm_0/scale", width)
			add(prefix+"encoderblock_0/MultiHeadDotProductAttention_0/query/kernel", width, heads, headWidth)
			add(prefix+"encoderblock_0/MlpBlock_0/Dense_0/kernel", width, ffn)
		}
		add("txt/Embed_0/embedding", vocab, width)
		add("txt/pos_embedding", context, width)
		add("txt/head/kernel", width, width)
		r := &shapeReader{path: "x.npz", set: set}
		modelType, data := r.siglipConfig()
		if r.err != nil {
			return
		}
		config, err := jsonconf.Parse("x.npz", data)
		require.NoError(t, err)
		family, err := arch.BigVision(modelType)
		require.NoError(t, err)
		if m, err := family.Read(config); err == nil && m.Validate() == nil {
			require.NotEmpty(t, family.Tensors(m))
		}
	})
}
