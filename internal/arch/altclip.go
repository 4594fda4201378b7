package arch

import "strings"

// AltCLIP: CLIP's image tower and XLM-R, whose normalised first row goes through a linear layer before the projection
// (modeling_altclip.py of 5.23).

var altCLIPFamily = &Family{
	Type:     "altclip",
	Examples: "BAAI/AltCLIP",
	Read:     readAltCLIP,
	Tables:   altCLIPTables,
	Scalar:   clipFamily.Scalar,
	Ignore: append([]Ignore{
		{"text_model.roberta.embeddings.position_ids", "a buffer of 0, 1, 2, ..."},
		{"text_model.roberta.embeddings.token_type_ids", "a buffer of zeros"},
		{"text_model.roberta.pooler.dense.weight", "the first row is taken as it is"},
		{"text_model.roberta.pooler.dense.bias", "the first row is taken as it is"},
	}, positionBuffers...),
}

func readAltCLIP(c *Config) (*Model, error) {
	text := towerConfig(c, "text_config")
	vision := towerConfig(c, "vision_config")
	projection := c.Int("projection_dim", 768)
	// Position pad_token_id is that of padding, and those of text follow; the rows before are left out of the file.
	pad := text.Int("pad_token_id", 1)
	m := &Model{
		LogitScale: float32(c.Float("logit_scale_init_value", 2.6592)),
		Score:      Softmax,
		Template:   DefaultTemplate,
		Vision:     readCLIPVision(vision, projection),
		Text: &Text{
			Tower: Tower{
				Width:      text.Int("hidden_size", 1024),
				Layers:     text.Int("num_hidden_layers", 24),
				Heads:      text.Int("num_attention_heads", 16),
				FFN:        text.Int("intermediate_size", 4096),
				Eps:        float32(text.Float("layer_norm_eps", 1e-5)),
				Act:        activation(text, "hidden_act", "gelu"),
				Projection: projection,
				Pooling:    PoolFirst,
				PostNorm:   true,
			},
			Vocab:        text.Int("vocab_size", 250002),
			Context:      text.Int("max_position_embeddings", 514) - pad - 1,
			PositionSkip: pad,
			Pad:          int32(pad),
			CountWords:   true,
			Masked:       true,
			EmbedFactor:  1,
			Pooler:       text.Int("project_dim", 768),
		},
	}
	return m, c.Err()
}

func altCLIPTables(m *Model) []Table {
	var tables []Table
	if m.Vision != nil {
		// Files saved by transformers 5.23 call the blocks of the image tower layer, not layers.
		tables = append(tables, withAlternative(clipVisionTable(m.Vision), ".layers.", ".layer."))
	}
	if t := m.Text; t != nil {
		tables = append(tables, Table{
			Blocks: t.Layers,
			Sizes:  t.sizes(map[string]int{"vocab": t.Vocab, "positions": t.positions(), "pooler": t.Pooler}),
			Rows: append([]Row{
				{Source: "text_model.roberta.embeddings.word_embeddings.weight", Name: "t.token_embd.weight", Dims: "width vocab"},
				{Source: "text_model.roberta.embeddings.position_embeddings.weight", Name: "t.position_embd.weight", Dims: "width positions", Skip: t.PositionSkip},
				{Source: "text_model.roberta.embeddings.token_type_embeddings.weight", Name: "t.token_type_embd.weight", Dims: "width 1", Head: true},
				{Source: "text_model.roberta.embeddings.LayerNorm.weight", Name: "t.embd_ln.weight", Dims: "width"},
				{Source: "text_model.roberta.embeddings.LayerNorm.bias", Name: "t.embd_ln.bias", Dims: "width"},
				{Source: "text_model.pre_LN.weight", Name: "t.post_ln.weight", Dims: "width"},
				{Source: "text_model.pre_LN.bias", Name: "t.post_ln.bias", Dims: "width"},
				{Source: "text_model.transformation.weight", Name: "t.pooler.weight", Dims: "width pooler"},
				{Source: "text_model.transformation.bias", Name: "t.pooler.bias", Dims: "pooler"},
				{Source: "text_projection.weight", Name: "text_projection.weight", Dims: "pooler projection"},
			}, bertRows("text_model.roberta.encoder.layer.{n}.", "self", "t.blk.{n}.")...),
		})
	}
	return tables
}

// withAlternative lets every source also be called what it is called with old replaced by new.
func withAlternative(t Table, old, new string) Table {
	for i := range t.Rows {
		if source := t.Rows[i].Source; strings.Contains(source, old) {
			t.Rows[i].Source = source + " " + strings.ReplaceAll(source, old, new)
		}
	}
	return t
}
