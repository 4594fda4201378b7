package arch

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestPublicConfigurations reads what the configurations of public checkpoints say, and looks at shapes that follow from it.
func TestPublicConfigurations(t *testing.T) {
	for _, c := range []struct {
		name   string
		family *Family
		config string
		shapes map[string][]uint64
	}{
		{"openai/clip-vit-base-patch32", clipFamily, `{"projection_dim": 512, "text_config_dict": null, "vision_config_dict": null,
			"text_config": {"hidden_size": 512, "num_attention_heads": 8, "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1, "temperature": 1.0},
			"vision_config": {"hidden_size": 768, "patch_size": 32, "torch_dtype": null}}`,
			map[string][]uint64{"v.position_embd.weight": {768, 50}, "t.position_embd.weight": {512, 77}, "t.token_embd.weight": {512, 49408}}},
		{"laion/CLIP-ViT-H-14-laion2B-s32B-b79K", clipFamily, `{"projection_dim": 1024,
			"text_config": {"hidden_act": "gelu", "hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16, "num_hidden_layers": 24},
			"vision_config": {"hidden_act": "gelu", "hidden_size": 1280, "intermediate_size": 5120, "num_attention_heads": 16, "num_hidden_layers": 32, "patch_size": 14}}`,
			map[string][]uint64{"v.blk.31.ffn_up.weight": {1280, 5120}, "t.blk.23.ffn_down.weight": {4096, 1024}, "v.position_embd.weight": {1280, 257}}},
		{"wkcn/TinyCLIP-ViT-8M-16-Text-3M-YFCC15M", clipFamily, `{"projection_dim": 512,
			"text_config": {"hidden_size": 256, "intermediate_size": 1024, "num_attention_heads": 4, "num_hidden_layers": 3, "hidden_act": "gelu"},
			"vision_config": {"hidden_size": 256, "intermediate_size": 1024, "num_attention_heads": 4, "num_hidden_layers": 10, "patch_size": 16, "hidden_act": "gelu"}}`,
			map[string][]uint64{"visual_projection.weight": {256, 512}, "v.position_embd.weight": {256, 197}}},
		{"facebook/metaclip-2-worldwide-huge-quickgelu", metaclip2Family, `{"projection_dim": 1024,
			"text_config": {"vocab_size": 901629, "eos_token_id": 2, "hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16, "num_hidden_layers": 24},
			"vision_config": {"hidden_size": 1280, "intermediate_size": 5120, "num_attention_heads": 16, "num_hidden_layers": 32, "patch_size": 14}}`,
			map[string][]uint64{"t.token_embd.weight": {1024, 901629}}},
		{"google/siglip-so400m-patch14-384", siglipFamily, `{"text_config": {"hidden_size": 1152, "intermediate_size": 4304, "num_attention_heads": 16, "num_hidden_layers": 27},
			"vision_config": {"hidden_size": 1152, "image_size": 384, "intermediate_size": 4304, "num_attention_heads": 16, "num_hidden_layers": 27, "patch_size": 14}}`,
			map[string][]uint64{"v.position_embd.weight": {1152, 27 * 27}, "v.head.ffn_up.weight": {1152, 4304}}},
		{"google/siglip2-giant-opt-patch16-256", siglipFamily, `{"text_config": {"hidden_size": 1152, "intermediate_size": 4304, "num_attention_heads": 16,
			"num_hidden_layers": 27, "projection_size": 1536, "vocab_size": 256000},
			"vision_config": {"hidden_size": 1536, "image_size": 256, "intermediate_size": 6144, "num_attention_heads": 16, "num_hidden_layers": 40}}`,
			map[string][]uint64{"text_projection.weight": {1152, 1536}, "t.token_embd.weight": {1152, 256000}}},
		{"google/siglip2-base-patch16-naflex", siglip2Family, `{"text_config": {"vocab_size": 256000}, "vision_config": {"num_patches": 256, "patch_size": 16}}`,
			map[string][]uint64{"v.patch_embd.weight": {768, 768}, "v.position_embd.weight": {768, 256}}},
		{"OFA-Sys/chinese-clip-vit-base-patch16", chineseCLIPFamily, `{"text_config": {"vocab_size": 21128, "model_type": "chinese_clip_text_model"},
			"vision_config": {"patch_size": 16}}`,
			map[string][]uint64{"t.token_embd.weight": {768, 21128}, "t.position_embd.weight": {768, 512}, "text_projection.weight": {768, 512}}},
		{"BAAI/AltCLIP", altCLIPFamily, `{"projection_dim": 768, "text_config": {"project_dim": 768, "pooler_fn": "cls"},
			"vision_config": {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16, "num_hidden_layers": 24, "patch_size": 14}}`,
			map[string][]uint64{"t.position_embd.weight": {1024, 513}, "t.pooler.weight": {1024, 768}, "t.token_embd.weight": {1024, 250002}}},
		{"CIDAS/clipseg-rd64-refined", clipSegFamily, `{"extract_layers": [3, 6, 9], "reduce_dim": 64, "text_config": {}, "vision_config": {"patch_size": 16}}`,
			map[string][]uint64{"v.position_embd.weight": {768, 197}}},
		{"kakaobrain/align-base", alignFamily, `{"text_config": {"model_type": "align_text_model"}, "vision_config": {"image_size": 289}}`,
			map[string][]uint64{"text_projection.weight": {768, 640}, "v.patch_embd.weight": {3, 3, 3, 64}}},
		{"Salesforce/blip-itm-base-coco", blipFamily, `{"architectures": ["BlipForImageTextRetrieval"], "image_text_hidden_size": 256,
			"text_config": {"num_attention_heads": 12, "encoder_hidden_size": 768}, "vision_config": {"image_size": 384}}`,
			map[string][]uint64{"t.token_embd.weight": {768, 30524}, "visual_projection.weight": {768, 256}, "v.position_embd.weight": {768, 577}}},
		{"Salesforce/blip2-itm-vit-g", blip2Family, `{"architectures": ["Blip2ForImageTextRetrieval"], "qformer_config": {"vocab_size": 30523},
			"vision_config": {}, "text_config": {"model_type": "opt"}}`,
			map[string][]uint64{"q.query_embd.weight": {768, 32}, "q.blk.10.cross_attn_k.weight": {1408, 768}, "v.blk.38.attn_q.bias": {1408}}},
		{"google/tipsv2-g14", tipsv2Family, `{"text_config": {"hidden_size": 1536, "intermediate_size": 6144, "num_attention_heads": 24},
			"vision_config": {"hidden_size": 1536, "num_attention_heads": 24, "num_hidden_layers": 40, "use_swiglu_ffn": true}}`,
			map[string][]uint64{"v.blk.0.ffn_gate.weight": {1536, 4096}, "v.position_embd.weight": {1536, 1025}}},
		{"apple/DFN5B-CLIP-ViT-H-14-378", OpenCLIP, `{"embed_dim": 1024, "quick_gelu": true,
			"vision_cfg": {"image_size": 378, "layers": 32, "width": 1280, "head_width": 80, "patch_size": 14},
			"text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 1024, "heads": 16, "layers": 24}}`,
			map[string][]uint64{"v.position_embd.weight": {1280, 730}, "visual_projection.weight": {1280, 1024}}},
	} {
		m := readModel(t, c.family, c.config)
		for name, dims := range c.shapes {
			assert.Equal(t, dims, tensorCalled(t, c.family, m, name).Dims, "%s: %s", c.name, name)
		}
	}
}
