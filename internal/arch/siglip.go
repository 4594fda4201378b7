package arch

import "fmt"

// SigLIP, and SigLIP 2 of fixed resolution, which carries the same type (modeling_siglip.py of 5.23).

var (
	siglipFamily = &Family{Type: "siglip", Examples: "google/siglip-base-patch16-224, google/siglip2-base-patch16-224",
		Read: readSigLIP, Tables: siglipTables, Scalar: siglipScalars, Ignore: positionBuffers,
		Resize: resizeSigLIP}
	siglip2Family = &Family{Type: "siglip2", Examples: "google/siglip2-base-patch16-naflex",
		Read: readSigLIP2, Tables: siglipTables, Scalar: siglipScalars, Ignore: positionBuffers}
)

var siglipScalars = map[string]func(*Model, float32){
	"logit_scale": func(m *Model, v float32) { m.LogitScale = v },
	"logit_bias":  func(m *Model, v float32) { m.LogitBias = v },
}

func readSigLIP(c *Config) (*Model, error) {
	text, vision := c.Object("text_config"), c.Object("vision_config")
	m := &Model{
		Score:    Sigmoid,
		Template: DefaultTemplate,
		Text: &Text{
			Tower:       siglipTower(text),
			Vocab:       text.Int("vocab_size", 32000),
			Context:     text.Int("max_position_embeddings", 64),
			Masked:      true, // where the tokeniser gives a mask; those of the public checkpoints don't
			EmbedFactor: 1,
		},
		Vision: &Vision{
			Tower: siglipTower(vision),
			Image: Square(vision.Int("image_size", 224)),
			Patch: vision.Int("patch_size", 16),
		},
	}
	m.Text.Pooling = PoolLast
	m.Text.Projection = text.Int("projection_size", m.Text.Width)
	m.Vision.Pooling = PoolMAP
	m.Vision.Projection = m.Vision.Width
	if !vision.Bool("vision_use_head", true) {
		vision.Fail("vision_use_head", "is false: such a tower gives no embedding of a picture")
	}
	return m, c.Err()
}

// resizeSigLIP makes the model take pictures of another shape with as many patches: transformers gives these the positions row by
// row.
func resizeSigLIP(m *Model, picture Size) error {
	v := m.Vision
	if have, want := v.grid(picture).Area(), v.Grid().Area(); have != want {
		return fmt.Errorf("%d patches of %d pixels, but the image tower has positions for %d", have, v.Patch, want)
	}
	v.Image = picture
	return nil
}

// readSigLIP2 reads the NaFlex type, whose pictures keep their shape: positions are resized for each.
func readSigLIP2(c *Config) (*Model, error) {
	m, err := readSigLIP(c)
	if err != nil {
		return nil, err
	}
	v := c.Object("vision_config")
	m.Vision.NaFlex = true
	n := v.Int("num_patches", 256)
	side := 1
	for side*side < n {
		side++
	}
	if side*side != n {
		v.Fail("num_patches", "is %d, expected a square: the positions' grid", n)
	}
	m.Vision.Image = Square(side * m.Vision.Patch)
	return m, c.Err()
}

func siglipTower(c *Config) Tower {
	return Tower{
		Width:  c.Int("hidden_size", 768),
		Layers: c.Int("num_hidden_layers", 12),
		Heads:  c.Int("num_attention_heads", 12),
		FFN:    c.Int("intermediate_size", 3072),
		Eps:    float32(c.Float("layer_norm_eps", 1e-6)),
		Act:    activation(c, "hidden_act", "gelu_pytorch_tanh"),
	}
}

func siglipTables(m *Model) []Table {
	var tables []Table
	if v := m.Vision; v != nil {
		patches := Row{Source: "vision_model.embeddings.patch_embedding.weight", Name: "v.patch_embd.weight", Dims: "patch patch 3 width"}
		if v.NaFlex {
			patches.Dims = "area width"
		}
		table := Table{
			Blocks: v.Layers,
			Sizes:  v.sizes(map[string]int{"patch": v.Patch, "area": 3 * v.Patch * v.Patch, "positions": v.Grid().Area()}),
			Rows: append([]Row{
				patches,
				{Source: "vision_model.embeddings.patch_embedding.bias", Name: "v.patch_embd.bias", Dims: "width"},
				{Source: "vision_model.embeddings.position_embedding.weight", Name: "v.position_embd.weight", Dims: "width positions"},
				{Source: "vision_model.post_layernorm.weight", Name: "v.post_ln.weight", Dims: "width"},
				{Source: "vision_model.post_layernorm.bias", Name: "v.post_ln.bias", Dims: "width"},
				{Source: "vision_model.head.probe", Name: "v.head.probe", Dims: "width"},
			}, blockRows("vision_model.encoder.layers.{n}.", "v.blk.{n}.")...),
		}
		table.Rows = append(table.Rows, rows("vision_model.head.", "v.head.",
			part{"attention.out_proj", "attn_out", "width width", "width"},
			part{"layernorm", "ln2", "width", "width"},
			part{"mlp.fc1", "ffn_up", "width ffn", "ffn"},
			part{"mlp.fc2", "ffn_down", "ffn width", "width"})...)
		table.Rows = append(table.Rows,
			packedRows("vision_model.head.attention.in_proj_weight", "vision_model.head.attention.in_proj_bias", "v.head.")...)
		tables = append(tables, table)
	}
	if t := m.Text; t != nil {
		tables = append(tables, Table{
			Blocks: t.Layers,
			Sizes:  t.sizes(map[string]int{"vocab": t.Vocab, "context": t.Context}),
			Rows: append([]Row{
				{Source: "text_model.embeddings.token_embedding.weight", Name: "t.token_embd.weight", Dims: "width vocab"},
				{Source: "text_model.embeddings.position_embedding.weight", Name: "t.position_embd.weight", Dims: "width context"},
				{Source: "text_model.final_layer_norm.weight", Name: "t.post_ln.weight", Dims: "width"},
				{Source: "text_model.final_layer_norm.bias", Name: "t.post_ln.bias", Dims: "width"},
				{Source: "text_model.head.weight", Name: "text_projection.weight", Dims: "width projection"},
				{Source: "text_model.head.bias", Name: "text_projection.bias", Dims: "projection"},
			}, blockRows("text_model.encoder.layers.{n}.", "t.blk.{n}.")...),
		})
	}
	return tables
}
