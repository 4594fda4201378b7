package arch

// Chinese-CLIP: CLIP's image tower and a BERT, whose [CLS] row is projected (modeling_chinese_clip.py of 5.23; the pooler
// that some checkpoints hold is not used).

var chineseCLIPFamily = &Family{
	Type:     "chinese_clip",
	Examples: "OFA-Sys/chinese-clip-vit-base-patch16",
	Read:     readChineseCLIP,
	Tables:   chineseCLIPTables,
	Scalar:   clipFamily.Scalar,
	Ignore: append([]Ignore{
		{"text_model.pooler.dense.weight", "the [CLS] row is projected as it is"},
		{"text_model.pooler.dense.bias", "the [CLS] row is projected as it is"},
	}, positionBuffers...),
}

func readChineseCLIP(c *Config) (*Model, error) {
	text := towerConfig(c, "text_config")
	vision := towerConfig(c, "vision_config")
	projection := c.Int("projection_dim", 512)
	m := &Model{
		LogitScale: float32(c.Float("logit_scale_init_value", 2.6592)),
		Score:      Softmax,
		Template:   DefaultTemplate,
		Text:       readBERT(text, projection),
		Vision:     readCLIPVision(vision, projection),
	}
	return m, c.Err()
}

// readBERT reads a BERT that is pooled at its first row.
func readBERT(c *Config, projection int) *Text {
	return &Text{
		Tower: Tower{
			Width:      c.Int("hidden_size", 768),
			Layers:     c.Int("num_hidden_layers", 12),
			Heads:      c.Int("num_attention_heads", 12),
			FFN:        c.Int("intermediate_size", 3072),
			Eps:        float32(c.Float("layer_norm_eps", 1e-12)),
			Act:        activation(c, "hidden_act", "gelu"),
			Projection: projection,
			Pooling:    PoolFirst,
			PostNorm:   true,
		},
		Vocab:       c.Int("vocab_size", 30522),
		Context:     c.Int("max_position_embeddings", 512),
		Masked:      true,
		EmbedFactor: 1,
	}
}

// bertTable is the table of a BERT under source, without its projection. A text has one segment, so of the token types
// only the first counts.
func bertTable(t *Text, source string, more ...Row) Table {
	return Table{
		Blocks: t.Layers,
		Sizes:  t.sizes(map[string]int{"vocab": t.Vocab, "context": t.Context}),
		Rows: append(append([]Row{
			{Source: source + "embeddings.word_embeddings.weight", Name: "t.token_embd.weight", Dims: "width vocab"},
			{Source: source + "embeddings.position_embeddings.weight", Name: "t.position_embd.weight", Dims: "width context"},
			{Source: source + "embeddings.LayerNorm.weight", Name: "t.embd_ln.weight", Dims: "width"},
			{Source: source + "embeddings.LayerNorm.bias", Name: "t.embd_ln.bias", Dims: "width"},
		}, more...), bertRows(source+"encoder.layer.{n}.", "self", "t.blk.{n}.")...),
	}
}

func chineseCLIPTables(m *Model) []Table {
	var tables []Table
	if m.Vision != nil {
		tables = append(tables, clipVisionTable(m.Vision))
	}
	if m.Text != nil {
		tables = append(tables, bertTable(m.Text, "text_model.",
			Row{Source: "text_model.embeddings.token_type_embeddings.weight", Name: "t.token_type_embd.weight", Dims: "width 1", Head: true},
			Row{Source: "text_projection.weight", Name: "text_projection.weight", Dims: "width projection"}))
	}
	return tables
}
