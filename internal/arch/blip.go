package arch

import (
	"fmt"

	"github.com/clipgo/clipgo/internal/program"
)

// BLIP: a ViT with packed QKV and a BERT. Two kinds of checkpoints carry the type: BlipModel, whose class row is normalised
// twice and whose text goes through a pooler, and BlipForImageTextRetrieval, of which the contrastive path is read: plain
// cosines, without a scale (modeling_blip.py of 5.23).

var blipFamily = &Family{
	Type:     "blip",
	Examples: "Salesforce/blip-itm-base-coco",
	Read:     readBLIP,
	Tables:   blipTables,
	Scalar:   clipFamily.Scalar,
	Ignore: append([]Ignore{
		{"text_model.embeddings.position_ids", "a buffer of 0, 1, 2, ..."},
		{"text_encoder.embeddings.position_ids", "a buffer of 0, 1, 2, ..."},
		{"itm_head.weight", "of the matching head, which reads picture and text together"},
		{"itm_head.bias", "of the matching head, which reads picture and text together"},
	}, append(ignoreCrossAttention("text_model."), ignoreCrossAttention("text_encoder.")...)...),
	Resize: resizeBLIP,
}

// ignoreCrossAttention lists the layers of a BERT that look at the picture.
func ignoreCrossAttention(prefix string) []Ignore {
	var all []Ignore
	for _, layer := range []string{"self.query", "self.key", "self.value", "output.dense", "output.LayerNorm"} {
		for _, kind := range []string{"weight", "bias"} {
			all = append(all, Ignore{prefix + "encoder.layer.{n}.crossattention." + layer + "." + kind,
				"the contrastive path doesn't look at the picture while it reads the text"})
		}
	}
	return all
}

func readBLIP(c *Config) (*Model, error) {
	retrieval := false
	switch name := architectureOf(c, "BlipModel"); name {
	case "BlipModel":
	case "BlipForImageTextRetrieval":
		retrieval = true
	default:
		c.Fail("architectures", "is %q, expected BlipModel or BlipForImageTextRetrieval: others have no embeddings of pictures and texts", name)
	}
	text, vision := c.Object("text_config"), c.Object("vision_config")
	projection := c.Int("projection_dim", 512)
	if retrieval {
		projection = c.Int("image_text_hidden_size", 256)
	}
	m := &Model{
		Variant:  "retrieval",
		Score:    Softmax,
		Template: DefaultTemplate,
		Text:     readBERT(text, projection),
		Vision:   readBLIPVision(vision, projection, 768, 3072, 12, 12, 384, 16, 1e-5),
	}
	m.Text.Vocab = text.Int("vocab_size", 30524)
	m.Text.Heads = text.Int("num_attention_heads", 8)
	if !retrieval {
		m.Variant = ""
		m.LogitScale = float32(c.Float("logit_scale_init_value", 2.6592))
		m.Text.Pooler, m.Text.PoolerAct = m.Text.Width, program.ActTanh
		m.Vision.NormTwice = true
	}
	return m, c.Err()
}

// resizeBLIP makes the model take pictures with fewer patches: transformers gives these the first of the positions.
func resizeBLIP(m *Model, picture Size) error {
	v := m.Vision
	if have, most := v.grid(picture).Area(), v.Grid().Area(); have > most || have == 0 {
		return fmt.Errorf("%d patches of %d pixels, but the image tower has positions for %d", have, v.Patch, most)
	}
	v.Trained, v.Image = v.Image, picture
	return nil
}

// readBLIPVision reads the image tower of BLIP or BLIP-2, whose class defaults differ.
func readBLIPVision(c *Config, projection, width, ffn, layers, heads, image, patch int, eps float64) *Vision {
	return &Vision{
		Tower: Tower{
			Width:      c.Int("hidden_size", width),
			Layers:     c.Int("num_hidden_layers", layers),
			Heads:      c.Int("num_attention_heads", heads),
			FFN:        c.Int("intermediate_size", ffn),
			Eps:        float32(c.Float("layer_norm_eps", eps)),
			Act:        activation(c, "hidden_act", "gelu"),
			Projection: projection,
			Pooling:    PoolFirst,
		},
		Image: Square(c.Int("image_size", image)),
		Patch: c.Int("patch_size", patch),
	}
}

func blipTables(m *Model) []Table {
	var tables []Table
	if m.Vision != nil {
		tables = append(tables, blipVisionTable(m.Vision,
			Row{Source: "visual_projection.weight vision_proj.weight", Name: "visual_projection.weight", Dims: "width projection"},
			Row{Source: "vision_proj.bias", Name: "visual_projection.bias", Dims: "projection", Optional: m.Variant == ""}))
	}
	if m.Text != nil {
		source, more := "text_model.", []Row{
			{Source: "text_model.pooler.dense.weight", Name: "t.pooler.weight", Dims: "width width"},
			{Source: "text_model.pooler.dense.bias", Name: "t.pooler.bias", Dims: "width"},
			{Source: "text_projection.weight", Name: "text_projection.weight", Dims: "width projection"},
		}
		if m.Variant == "retrieval" {
			source, more = "text_encoder.", []Row{
				{Source: "text_proj.weight", Name: "text_projection.weight", Dims: "width projection"},
				{Source: "text_proj.bias", Name: "text_projection.bias", Dims: "projection"},
			}
		}
		tables = append(tables, bertTable(m.Text, source, more...))
	}
	return tables
}

func blipVisionTable(v *Vision, more ...Row) Table {
	const block = "vision_model.encoder.layers.{n}."
	table := Table{
		Blocks: v.Layers,
		Sizes:  v.sizes(map[string]int{"patch": v.Patch, "positions": v.Grid().Area() + 1}),
		Rows: append([]Row{
			{Source: "vision_model.embeddings.class_embedding", Name: "v.class_embd", Dims: "width"},
			{Source: "vision_model.embeddings.patch_embedding.weight", Name: "v.patch_embd.weight", Dims: "patch patch 3 width"},
			{Source: "vision_model.embeddings.patch_embedding.bias", Name: "v.patch_embd.bias", Dims: "width"},
			{Source: "vision_model.embeddings.position_embedding", Name: "v.position_embd.weight", Dims: "width positions", Head: v.Trained != (Size{})},
			{Source: "vision_model.post_layernorm.weight", Name: "v.post_ln.weight", Dims: "width"},
			{Source: "vision_model.post_layernorm.bias", Name: "v.post_ln.bias", Dims: "width"},
		}, more...),
	}
	bias := block + "self_attn.qkv.bias"
	if v.NoQKVBias {
		bias = ""
	}
	table.Rows = append(table.Rows, packedRows(block+"self_attn.qkv.weight", bias, "v.blk.{n}.")...)
	table.Rows = append(table.Rows, rows(block, "v.blk.{n}.",
		part{"self_attn.projection", "attn_out", "width width", "width"},
		part{"layer_norm1", "ln1", "width", "width"},
		part{"layer_norm2", "ln2", "width", "width"},
		part{"mlp.fc1", "ffn_up", "width ffn", "ffn"},
		part{"mlp.fc2", "ffn_down", "ffn width", "width"})...)
	return table
}
