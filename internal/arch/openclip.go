package arch

import "github.com/clipgo/clipgo/internal/program"

// open_clip's own towers: ViT and text transformer, CoCa's contrastive towers among them (model.py, transformer.py and
// coca_model.py of open_clip 3.3). Read is given the object model_cfg of open_clip_config.json.

// OpenCLIP is the family of checkpoints with an open_clip_config.json.
var OpenCLIP = &Family{
	Type:     "open_clip",
	Examples: "laion/CLIP-ViT-B-32-laion2B-s34B-b79K, timm/ViT-B-16-SigLIP, laion/CoCa-ViT-B-32-laion2B-s13B-b90k",
	Read:     readOpenCLIP,
	Tables:   openCLIPTables,
	Scalar: map[string]func(*Model, float32){
		"logit_scale": func(m *Model, v float32) { m.LogitScale = v },
		"logit_bias":  setSigmoid,
	},
	Ignore: []Ignore{
		{"attn_mask", "a buffer: the causal mask"},
		{"text.attn_mask", "a buffer: the causal mask"},
		{"input_resolution", "in OpenAI's archives: pixels, which the positions tell too"},
		{"context_length", "in OpenAI's archives: tokens, which the positions tell too"},
		{"vocab_size", "in OpenAI's archives: tokens, which the embedding tells too"},
	},
	IgnorePrefix: []Ignore{{"text_decoder.", "CoCa's decoder writes captions; plays no part in classification"}},
}

// setSigmoid sets the bias of a model that was trained with a sigmoid loss, the only ones that have a bias.
func setSigmoid(m *Model, bias float32) { m.LogitBias, m.Score = bias, Sigmoid }

func readOpenCLIP(c *Config) (*Model, error) {
	text, vision := c.Object("text_cfg"), c.Object("vision_cfg")
	projection := c.Int("embed_dim", 512)
	quick := c.Bool("quick_gelu", false)
	m := &Model{
		LogitScale: float32(c.Float("init_logit_scale", 2.6592600)), // ln(1/0.07)
		Score:      Softmax,
		Template:   DefaultTemplate,
		Text:       readOpenCLIPText(text, projection, quick),
	}
	if vision.Has("timm_model_name") {
		m.Vision = readTimm(vision, projection)
	} else {
		m.Vision = readOpenCLIPVision(vision, projection, quick)
	}
	if c.Has("init_logit_bias") {
		setSigmoid(m, float32(c.Float("init_logit_bias", 0)))
	}
	if text.Bool("embed_cls", false) && !c.Bool("custom_text", false) {
		text.Fail("embed_cls", "is set without custom_text, which open_clip can't compute")
	}
	return m, c.Err()
}

// openCLIPActivation is GELU, or with quick the sigmoid that OpenAI trained with.
func openCLIPActivation(c *Config, quick bool) program.Activation {
	if quick {
		return program.ActQuickGELU
	}
	switch name := c.Object("act_kwargs").String("approximate", "none"); name {
	case "none":
	case "tanh":
		return program.ActGELUTanh
	default:
		c.Fail("act_kwargs", "has approximate %q, expected none or tanh", name)
	}
	return program.ActGELU
}

// refuseCustomBlocks refuses the variants of a block that only experiments have used.
func refuseCustomBlocks(c *Config) {
	if name := c.String("block_type", ""); name != "" && name != "default" {
		c.Fail("block_type", "is %q, expected default", name)
	}
	for _, key := range []string{"qk_norm", "scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn", "scale_fc"} {
		if c.Bool(key, false) {
			c.Fail(key, "is true, which can't be computed yet")
		}
	}
}

func readOpenCLIPVision(c *Config, projection int, quick bool) *Vision {
	if c.IsList("layers") {
		c.Fail("layers", "is a list: the image tower is %s, which can't be read yet; convert a ViT", modifiedResNet)
		return &Vision{}
	}
	refuseCustomBlocks(c)
	width, headWidth := c.Int("width", 768), c.Int("head_width", 64)
	if headWidth < 1 {
		c.Fail("head_width", "is %d, expected a positive number", headWidth)
		return &Vision{}
	}
	v := &Vision{
		Tower: Tower{
			Width:      width,
			Layers:     c.Int("layers", 12),
			Heads:      width / headWidth,
			FFN:        int(float64(width) * c.Float("mlp_ratio", 4)),
			Eps:        float32(c.Object("norm_kwargs").Float("eps", 1e-5)),
			Act:        openCLIPActivation(c, quick),
			Projection: projection,
		},
		Image:         openCLIPSize(c, "image_size", 224),
		Patch:         openCLIPSize(c, "patch_size", 16).H,
		NormAfterPool: c.Bool("final_ln_after_pool", false),
		PreNorm:       !c.Bool("no_ln_pre", false),
		LayerScale:    c.Has("ls_init_value"),
	}
	if patch := openCLIPSize(c, "patch_size", 16); patch.H != patch.W {
		c.Fail("patch_size", "is %v, expected a square", patch)
	}
	pool := c.String("pool_type", "tok")
	switch pool {
	case "tok":
		v.Pooling = PoolFirst
	case "avg":
		v.Pooling = PoolPatches
	default:
		c.Fail("pool_type", "is %q, expected tok or avg: others give no single embedding of a picture", pool)
	}
	if c.Bool("attentional_pool", false) {
		readAttentionalPool(c, v, pool)
	}
	return v
}

// readAttentionalPool reads CoCa's pooler. Only the queries that become the embedding are kept: the first, or for a mean all
// others.
func readAttentionalPool(c *Config, v *Vision, pool string) {
	v.Pooling, v.NormAfterPool = PoolAttention, false
	v.HeadCount = c.Int("attn_pooler_heads", 8)
	v.HeadQueries = 1
	if pool == "avg" {
		v.HeadSkip, v.HeadQueries = 1, c.Int("attn_pooler_queries", 256)-1
	}
}

// openCLIPSize reads a number of pixels, or [height, width].
func openCLIPSize(c *Config, key string, def int) Size {
	if !c.IsList(key) {
		return Square(c.Int(key, def))
	}
	list := listOf(c, key)
	if len(list) != 2 {
		c.Fail(key, "is %v, expected a number, or height and width", list)
		return Square(def)
	}
	return Size{list[0], list[1]}
}

func readOpenCLIPText(c *Config, projection int, quick bool) *Text {
	if name := c.String("hf_model_name", ""); name != "" {
		c.Fail("hf_model_name", "is %q: %s; convert a model with open_clip's own", name, towersOfHF)
		return &Text{}
	}
	refuseCustomBlocks(c)
	width := c.Int("width", 512)
	t := &Text{
		Tower: Tower{
			Width:      width,
			Layers:     c.Int("layers", 12),
			Heads:      c.Int("heads", 8),
			FFN:        int(float64(width) * c.Float("mlp_ratio", 4)),
			Eps:        float32(c.Object("norm_kwargs").Float("eps", 1e-5)),
			Act:        openCLIPActivation(c, quick),
			Projection: projection,
		},
		Vocab:          c.Int("vocab_size", 49408),
		Context:        c.Int("context_length", 77),
		Causal:         !c.Bool("no_causal_mask", false),
		EmbedFactor:    1,
		EOS:            int32(c.Int("eos_id", 2)),
		LayerScale:     c.Has("ls_init_value"),
		ProjectionKind: projectionMatrix,
	}
	switch kind := c.String("proj_type", "linear"); {
	case kind == "none":
		t.ProjectionKind = projectionNone
	case kind != "linear":
		c.Fail("proj_type", "is %q, expected linear or none", kind)
	case c.Bool("proj_bias", false):
		t.ProjectionKind = projectionLinear
	}
	if t.ProjectionKind == projectionNone && width != projection {
		c.Fail("proj_type", "is none, but the tower's width %d is not the embedding's %d", width, projection)
	}
	pools := map[string]Pooling{"argmax": PoolArgmax, "eos": PoolEOS, "last": PoolLast, "first": PoolFirst}
	name := c.String("pool_type", "argmax")
	switch pooling, ok := pools[name]; {
	case c.Bool("embed_cls", false):
		// A class token behind the text, whatever pool_type says. It gets the vocabulary's next id.
		t.Pooling, t.Pad = PoolAppended, int32(c.Int("pad_id", 0))
		t.Vocab++
	case !ok:
		c.Fail("pool_type", "is %q, expected argmax, eos, last or first: others give no single embedding of a text", name)
	case pooling == PoolFirst && t.Causal:
		c.Fail("pool_type", "is first in a causal tower, whose first row sees nothing of the text")
	default:
		t.Pooling = pooling
	}
	return t
}

// transposed is a matrix [in, out] of a checkpoint, used as x @ matrix, made a Linear's [out, in].
func transposed(source, name, in, out string, sizes map[string]int) Row {
	rows, cols := sizes[in], sizes[out]
	return Row{Source: source, Name: name, Dims: in + " " + out, From: out + " " + in,
		Make: func(x ...[]float32) []float32 {
			y := make([]float32, len(x[0]))
			for i := range rows {
				for j := range cols {
					y[j*rows+i] = x[0][i*cols+j]
				}
			}
			return y
		}}
}

// scaledBlockRows are resblockRows, with layer scale if scaled.
func scaledBlockRows(source, name string, scaled bool) []Row {
	all := resblockRows(source, name)
	if scaled {
		all = append(all,
			Row{Source: source + "ls_1.gamma", Name: name + "ls1.weight", Dims: "width"},
			Row{Source: source + "ls_2.gamma", Name: name + "ls2.weight", Dims: "width"})
	}
	return all
}

func openCLIPTables(m *Model) []Table {
	var tables []Table
	if v := m.Vision; v != nil && v.Pooling == PoolMAP {
		tables = append(tables, timmTable(v))
	} else if v != nil {
		tables = append(tables, openCLIPVisionTable(v))
	}
	if m.Text != nil {
		tables = append(tables, openCLIPTextTable(m.Text))
	}
	return tables
}

func openCLIPVisionTable(v *Vision) Table {
	t := Table{
		Blocks: v.Layers,
		Sizes:  v.sizes(map[string]int{"patch": v.Patch, "positions": v.Grid().Area() + 1, "queries": v.HeadQueries}),
		Rows: append([]Row{
			{Source: "visual.class_embedding", Name: "v.class_embd", Dims: "width"},
			{Source: "visual.conv1.weight", Name: "v.patch_embd.weight", Dims: "patch patch 3 width"},
			{Source: "visual.positional_embedding", Name: "v.position_embd.weight", Dims: "width positions"},
		}, scaledBlockRows("visual.transformer.resblocks.{n}.", "v.blk.{n}.", v.LayerScale)...),
	}
	if v.PreNorm {
		t.Rows = append(t.Rows, rows("visual.", "v.", part{"ln_pre", "pre_ln", "width", "width"})...)
	}
	pooled := "width"
	if v.Pooling == PoolAttention {
		pooled = "projection"
		t.Rows = append(t.Rows, attentionalPoolRows(v)...)
	}
	if v.Pooling == PoolPatches {
		t.Rows = append(t.Rows, Row{Name: dropClass, Dims: "2 width", Make: func(...[]float32) []float32 { return secondOfTwo(v.Width) }})
	}
	t.Rows = append(t.Rows, rows("visual.", "v.", part{"ln_post", "post_ln", pooled, pooled})...)
	t.Rows = append(t.Rows, transposed("visual.proj", "visual_projection.weight", pooled, "projection", t.Sizes))
	return t
}

// secondOfTwo is a depthwise kernel [width, 2] that picks the second row.
func secondOfTwo(width int) []float32 {
	kernel := make([]float32, 2*width)
	for i := range width {
		kernel[2*i+1] = 1
	}
	return kernel
}

// attentionalPoolRows are the tensors of CoCa's pooler, torch's MultiheadAttention: its weights are packed where the width of
// the picture's rows is the queries'.
func attentionalPoolRows(v *Vision) []Row {
	const source, name = "visual.attn_pool.", "v.head."
	query := Row{Source: source + "query", Name: name + "probe", Dims: "projection queries", Skip: v.HeadSkip, Head: v.HeadSkip == 0}
	all := append([]Row{query}, rows(source, name,
		part{"ln_q", "ln_q", "projection", "projection"},
		part{"ln_k", "ln_k", "width", "width"},
		part{"attn.out_proj", "attn_out", "projection projection", "projection"})...)
	for i, x := range []string{"q", "k", "v"} {
		from := "width"
		if x == "q" {
			from = "projection"
		}
		weight := Row{Source: source + "attn." + x + "_proj_weight", Name: name + "attn_" + x + ".weight", Dims: from + " projection"}
		if v.Width == v.Projection {
			weight.Source, weight.Part, weight.Of = source+"attn.in_proj_weight", i, 3
		}
		all = append(all, weight,
			Row{Source: source + "attn.in_proj_bias", Name: name + "attn_" + x + ".bias", Dims: "projection", Part: i, Of: 3})
	}
	return all
}

func openCLIPTextTable(t *Text) Table {
	table := Table{
		Blocks: t.Layers,
		Sizes:  t.sizes(map[string]int{"vocab": t.Vocab, "words": t.Vocab - 1, "context": t.positions()}),
		Rows: append([]Row{
			{Source: "positional_embedding", Name: "t.position_embd.weight", Dims: "width context"},
		}, rows("", "t.", part{"ln_final", "post_ln", "width", "width"})...),
	}
	words := Row{Source: "token_embedding.weight", Name: "t.token_embd.weight", Dims: "width vocab"}
	if t.Pooling == PoolAppended {
		words.From, words.With, words.WithDims = "width words", "text.cls_emb", "width"
		words.Make = func(x ...[]float32) []float32 { return append(x[0], x[1]...) }
	}
	table.Rows = append(table.Rows, words)
	table.Rows = append(table.Rows, scaledBlockRows("transformer.resblocks.{n}.", "t.blk.{n}.", t.LayerScale)...)
	switch t.ProjectionKind {
	case projectionMatrix:
		table.Rows = append(table.Rows, transposed("text_projection", "text_projection.weight", "width", "projection", table.Sizes))
	case projectionLinear:
		table.Rows = append(table.Rows, rows("", "", part{"text_projection", "text_projection", "width projection", "projection"})...)
	}
	// With custom_text all of them begin with "text."; the classes differ in nothing else.
	for i := range table.Rows {
		table.Rows[i].Source = "text." + table.Rows[i].Source + " " + table.Rows[i].Source
	}
	return table
}
