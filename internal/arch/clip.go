package arch

// CLIP as transformers writes it (configuration_clip.py, modeling_clip.py of 5.23).

var clipFamily = &Family{
	Type:     "clip",
	Examples: "openai/clip-vit-base-patch32, laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
	Read:     readCLIP,
	Tables:   clipTables,
	Scalar: map[string]func(*Model, float32){
		"logit_scale": func(m *Model, v float32) { m.LogitScale = v },
	},
	Ignore: positionBuffers,
}

// positionBuffers are saved by old versions of transformers.
var positionBuffers = []Ignore{
	{"text_model.embeddings.position_ids", "a buffer of 0, 1, 2, ..."},
	{"vision_model.embeddings.position_ids", "a buffer of 0, 1, 2, ..."},
}

// towerConfig returns the settings of a tower. Files of 2021 and 2022 carry them in *_config_dict, which overrides *_config.
func towerConfig(c *Config, key string) *Config {
	return c.Object(key).Overlay(c.Object(key + "_dict"))
}

// readCLIP reads config.json, where a missing field means the class's default.
func readCLIP(c *Config) (*Model, error) {
	text := towerConfig(c, "text_config")
	vision := towerConfig(c, "vision_config")
	projection := c.Int("projection_dim", 512)
	m := &Model{
		LogitScale: float32(c.Float("logit_scale_init_value", 2.6592)),
		Score:      Softmax,
		Template:   DefaultTemplate,
		Text:       readCLIPText(text, projection),
		Vision:     readCLIPVision(vision, projection),
	}
	return m, c.Err()
}

func readCLIPText(c *Config, projection int) *Text {
	t := &Text{
		Tower: Tower{
			Width:      c.Int("hidden_size", 512),
			Layers:     c.Int("num_hidden_layers", 12),
			Heads:      c.Int("num_attention_heads", 8),
			FFN:        c.Int("intermediate_size", 2048),
			Eps:        float32(c.Float("layer_norm_eps", 1e-5)),
			Act:        activation(c, "hidden_act", "quick_gelu"),
			Projection: projection,
			Pooling:    PoolEOS,
		},
		Vocab:       c.Int("vocab_size", 49408),
		Context:     c.Int("max_position_embeddings", 77),
		Causal:      true,
		EmbedFactor: 1,
		EOS:         int32(c.Int("eos_token_id", 49407)),
	}
	// modeling_clip.py: files of before 2023 say 2, which no token is pooled at.
	if t.EOS == 2 {
		t.Pooling = PoolArgmax
	}
	return t
}

func readCLIPVision(c *Config, projection int) *Vision {
	if n := c.Int("num_channels", 3); n != 3 {
		c.Fail("num_channels", "is %d, expected 3", n)
	}
	return &Vision{
		Tower: Tower{
			Width:      c.Int("hidden_size", 768),
			Layers:     c.Int("num_hidden_layers", 12),
			Heads:      c.Int("num_attention_heads", 12),
			FFN:        c.Int("intermediate_size", 3072),
			Eps:        float32(c.Float("layer_norm_eps", 1e-5)),
			Act:        activation(c, "hidden_act", "quick_gelu"),
			Projection: projection,
			Pooling:    PoolFirst,
		},
		Image: Square(c.Int("image_size", 224)),
		Patch: c.Int("patch_size", 32),
	}
}

func clipTables(m *Model) []Table {
	var tables []Table
	if m.Vision != nil {
		tables = append(tables, clipVisionTable(m.Vision))
	}
	if m.Text != nil {
		tables = append(tables, clipTextTable(m.Text))
	}
	return tables
}

func clipVisionTable(v *Vision) Table {
	return Table{
		Blocks: v.Layers,
		Sizes:  v.sizes(map[string]int{"patch": v.Patch, "positions": v.Grid().Area() + 1}),
		Rows: append([]Row{
			{Source: "vision_model.embeddings.class_embedding", Name: "v.class_embd", Dims: "width"},
			{Source: "vision_model.embeddings.patch_embedding.weight", Name: "v.patch_embd.weight", Dims: "patch patch 3 width"},
			positionRow(v, "vision_model.embeddings.position_embedding.weight", 1, bicubicTaps),
			{Source: "vision_model.pre_layrnorm.weight", Name: "v.pre_ln.weight", Dims: "width"}, // sic
			{Source: "vision_model.pre_layrnorm.bias", Name: "v.pre_ln.bias", Dims: "width"},
			{Source: "vision_model.post_layernorm.weight", Name: "v.post_ln.weight", Dims: "width"},
			{Source: "vision_model.post_layernorm.bias", Name: "v.post_ln.bias", Dims: "width"},
			{Source: "visual_projection.weight", Name: "visual_projection.weight", Dims: "width projection"},
		}, blockRows("vision_model.encoder.layers.{n}.", "v.blk.{n}.")...),
	}
}

func clipTextTable(t *Text) Table {
	return Table{
		Blocks: t.Layers,
		Sizes:  t.sizes(map[string]int{"vocab": t.Vocab, "context": t.Context}),
		Rows: append([]Row{
			{Source: "text_model.embeddings.token_embedding.weight", Name: "t.token_embd.weight", Dims: "width vocab"},
			{Source: "text_model.embeddings.position_embedding.weight", Name: "t.position_embd.weight", Dims: "width context"},
			{Source: "text_model.final_layer_norm.weight", Name: "t.post_ln.weight", Dims: "width"},
			{Source: "text_model.final_layer_norm.bias", Name: "t.post_ln.bias", Dims: "width"},
			{Source: "text_projection.weight", Name: "text_projection.weight", Dims: "width projection"},
		}, blockRows("text_model.encoder.layers.{n}.", "t.blk.{n}.")...),
	}
}
