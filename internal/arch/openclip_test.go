package arch

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/internal/jsonconf"
	"github.com/clipgo/clipgo/internal/program"
)

func TestOpenCLIPDefaults(t *testing.T) {
	m := readModel(t, OpenCLIP, `{"embed_dim": 512, "vision_cfg": {"image_size": 224, "layers": 12, "width": 768, "patch_size": 32},
		"text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12}}`)
	assert.Equal(t, 12, m.Vision.Heads)
	assert.Equal(t, 3072, m.Vision.FFN)
	assert.Equal(t, PoolFirst, m.Vision.Pooling)
	assert.Equal(t, PoolArgmax, m.Text.Pooling)
	assert.True(t, m.Text.Causal)
	assert.Equal(t, program.ActGELU, m.Text.Act)
	assert.Equal(t, Softmax, m.Score)
	names := tensorNames(OpenCLIP, m)
	assert.Contains(t, names, "v.pre_ln.weight")
	assert.NotContains(t, names, "v.blk.0.ls1.weight")
	assert.NotContains(t, names, dropClass)
}

func TestOpenCLIPOptions(t *testing.T) {
	m := readModel(t, OpenCLIP, `{"embed_dim": 40, "quick_gelu": true, "custom_text": true, "init_logit_bias": -10,
		"vision_cfg": {"image_size": [56, 56], "layers": 3, "width": 96, "head_width": 48, "patch_size": 14, "ls_init_value": 0.5,
			"pool_type": "avg", "final_ln_after_pool": true, "no_ln_pre": true, "norm_kwargs": {"eps": 1e-6}},
		"text_cfg": {"context_length": 32, "width": 32, "heads": 1, "layers": 3, "no_causal_mask": true, "pool_type": "last",
			"proj_bias": true, "ls_init_value": 0.5}}`)
	assert.Equal(t, 2, m.Vision.Heads)
	assert.Equal(t, PoolPatches, m.Vision.Pooling)
	assert.True(t, m.Vision.NormAfterPool)
	assert.Equal(t, float32(1e-6), m.Vision.Eps)
	assert.Equal(t, program.ActQuickGELU, m.Vision.Act)
	assert.Equal(t, program.ActQuickGELU, m.Text.Act)
	assert.Equal(t, PoolLast, m.Text.Pooling)
	assert.False(t, m.Text.Causal)
	assert.Equal(t, float32(-10), m.LogitBias)
	assert.Equal(t, Sigmoid, m.Score)
	names := tensorNames(OpenCLIP, m)
	assert.NotContains(t, names, "v.pre_ln.weight")
	for _, name := range []string{dropClass, "v.blk.2.ls2.weight", "t.blk.2.ls1.weight", "text_projection.bias"} {
		assert.Contains(t, names, name)
	}
}

func TestOpenCLIPCoCa(t *testing.T) {
	const config = `{"embed_dim": %s, "custom_text": true, "vision_cfg": {"image_size": 64, "layers": 1, "width": 64,
		"attentional_pool": true, "attn_pooler_heads": 2}, "text_cfg": {"context_length": 76, "embed_cls": true, "layers": 1}}`
	for _, c := range []struct{ width, key string }{
		{"48", "visual.attn_pool.attn.k_proj_weight"},
		{"64", "visual.attn_pool.attn.in_proj_weight"},
	} {
		m := readModel(t, OpenCLIP, fmt.Sprintf(config, c.width))
		assert.Equal(t, PoolAttention, m.Vision.Pooling)
		assert.Equal(t, PoolAppended, m.Text.Pooling)
		assert.Equal(t, 49409, m.Text.Vocab, "the class token has an id of its own")
		for _, tensor := range OpenCLIP.Tensors(m) {
			switch tensor.Name {
			case "v.head.attn_k.weight":
				assert.Equal(t, []string{c.key}, tensor.Sources)
			case "t.position_embd.weight":
				assert.Equal(t, []uint64{512, 77}, tensor.Dims)
			}
		}
	}
}

func TestOpenCLIPTransposes(t *testing.T) {
	row := transposed("visual.proj", "visual_projection.weight", "width", "projection", map[string]int{"width": 2, "projection": 3})
	assert.Equal(t, "width projection", row.Dims)
	assert.Equal(t, "projection width", row.From)
	assert.Equal(t, []float32{1, 4, 2, 5, 3, 6}, row.Make([]float32{1, 2, 3, 4, 5, 6}))
}

func TestOpenCLIPSigLIPByName(t *testing.T) {
	m := readModel(t, OpenCLIP, `{"embed_dim": 1152, "init_logit_bias": -10, "custom_text": true, "vision_cfg": {"image_size": 384,
		"timm_model_name": "vit_so400m_patch14_siglip_384", "timm_pool": "map", "timm_proj": "none"},
		"text_cfg": {"context_length": 64, "vocab_size": 32000, "width": 1152, "heads": 16, "layers": 27, "mlp_ratio": 3.7362,
		"no_causal_mask": true, "proj_bias": true, "pool_type": "last"}}`)
	v := m.Vision
	assert.Equal(t, [...]int{384, 14, 27, 4304}, [...]int{v.Image.H, v.Patch, v.Layers, v.FFN})
	assert.Equal(t, v.FFN, m.Text.FFN)
	for _, tensor := range OpenCLIP.Tensors(m) {
		if tensor.Name == "v.position_embd.weight" {
			assert.Equal(t, []uint64{1152, 27 * 27}, tensor.Dims)
		}
	}
}

// The activations of timm 1.0.31's vit_*_siglip_* (vision_transformer.py: act_layer='gelu_tanh', or none).
func TestSigLIPActivations(t *testing.T) {
	for name, want := range map[string]program.Activation{
		"vit_base_patch32_siglip_256 768":      program.ActGELUTanh,
		"vit_base_patch16_siglip_224 768":      program.ActGELU,
		"vit_base_patch16_siglip_512 768":      program.ActGELU,
		"vit_large_patch16_siglip_384 1024":    program.ActGELU,
		"vit_large_patch16_siglip_512 1024":    program.ActGELUTanh,
		"vit_so400m_patch14_siglip_378 1152":   program.ActGELU,
		"vit_so400m_patch16_siglip_256 1152":   program.ActGELUTanh,
		"vit_giantopt_patch16_siglip_384 1536": program.ActGELUTanh,
	} {
		timm, width, _ := strings.Cut(name, " ")
		m := readModel(t, OpenCLIP, fmt.Sprintf(`{"embed_dim": %s, "custom_text": true, "vision_cfg": {"timm_model_name": %q, "timm_pool": "map",
			"timm_proj": "none"}, "text_cfg": {"width": %s, "no_causal_mask": true}}`, width, timm, width))
		assert.Equal(t, want, m.Vision.Act, timm)
	}
}

func TestOpenCLIPRefuses(t *testing.T) {
	timm := func(name string) string { return fmt.Sprintf(`{"vision_cfg": {"timm_model_name": "%s"}}`, name) }
	for _, c := range []struct{ config, want string }{
		{timm("eva02_base_patch16_clip_224"), "EVA02"},
		{timm("fastvit_mci2"), "MobileCLIP"},
		{timm("vit_base_mci_224"), "MobileCLIP"},
		{timm("convnext_base"), "ConvNeXt"},
		{timm("vit_pe_core_base_patch16_224"), "PE-Core"},
		{timm("vitamin_large_224"), "ViTamin"},
		{timm("vit_medium_patch16_gap_256"), "can't be read yet"},
		{`{"vision_cfg": {"layers": [3, 4, 6, 3]}}`, "ModifiedResNet"},
		{`{"vision_cfg": {"image_size": [224, 336, 3]}}`, "vision_cfg.image_size"},
		{`{"vision_cfg": {"patch_size": [14, 16]}}`, "vision_cfg.patch_size"},
		{`{"vision_cfg": {"pool_type": "none"}}`, "vision_cfg.pool_type"},
		{`{"vision_cfg": {"qk_norm": true}}`, "vision_cfg.qk_norm"},
		{`{"vision_cfg": {"attentional_pool": "parallel"}}`, "vision_cfg.attentional_pool"},
		{`{"text_cfg": {"hf_model_name": "xlm-roberta-base"}}`, "xlm-roberta-base"},
		{`{"text_cfg": {"pool_type": "first"}}`, "text_cfg.pool_type"},
		{`{"text_cfg": {"embed_cls": true}}`, "custom_text"},
		{`{"text_cfg": {"act_kwargs": {"approximate": "x"}}}`, "act_kwargs"},
		{`{"vision_cfg": {"head_width": 0}}`, "vision_cfg.head_width"},
	} {
		p, err := jsonconf.Parse("open_clip_config.json", []byte(c.config))
		require.NoError(t, err)
		m, err := OpenCLIP.Read(p)
		if err == nil {
			err = m.Validate()
		}
		assert.ErrorContains(t, err, c.want, c.config)
	}
}
