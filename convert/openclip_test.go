package convert

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/arch"
	"github.com/clipgo/clipgo/internal/jsonconf"
)

const tinyOpenCLIP = `{"model_cfg": {"embed_dim": 4, "vision_cfg": {"image_size": 8, "layers": 1, "width": 8, "head_width": 4,
	"patch_size": 4}, "text_cfg": {"context_length": 8, "vocab_size": 16, "width": 8, "heads": 2, "layers": 1}},
	"preprocess_cfg": {"size": 8}}`

// sourceShapes are the shapes of all tensors of a checkpoint that a configuration describes.
func sourceShapes(t *testing.T, config string) map[string][]uint64 {
	c, err := jsonconf.Parse("open_clip_config.json", []byte(config))
	require.NoError(t, err)
	m, err := arch.OpenCLIP.Read(c.Object("model_cfg"))
	require.NoError(t, err)
	shapes := map[string][]uint64{"logit_scale": {}}
	for _, tensor := range arch.OpenCLIP.Tensors(m) {
		if n := len(tensor.Sources); n > 0 {
			shapes[tensor.Sources[n-1]] = reversed(tensor.From)
		}
	}
	return shapes
}

// writeOpenCLIP writes a checkpoint whose tensors count upwards from 0 in steps of 1/64.
func writeOpenCLIP(t *testing.T, config string, shapes map[string][]uint64) string {
	header, data := map[string]any{}, []byte{}
	for name, shape := range shapes {
		n := uint64(1)
		for _, d := range shape {
			n *= d
		}
		begin := len(data)
		for i := range n {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(i)/64))
		}
		header[name] = map[string]any{"dtype": "F32", "shape": shape, "data_offsets": []int{begin, len(data)}}
	}
	h, err := json.Marshal(header)
	require.NoError(t, err)
	dir := t.TempDir()
	file := append(binary.LittleEndian.AppendUint64(nil, uint64(len(h))), h...)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "open_clip_model.safetensors"), append(file, data...), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, openCLIPConfig), []byte(config), 0o644))
	return dir
}

func convertTo(t *testing.T, dir string, o Options) (*gguf.File, error) {
	out := filepath.Join(t.TempDir(), "out.gguf")
	if _, err := Convert(context.Background(), dir, out, o); err != nil {
		return nil, err
	}
	f, err := gguf.Open(out)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f, nil
}

func readFloats(t *testing.T, f *gguf.File, name string) []float32 {
	data, err := f.ReadTensor(name)
	require.NoError(t, err)
	x := make([]float32, len(data)/4)
	require.NoError(t, binary.Read(bytes.NewReader(data), binary.LittleEndian, x))
	return x
}

func TestOpenCLIPConverts(t *testing.T) {
	shapes := sourceShapes(t, tinyOpenCLIP)
	require.Equal(t, []uint64{8, 4}, shapes["visual.proj"])
	f, err := convertTo(t, writeOpenCLIP(t, tinyOpenCLIP, shapes), Options{Type: "F32"})
	require.NoError(t, err)
	projection := readFloats(t, f, "visual_projection.weight")
	for out := range 4 {
		for in := range 8 {
			require.Equal(t, float32(in*4+out)/64, projection[out*8+in], "visual.proj is [in, out]")
		}
	}
	k := readFloats(t, f, "v.blk.0.attn_k.weight")
	assert.Equal(t, float32(64)/64, k[0], "the second of three parts of the packed matrix")
	family, err := f.String("clip.family")
	require.NoError(t, err)
	assert.Equal(t, "open_clip", family)
}

func TestOpenCLIPLeavesTowersOut(t *testing.T) {
	dir := writeOpenCLIP(t, tinyOpenCLIP, sourceShapes(t, tinyOpenCLIP))
	f, err := convertTo(t, dir, Options{Type: "F32", VisionOnly: true})
	require.NoError(t, err)
	_, has := f.Tensor("t.token_embd.weight")
	assert.False(t, has)
	f, err = convertTo(t, dir, Options{Type: "F32", TextOnly: true})
	require.NoError(t, err)
	_, has = f.Tensor("v.class_embd")
	assert.False(t, has)
}

func TestOpenCLIPTensorsMustFit(t *testing.T) {
	for _, c := range []struct {
		what   string
		change func(shapes map[string][]uint64)
		want   string
	}{
		{"unknown", func(s map[string][]uint64) { s["visual.extra"] = []uint64{8} }, "visual.extra"},
		{"missing", func(s map[string][]uint64) { delete(s, "ln_final.weight") }, "ln_final.weight"},
		{"shape", func(s map[string][]uint64) { s["visual.proj"] = []uint64{4, 8} }, "visual.proj"},
		{"scale", func(s map[string][]uint64) { s["logit_scale"] = []uint64{2} }, "logit_scale"},
	} {
		shapes := sourceShapes(t, tinyOpenCLIP)
		c.change(shapes)
		_, err := convertTo(t, writeOpenCLIP(t, tinyOpenCLIP, shapes), Options{Type: "F32"})
		assert.ErrorContains(t, err, c.want, c.what)
	}
}

func TestOpenCLIPDecoderIsLeftOut(t *testing.T) {
	shapes := sourceShapes(t, tinyOpenCLIP)
	shapes["text_decoder.resblocks.0.ln_1.weight"] = []uint64{8}
	_, err := convertTo(t, writeOpenCLIP(t, tinyOpenCLIP, shapes), Options{Type: "F32"})
	assert.NoError(t, err)
}

func TestOpenCLIPErrors(t *testing.T) {
	for _, c := range []struct{ config, want string }{
		{`{}`, "model_cfg"},
		{`{"model_cfg": {"vision_cfg": {"timm_model_name": "convnext_base"}}}`, "ConvNeXt"},
		{`{"model_cfg": {"text_cfg": {"hf_tokenizer_name": "bert-base-uncased"}}}`, "bert-base-uncased"},
		{`{"model_cfg": {"text_cfg": {"tokenizer_kwargs": {"clean": "x"}}}}`, "clean"},
		{`{"model_cfg": {"vision_cfg": {"image_size": 8, "patch_size": 16}}}`, "patch_size"},
	} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, openCLIPConfig), []byte(c.config), 0o644))
		_, err := convertTo(t, dir, Options{})
		assert.ErrorContains(t, err, c.want, c.config)
	}
}

// TestWhichLayout: folders on the Hub often hold both layouts.
func TestWhichLayout(t *testing.T) {
	for _, c := range []struct {
		files []string
		want  bool
	}{
		{[]string{"config.json", "model.safetensors"}, false},
		{[]string{openCLIPConfig, "open_clip_model.safetensors"}, true},
		{[]string{openCLIPConfig, "model.safetensors"}, true},
		{[]string{openCLIPConfig, "open_clip_model.safetensors", "config.json"}, true},
		{[]string{openCLIPConfig, "open_clip_model.safetensors", "config.json", "model.safetensors"}, false},
		{[]string{openCLIPConfig, "open_clip_pytorch_model.bin", "config.json", "pytorch_model.bin"}, false},
	} {
		dir := t.TempDir()
		for _, name := range c.files {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
		}
		assert.Equal(t, c.want, preferOpenCLIP((&source{path: dir}).has), fmt.Sprint(c.files))
	}
}

// TestWeightsOfAnotherName: the only file of weights in a folder is taken whatever its name, as training writes it; of two, none.
func TestWeightsOfAnotherName(t *testing.T) {
	dir := writeOpenCLIP(t, tinyOpenCLIP, sourceShapes(t, tinyOpenCLIP))
	epoch := func(n int) string { return filepath.Join(dir, fmt.Sprintf("epoch_%d.safetensors", n)) }
	require.NoError(t, os.Rename(filepath.Join(dir, "open_clip_model.safetensors"), epoch(3)))
	_, err := convertTo(t, dir, Options{})
	require.NoError(t, err)

	data, err := os.ReadFile(epoch(3))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(epoch(4), data, 0o644))
	_, err = convertTo(t, dir, Options{})
	assert.ErrorContains(t, err, "there are no weights; expected open_clip_model.safetensors")
	assert.ErrorContains(t, err, "there are epoch_3.safetensors, epoch_4.safetensors: give the path of one")
	_, err = convertTo(t, epoch(3), Options{})
	assert.NoError(t, err)
}
