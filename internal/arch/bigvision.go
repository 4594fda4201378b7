package arch

// SigLIP and SigLIP 2 as big_vision, which trained them, writes its .npz files (names and layouts as in transformers'
// convert_siglip_to_hf.py and convert_siglip2_to_hf.py). flax keeps a kernel as [in, out], a convolution as [rows, columns,
// in, out], and splits what belongs to heads: [width, heads, head width].

// BigVision returns the family of big_vision's files for a model_type of transformers, siglip or siglip2. A file has no
// configuration: Read is given one in transformers' words.
func BigVision(modelType string) (*Family, error) {
	like, err := FamilyOf(modelType)
	if err != nil {
		return nil, err
	}
	f := *like
	f.Tables = bigVisionTables
	f.Prefix = "params/"
	f.Scalar = map[string]func(*Model, float32){"t": siglipScalars["logit_scale"], "b": siglipScalars["logit_bias"]}
	f.IgnorePrefix = []Ignore{{"opt/", "the optimiser's state"}}
	return &f, nil
}

func bigVisionTables(m *Model) []Table {
	var tables []Table
	if v := m.Vision; v != nil {
		t := v.bigVisionTable("img/Transformer/", "v.", map[string]int{
			"patch": v.Patch, "area": 3 * v.Patch * v.Patch, "positions": v.Grid().Area(), "channels": 3})
		patches := Row{Source: "img/embedding/kernel", Name: "v.patch_embd.weight", Dims: "patch patch channels width",
			From: "width channels patch patch", Make: channelsFirst(v.Patch, v.Width)}
		if v.NaFlex {
			patches = transposed("img/embedding/kernel", "v.patch_embd.weight", "area", "width", t.Sizes)
		}
		t.Rows = append(t.Rows, patches,
			Row{Source: "img/embedding/bias", Name: "v.patch_embd.bias", Dims: "width"},
			Row{Source: "img/pos_embedding", Name: "v.position_embd.weight", Dims: "width positions"},
			Row{Source: "img/MAPHead_0/probe", Name: "v.head.probe", Dims: "width"})
		t.Rows = append(t.Rows, flaxAttention("img/MAPHead_0/", "v.head.", t.Sizes)...)
		t.Rows = append(t.Rows, flaxMLP("img/MAPHead_0/", "v.head.", t.Sizes)...)
		t.Rows = append(t.Rows, flaxNorm("img/MAPHead_0/LayerNorm_0", "v.head.ln2")...)
		tables = append(tables, t)
	}
	if x := m.Text; x != nil {
		t := x.bigVisionTable("txt/Encoder_0/", "t.", map[string]int{"vocab": x.Vocab, "context": x.Context})
		t.Rows = append(t.Rows,
			Row{Source: "txt/Embed_0/embedding", Name: "t.token_embd.weight", Dims: "width vocab"},
			Row{Source: "txt/pos_embedding", Name: "t.position_embd.weight", Dims: "width context"},
			transposed("txt/head/kernel", "text_projection.weight", "width", "projection", t.Sizes),
			Row{Source: "txt/head/bias", Name: "text_projection.bias", Dims: "projection"})
		tables = append(tables, t)
	}
	return tables
}

// bigVisionTable has the blocks of a tower and the norm behind them.
func (t *Tower) bigVisionTable(source, name string, more map[string]int) Table {
	const block = "encoderblock_{n}/"
	table := Table{Blocks: t.Layers, Sizes: t.sizes(more)}
	table.Sizes["heads"], table.Sizes["headwidth"] = t.Heads, t.Width/max(t.Heads, 1)
	table.Rows = append(table.Rows, flaxAttention(source+block, name+"blk.{n}.", table.Sizes)...)
	table.Rows = append(table.Rows, flaxMLP(source+block, name+"blk.{n}.", table.Sizes)...)
	table.Rows = append(table.Rows, flaxNorm(source+block+"LayerNorm_0", name+"blk.{n}.ln1")...)
	table.Rows = append(table.Rows, flaxNorm(source+block+"LayerNorm_1", name+"blk.{n}.ln2")...)
	table.Rows = append(table.Rows, flaxNorm(source+"encoder_norm", name+"post_ln")...)
	return table
}

func flaxNorm(source, name string) []Row {
	return []Row{
		{Source: source + "/scale", Name: name + ".weight", Dims: "width"},
		{Source: source + "/bias", Name: name + ".bias", Dims: "width"},
	}
}

func flaxAttention(source, name string, sizes map[string]int) []Row {
	source += "MultiHeadDotProductAttention_0/"
	var all []Row
	for _, x := range []string{"query", "key", "value"} {
		target := name + "attn_" + x[:1]
		kernel := transposed(source+x+"/kernel", target+".weight", "width", "width", sizes)
		kernel.From = "headwidth heads width"
		all = append(all, kernel, Row{Source: source + x + "/bias", Name: target + ".bias", Dims: "width", From: "headwidth heads"})
	}
	out := transposed(source+"out/kernel", name+"attn_out.weight", "width", "width", sizes)
	out.From = "width headwidth heads"
	return append(all, out, Row{Source: source + "out/bias", Name: name + "attn_out.bias", Dims: "width"})
}

func flaxMLP(source, name string, sizes map[string]int) []Row {
	source += "MlpBlock_0/"
	return []Row{
		transposed(source+"Dense_0/kernel", name+"ffn_up.weight", "width", "ffn", sizes),
		{Source: source + "Dense_0/bias", Name: name + "ffn_up.bias", Dims: "ffn"},
		transposed(source+"Dense_1/kernel", name+"ffn_down.weight", "ffn", "width", sizes),
		{Source: source + "Dense_1/bias", Name: name + "ffn_down.bias", Dims: "width"},
	}
}

// channelsFirst makes [width, 3, patch, patch] of a convolution's [patch, patch, 3, width].
func channelsFirst(patch, width int) func(x ...[]float32) []float32 {
	area := patch * patch
	return func(x ...[]float32) []float32 {
		y := make([]float32, len(x[0]))
		for pixel := range area {
			for c := range 3 {
				for w := range width {
					y[(w*3+c)*area+pixel] = x[0][(pixel*3+c)*width+w]
				}
			}
		}
		return y
	}
}
