package arch

import "github.com/clipgo/clipgo/internal/program"

// BLIP-2's contrastive path, Blip2ForImageTextRetrieval: a Q-Former, whose learned queries look at the rows of a ViT, each of
// them an embedding of the picture; texts go through the same self-attention, with an MLP of their own. The greatest cosine
// counts, without a scale (modeling_blip_2.py of 5.23).

var blip2Family = &Family{
	Type:     "blip-2",
	Examples: "Salesforce/blip2-itm-vit-g",
	Read:     readBLIP2,
	Tables:   blip2Tables,
	Ignore: []Ignore{
		{"embeddings.position_ids", "a buffer of 0, 1, 2, ..."},
		{"itm_head.weight", "of the matching head, which reads picture and text together"},
		{"itm_head.bias", "of the matching head, which reads picture and text together"},
	},
	Resize: resizeBLIP,
}

func readBLIP2(c *Config) (*Model, error) {
	if name := architectureOf(c, "Blip2ForImageTextRetrieval"); name != "Blip2ForImageTextRetrieval" {
		c.Fail("architectures", "is %q, expected Blip2ForImageTextRetrieval: others have no embeddings of pictures and texts", name)
	}
	former, vision := c.Object("qformer_config"), c.Object("vision_config")
	projection := c.Int("image_text_hidden_size", 256)
	m := &Model{
		Score:    Softmax,
		Template: DefaultTemplate,
		Text:     readBERT(former, projection),
		Vision:   readBLIPVision(vision, projection, 1408, 6144, 39, 16, 224, 14, 1e-6),
	}
	m.Vision.NoQKVBias = !vision.Bool("qkv_bias", true)
	queries := &Queries{
		Tower:  m.Text.Tower,
		Tokens: c.Int("num_query_tokens", 32),
		Every:  former.Int("cross_attention_frequency", 2),
	}
	queries.Pooling = PoolNone
	m.Vision.Queries, m.Vision.Pooling = queries, PoolNone
	// With placeholders for the queries among the tokens, transformers drops as many ids from every text.
	if c.Has("image_token_index") {
		m.Text.Skip = queries.Tokens
	}
	return m, c.Err()
}

func blip2Tables(m *Model) []Table {
	const block = "qformer.encoder.layer.{n}."
	shared := rows(block+"attention.", "q.blk.{n}.",
		part{"attention.query", "attn_q", "width width", "width"},
		part{"attention.key", "attn_k", "width width", "width"},
		part{"attention.value", "attn_v", "width width", "width"},
		part{"output.dense", "attn_out", "width width", "width"},
		part{"output.LayerNorm", "ln1", "width", "width"})
	var tables []Table
	if v := m.Vision; v != nil {
		q := v.Queries
		former := Table{
			Blocks: q.Layers,
			Sizes:  q.sizes(map[string]int{"tokens": q.Tokens, "picture": v.Width}),
			Rows: append(append([]Row{
				{Source: "query_tokens", Name: "q.query_embd.weight", Dims: "width tokens"},
			}, rows("", "",
				part{"qformer.layernorm", "q.embd_ln", "width", "width"},
				part{"vision_projection", "visual_projection", "width projection", "projection"})...), shared...),
		}
		former.Rows = append(former.Rows, rows(block, "q.blk.{n}.",
			part{"intermediate_query.dense", "ffn_up", "width ffn", "ffn"},
			part{"output_query.dense", "ffn_down", "ffn width", "width"},
			part{"output_query.LayerNorm", "ln2", "width", "width"})...)
		for _, row := range rows(block+"crossattention.", "q.blk.{n}.cross_",
			part{"attention.query", "attn_q", "width width", "width"},
			part{"attention.key", "attn_k", "picture width", "width"},
			part{"attention.value", "attn_v", "picture width", "width"},
			part{"output.dense", "attn_out", "width width", "width"},
			part{"output.LayerNorm", "ln", "width", "width"}) {
			row.Every = q.Every
			former.Rows = append(former.Rows, row)
		}
		tables = append(tables, blipVisionTable(v), former)
	}
	if t := m.Text; t != nil {
		table := Table{
			Blocks: t.Layers,
			Sizes:  t.sizes(map[string]int{"vocab": t.Vocab, "context": t.Context}),
			Rows: append(append([]Row{
				{Source: "embeddings.word_embeddings.weight", Name: "t.token_embd.weight", Dims: "width vocab"},
				{Source: "embeddings.position_embeddings.weight", Name: "t.position_embd.weight", Dims: "width context"},
			}, rows("", "",
				part{"qformer.layernorm", "t.embd_ln", "width", "width"},
				part{"text_projection", "text_projection", "width projection", "projection"})...), shared...),
		}
		table.Rows = append(table.Rows, rows(block, "t.blk.{n}.",
			part{"intermediate.dense", "ffn_up", "width ffn", "ffn"},
			part{"output.dense", "ffn_down", "ffn width", "width"},
			part{"output.LayerNorm", "ln2", "width", "width"})...)
		tables = append(tables, table)
	}
	return tables
}

// queries compiles the Q-Former over the rows of the picture [batch, rows, width]: [batch, tokens, q.Width].
func (c *compiler) queries(picture int32, q *Queries) int32 {
	x := c.norm(c.rowsOf("q.query_embd.weight", q.Tokens, q.Width), "q.embd_ln", &q.Tower)
	all := mask{program.MaskNone, program.None}
	for i := 0; i < q.Layers && c.err == nil; i++ {
		p := block("q.", i)
		x = c.selfAttention(x, p, &q.Tower, all, nil)
		if i%q.Every == 0 {
			a := c.attend(x, picture, p+"cross_", &q.Tower, all, nil)
			x = c.linear(a, q.Width, q.Width, withResidual(x, program.None), p+"cross_attn_out")
			x = c.norm(x, p+"cross_ln", &q.Tower)
		}
		x = c.feedForward(x, p, &q.Tower)
	}
	return x
}
