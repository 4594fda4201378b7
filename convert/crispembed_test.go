package convert

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/quantize"
)

// halves copies files of testdata/crispembed into a new folder.
func halves(t *testing.T, files ...string) string {
	dir := t.TempDir()
	for _, file := range files {
		b, err := os.ReadFile(filepath.Join("..", "testdata", "crispembed", filepath.FromSlash(file)))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(filepath.Dir(file))+"-"+filepath.Base(file)), b, 0o600))
	}
	return dir
}

func TestCrispEmbedHalves(t *testing.T) {
	pair := halves(t, "clip/image.gguf", "clip/text.gguf")
	for _, path := range []string{pair, filepath.Join(pair, "clip-image.gguf"), filepath.Join(pair, "clip-text.gguf")} {
		f, err := convertTo(t, path, Options{})
		require.NoError(t, err)
		for _, name := range []string{"v.blk.1.attn_q.weight", "t.blk.1.attn_q.weight"} {
			_, ok := f.Tensor(name)
			assert.True(t, ok, name)
		}
	}
	image := halves(t, "clip/image.gguf")
	_, err := convertTo(t, image, Options{})
	assert.ErrorContains(t, err, `the text half of this CrispEmbed model (general.architecture "clip_text") is missing`)
	f, err := convertTo(t, image, Options{VisionOnly: true})
	require.NoError(t, err)
	assert.False(t, f.Has("tokenizer.ggml.tokens"))
	text := halves(t, "siglip/text.gguf")
	_, err = convertTo(t, text, Options{VisionOnly: true})
	assert.ErrorContains(t, err, "the image half of this CrispEmbed model")
	_, err = convertTo(t, text, Options{TextOnly: true})
	assert.NoError(t, err)
	_, err = convertTo(t, halves(t, "clip/image.gguf", "siglip/text.gguf"), Options{})
	assert.ErrorContains(t, err, "they don't belong together")
	_, err = convertTo(t, filepath.Join(halves(t, "clip/image.gguf", "clip/text.gguf", "siglip/text.gguf"), "clip-image.gguf"), Options{})
	assert.ErrorContains(t, err, "2 files beside it are the text half")
	_, err = convertTo(t, filepath.Join("..", "testdata", "demo.gguf"), Options{})
	assert.ErrorContains(t, err, `general.architecture is "clip", expected "vit" or "clip_text"`)
}

// patched writes the image half of a pair with some of its bytes changed, and what it needs beside it.
func patched(t *testing.T, from, to string) string {
	dir := halves(t, "clip/image.gguf", "clip/text.gguf")
	path := filepath.Join(dir, "clip-image.gguf")
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Len(t, to, len(from))
	require.True(t, bytes.Contains(b, []byte(from)))
	require.NoError(t, os.WriteFile(path, bytes.Replace(b, []byte(from), []byte(to), 1), 0o600))
	return path
}

func TestCrispEmbedRefuses(t *testing.T) {
	hidden := "vit.hidden_size\x04\x00\x00\x00"
	for _, c := range []struct{ from, to, want string }{
		{"enc.1.attn.q.weight", "enc.9.attn.q.weight", `"vision_model.encoder.layers.1.self_attn.q_proj.weight" is missing`},
		{"vit.hidden_size", "vit.hidden_sizz", "vit.hidden_size"},
		{hidden + "\x20\x00\x00\x00", hidden + "\x21\x00\x00\x00", "attention.head_count"},
		{hidden + "\x20\x00\x00\x00", hidden + "\xff\xff\xff\xff", "hidden_size is 4294967295"},
		{"pre_ln.bias", "pre_ln.bizs", `pre_layrnorm.bias" is missing`},
		{"vit.model_type\x08\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00clip", "vit.model_type\x08\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00clop", `vit.model_type is "clop"`},
	} {
		_, err := convertTo(t, patched(t, c.from, c.to), Options{})
		assert.ErrorContains(t, err, c.want)
	}
}

// TestDequantizer reads a quantised tensor whole and in pieces.
func TestDequantizer(t *testing.T) {
	f, err := gguf.Open(filepath.Join("..", "testdata", "crispembed", "siglip", "text.gguf"))
	require.NoError(t, err)
	defer f.Close()
	const name = "enc.0.ffn.fc1.weight"
	info, ok := f.Tensor(name)
	require.True(t, ok)
	require.True(t, info.Type.Quantized())
	data, err := f.TensorReader(name)
	require.NoError(t, err)
	d := &dequantizer{data: data, typ: info.Type}
	whole := make([]byte, info.Elements()*float32Bytes)
	_, err = d.ReadAt(whole, 0)
	require.NoError(t, err)
	for at := 0; at < len(whole); at += 4 * 37 {
		piece := make([]byte, min(4*37, len(whole)-at))
		_, err := d.ReadAt(piece, int64(at))
		require.NoError(t, err)
		require.Equal(t, whole[at:at+len(piece)], piece)
	}
	for _, read := range []struct{ n, off int }{{4, len(whole)}, {8, len(whole) - 4}, {3, 0}, {4, 1}, {4, -4}} {
		_, err := d.ReadAt(make([]byte, read.n), int64(read.off))
		assert.Error(t, err)
	}
}

// tinyHalf is an image half of one block, of zeros, with every key.
func tinyHalf(t testing.TB) []byte {
	w := gguf.NewWriter()
	set := func(key string, value any) { require.NoError(t, w.Set(key, value)) }
	set("general.architecture", crispImage)
	set("vit.model_type", "clip")
	set("vit.hidden_act", "gelu")
	set("vit.layer_norm_eps", float32(1e-5))
	set("vit.image_mean", []float32{0.5, 0.5, 0.5})
	for key, value := range map[string]uint32{"hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 4, "image_size": 4, "patch_size": 2} {
		set("vit."+key, value)
	}
	vectors := []string{"pre_ln.weight", "pre_ln.bias", "post_ln.weight", "post_ln.bias", "cls_token"}
	matrices := []string{"visual_proj.weight"}
	for _, name := range []string{"ln1", "ln2", "attn.q", "attn.k", "attn.v", "attn.o", "ffn.fc1", "ffn.fc2"} {
		vectors = append(vectors, "enc.0."+name+".bias")
		if name == "ln1" || name == "ln2" {
			vectors = append(vectors, "enc.0."+name+".weight")
		} else {
			matrices = append(matrices, "enc.0."+name+".weight")
		}
	}
	add := func(name string, dims ...uint64) { require.NoError(t, w.AddTensor(name, gguf.F32, dims)) }
	for _, name := range vectors {
		add(name, 4)
	}
	for _, name := range matrices {
		add(name, 4, 4)
	}
	add("patch_embed.weight", 2, 2, 3, 4)
	add("position_embd.weight", 4, 5)
	var b bytes.Buffer
	require.NoError(t, w.Write(&b, func(info gguf.TensorInfo, out io.Writer) error {
		_, err := out.Write(make([]byte, info.Bytes))
		return err
	}))
	return b.Bytes()
}

// FuzzCrispEmbed opens image halves with changed bytes: an error of one line, or tensors that can be planned.
func FuzzCrispEmbed(f *testing.F) {
	policy, err := quantize.ParsePolicy("F16")
	require.NoError(f, err)
	path := filepath.Join(f.TempDir(), "image.gguf")
	plan := func(b []byte) error {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			return err
		}
		s, err := openSource(path, Options{VisionOnly: true})
		if err != nil {
			return err
		}
		defer s.Close()
		_, err = makePlan(s, policy)
		return err
	}
	require.NoError(f, plan(tinyHalf(f)))
	f.Add(tinyHalf(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := plan(b); err != nil {
			require.NotContains(t, err.Error(), "\n")
		}
	})
}
