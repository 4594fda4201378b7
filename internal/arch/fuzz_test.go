package arch

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/jsonconf"
)

// tiny are configurations of small models of every kind of tower.
var tiny = []struct {
	family *Family
	config string
}{
	{clipFamily, `{"projection_dim": 4, "text_config": {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
		"intermediate_size": 8, "vocab_size": 16, "max_position_embeddings": 8}, "vision_config": {"hidden_size": 8,
		"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "image_size": 8, "patch_size": 4}}`},
	{siglipFamily, `{"text_config": {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8,
		"vocab_size": 16}, "vision_config": {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
		"intermediate_size": 8, "image_size": 8, "patch_size": 4}}`},
	{siglip2Family, `{"text_config": {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8,
		"vocab_size": 16}, "vision_config": {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
		"intermediate_size": 8, "num_patches": 4, "patch_size": 4}}`},
	{tipsv2Family, `{"text_config": {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8,
		"vocab_size": 16}, "vision_config": {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
		"use_swiglu_ffn": true, "image_size": 8, "patch_size": 4}}`},
	{blip2Family, `{"image_text_hidden_size": 4, "num_query_tokens": 3, "qformer_config": {"hidden_size": 8,
		"num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 16, "max_position_embeddings": 8},
		"vision_config": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8,
		"image_size": 8, "patch_size": 4}}`},
	{alignFamily, `{"projection_dim": 8, "text_config": {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
		"intermediate_size": 8, "vocab_size": 16, "max_position_embeddings": 8}, "vision_config": {"image_size": 9,
		"width_coefficient": 0.25, "depth_coefficient": 1, "in_channels": [32, 16], "out_channels": [16, 24],
		"kernel_sizes": [3, 5], "strides": [1, 2], "num_block_repeats": [1, 2], "expand_ratios": [1, 6]}}`},
	{OpenCLIP, `{"embed_dim": 4, "vision_cfg": {"image_size": [8, 8], "layers": 1, "width": 8, "head_width": 4, "patch_size": 4,
		"pool_type": "avg", "ls_init_value": 1}, "text_cfg": {"context_length": 8, "vocab_size": 16, "width": 8, "heads": 2,
		"layers": 1, "no_causal_mask": true, "pool_type": "last", "proj_bias": true}}`},
	{OpenCLIP, `{"embed_dim": 4, "custom_text": true, "vision_cfg": {"image_size": 8, "layers": 1, "width": 8, "head_width": 4,
		"patch_size": 4, "attentional_pool": true, "attn_pooler_heads": 2}, "text_cfg": {"context_length": 8, "vocab_size": 16,
		"width": 8, "heads": 2, "layers": 1, "embed_cls": true}}`},
}

// tinyFile writes the i-th of tiny with weights of zeros.
func tinyFile(t testing.TB, i int) []byte {
	config, err := jsonconf.Parse("config.json", []byte(tiny[i].config))
	require.NoError(t, err)
	m, err := tiny[i].family.Read(config)
	require.NoError(t, err)
	require.NoError(t, m.Validate())
	m.Family = tiny[i].family.Type
	w := gguf.NewWriter()
	require.NoError(t, m.WriteKeys(w))
	for _, tensor := range tiny[i].family.Tensors(m) {
		require.NoError(t, w.AddTensor(tensor.Name, gguf.F32, tensor.Dims))
	}
	var b bytes.Buffer
	require.NoError(t, w.Write(&b, func(info gguf.TensorInfo, w io.Writer) error {
		_, err := w.Write(make([]byte, 4*info.Elements()))
		return err
	}))
	return b.Bytes()
}

// TestTowersCompile reads what was written and compiles both towers.
func TestTowersCompile(t *testing.T) {
	for i, c := range tiny {
		data := tinyFile(t, i)
		f, err := gguf.NewReader(bytes.NewReader(data), int64(len(data)), "tiny.gguf")
		require.NoError(t, err)
		m, err := ReadKeys(f)
		require.NoError(t, err, c.family.Type)
		_, err = m.ImageProgram(f)
		require.NoError(t, err, c.family.Type)
		_, err = m.TextProgram(f)
		require.NoError(t, err, c.family.Type)
		w := gguf.NewWriter()
		require.NoError(t, m.WriteKeys(w), "what was read can be written again")
	}
}

// FuzzModel reads files whose keys and tensors may be anything.
func FuzzModel(f *testing.F) {
	for i := range tiny {
		f.Add(tinyFile(f, i))
	}
	f.Fuzz(func(_ *testing.T, data []byte) {
		file, err := gguf.NewReader(bytes.NewReader(data), int64(len(data)), "fuzz.gguf")
		if err != nil {
			return
		}
		m, err := ReadKeys(file)
		if err != nil {
			return
		}
		if m.Vision != nil {
			_, _ = m.ImageProgram(file)
		}
		if m.Text != nil {
			_, _ = m.TextProgram(file)
		}
	})
}

// FuzzConfig reads configurations as every family does.
func FuzzConfig(f *testing.F) {
	for _, c := range tiny {
		f.Add([]byte(c.config))
	}
	all := []*Family{OpenCLIP}
	for _, family := range families {
		all = append(all, family)
	}
	f.Fuzz(func(_ *testing.T, data []byte) {
		for _, family := range all {
			c, err := jsonconf.Parse("config.json", data)
			if err != nil {
				return
			}
			m, err := family.Read(c)
			if err == nil && m.Validate() == nil {
				family.Tensors(m)
			}
		}
	})
}
