package arch

import (
	"math"
	"strings"

	"github.com/clipgo/clipgo/internal/program"
)

// TIPSv2: a DINOv2-like image tower with registers and layer scale, and a text tower with fixed sinusoids and a masked mean;
// cosines are divided by a temperature (modeling_tipsv2.py of 5.23, which translates the names on disk when it loads them).

var tipsv2Family = &Family{
	Type:     "tipsv2",
	Examples: "google/tipsv2-b14",
	Read:     readTIPSv2,
	Tables:   tipsv2Tables,
	Scalar:   map[string]func(*Model, float32){"temperature": setTemperature},
	Ignore: []Ignore{
		{"vision_encoder.mask_token", "used in training only"},
		{"vision_encoder.register_tokens", "of no rows, where num_register_tokens is 0"},
	},
	Resize: resizePositions,
}

// setTemperature turns a divisor of the cosines into the logarithm of a factor.
func setTemperature(m *Model, t float32) { m.LogitScale = float32(-math.Log(float64(t))) }

func readTIPSv2(c *Config) (*Model, error) {
	text, vision := c.Object("text_config"), c.Object("vision_config")
	width := vision.Int("hidden_size", 768)
	ffn := int(float64(width) * vision.Float("mlp_ratio", 4))
	gated := vision.Bool("use_swiglu_ffn", false)
	act := activation(vision, "hidden_act", "gelu")
	if gated {
		ffn, act = (ffn*2/3+7)/8*8, program.ActSiLU
	}
	m := &Model{
		Score:    Softmax,
		Template: DefaultTemplate,
		Vision: &Vision{
			Tower: Tower{
				Width:      width,
				Layers:     vision.Int("num_hidden_layers", 12),
				Heads:      vision.Int("num_attention_heads", 12),
				FFN:        ffn,
				Eps:        float32(vision.Float("layer_norm_eps", 1e-6)),
				Act:        act,
				Projection: width,
				Pooling:    PoolFirst,
			},
			Image:     Square(vision.Int("image_size", 448)),
			Patch:     vision.Int("patch_size", 14),
			Registers: vision.Int("num_register_tokens", 1),
			Gated:     gated,
			NoQKVBias: !vision.Bool("qkv_bias", true),
		},
		Text: &Text{
			Tower: Tower{
				Width:   text.Int("hidden_size", 768),
				Layers:  text.Int("num_hidden_layers", 12),
				Heads:   text.Int("num_attention_heads", 12),
				FFN:     text.Int("intermediate_size", 3072),
				Eps:     float32(text.Float("layer_norm_eps", 1e-5)),
				Act:     activation(text, "hidden_act", "relu"),
				Pooling: PoolMean,
			},
			Vocab:       text.Int("vocab_size", 32000),
			Context:     text.Int("max_position_embeddings", 64),
			Masked:      true,
			EmbedFactor: 1,
			PoolEps:     float32(text.Float("pooling_epsilon", 1e-8)),
		},
	}
	m.Text.Projection = m.Text.Width
	if text.Bool("scale_sqrt_depth", true) {
		m.Text.EmbedFactor = float32(math.Sqrt(float64(m.Text.Width)))
	}
	temperature := c.Float("temperature_init_value", 0.005065968260169029)
	if temperature <= 0 {
		c.Fail("temperature_init_value", "is %g, expected a positive number", temperature)
		temperature = 1
	}
	setTemperature(m, float32(temperature))
	return m, c.Err()
}

// sinusoids are the fixed positions [context, width]: sines, then cosines, of the position times a frequency, which falls
// from 1 to 1/10000 over half the width.
func sinusoids(context, width int) []float32 {
	half := width / 2
	x := make([]float32, context*width)
	step := float32(math.Log(10000)) / float32(max(half-1, 1))
	for pos := range context {
		for k := range half {
			angle := float64(float32(pos) * float32(math.Exp(float64(-float32(k)*step))))
			x[pos*width+k] = float32(math.Sin(angle))
			x[pos*width+half+k] = float32(math.Cos(angle))
		}
	}
	return x
}

func tipsv2Tables(m *Model) []Table {
	var tables []Table
	if v := m.Vision; v != nil {
		const block = "vision_encoder.blocks.{n}."
		table := Table{
			Blocks: v.Layers,
			Sizes:  v.sizes(map[string]int{"patch": v.Patch, "positions": v.Grid().Area() + 1, "registers": v.Registers}),
			Rows: []Row{
				{Source: "vision_encoder.cls_token", Name: "v.class_embd", Dims: "width"},
				{Source: "vision_encoder.patch_embed.proj.weight", Name: "v.patch_embd.weight", Dims: "patch patch 3 width"},
				{Source: "vision_encoder.patch_embed.proj.bias", Name: "v.patch_embd.bias", Dims: "width"},
				positionRow(v, "vision_encoder.pos_embed", 1, bilinearTaps),
				{Source: "vision_encoder.norm.weight", Name: "v.post_ln.weight", Dims: "width"},
				{Source: "vision_encoder.norm.bias", Name: "v.post_ln.bias", Dims: "width"},
				{Source: block + "ls1.gamma", Name: "v.blk.{n}.ls1.weight", Dims: "width"},
				{Source: block + "ls2.gamma", Name: "v.blk.{n}.ls2.weight", Dims: "width"},
			},
		}
		if v.Registers > 0 {
			table.Rows = append(table.Rows, Row{Source: "vision_encoder.register_tokens", Name: "v.register_embd.weight", Dims: "width registers"})
		}
		bias := block + "attn.qkv.bias"
		if v.NoQKVBias {
			bias = ""
		}
		table.Rows = append(table.Rows, packedRows(block+"attn.qkv.weight", bias, "v.blk.{n}.")...)
		table.Rows = append(table.Rows, rows(block, "v.blk.{n}.",
			part{"attn.proj", "attn_out", "width width", "width"},
			part{"norm1", "ln1", "width", "width"},
			part{"norm2", "ln2", "width", "width"})...)
		if v.Gated {
			// The gate's rows come first, then those that it multiplies.
			for i, name := range []string{"ffn_gate", "ffn_up"} {
				table.Rows = append(table.Rows,
					Row{Source: block + "mlp.w12.weight", Name: "v.blk.{n}." + name + ".weight", Dims: "width ffn", Part: i, Of: 2},
					Row{Source: block + "mlp.w12.bias", Name: "v.blk.{n}." + name + ".bias", Dims: "ffn", Part: i, Of: 2})
			}
			table.Rows = append(table.Rows, rows(block, "v.blk.{n}.", part{"mlp.w3", "ffn_down", "ffn width", "width"})...)
		} else {
			// Google's files and those saved by transformers differ in these names.
			for _, r := range rows(block, "v.blk.{n}.", part{"mlp.fc1", "ffn_up", "width ffn", "ffn"}, part{"mlp.fc2", "ffn_down", "ffn width", "width"}) {
				r.Source += " " + strings.NewReplacer("fc1", "c_fc", "fc2", "c_proj").Replace(r.Source)
				table.Rows = append(table.Rows, r)
			}
		}
		tables = append(tables, table)
	}
	if t := m.Text; t != nil {
		const block = "text_encoder.transformer.resblocks.{n}."
		table := Table{
			Blocks: t.Layers,
			Sizes:  t.sizes(map[string]int{"vocab": t.Vocab, "context": t.Context}),
			Rows: []Row{
				{Source: "text_encoder.token_embedding.weight", Name: "t.token_embd.weight", Dims: "width vocab"},
				{Name: "t.position_embd.weight", Dims: "width context", Make: func(...[]float32) []float32 { return sinusoids(t.Context, t.Width) }},
				{Source: "text_encoder.ln_final.weight", Name: "t.post_ln.weight", Dims: "width"},
				{Source: "text_encoder.ln_final.bias", Name: "t.post_ln.bias", Dims: "width"},
			},
		}
		table.Rows = append(table.Rows, resblockRows(block, "t.blk.{n}.")...)
		tables = append(tables, table)
	}
	return tables
}
