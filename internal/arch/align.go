package arch

import "fmt"

// ALIGN: an EfficientNet, whose rows are averaged, and a BERT, whose [CLS] row is projected; cosines are divided by a
// temperature (modeling_align.py of 5.23).

var alignFamily = &Family{
	Type:     "align",
	Examples: "kakaobrain/align-base",
	Read:     readALIGN,
	Tables:   alignTables,
	Scalar:   map[string]func(*Model, float32){"temperature": setTemperature},
	Ignore: []Ignore{
		{"text_model.embeddings.position_ids", "a buffer of 0, 1, 2, ..."},
		{"text_model.embeddings.token_type_ids", "a buffer of zeros"},
		{"text_model.pooler.dense.weight", "the [CLS] row is projected as it is"},
		{"text_model.pooler.dense.bias", "the [CLS] row is projected as it is"},
		{"vision_model.embeddings.batchnorm.num_batches_tracked", "counts steps of training"},
		{"vision_model.encoder.blocks.{n}.expansion.expand_bn.num_batches_tracked", "counts steps of training"},
		{"vision_model.encoder.blocks.{n}.depthwise_conv.depthwise_norm.num_batches_tracked", "counts steps of training"},
		{"vision_model.encoder.blocks.{n}.projection.project_bn.num_batches_tracked", "counts steps of training"},
	},
	Resize: resizeALIGN,
}

func readALIGN(c *Config) (*Model, error) {
	text, vision := c.Object("text_config"), c.Object("vision_config")
	projection := c.Int("projection_dim", 640)
	m := &Model{
		Score:    Softmax,
		Template: DefaultTemplate,
		Text:     readBERT(text, projection),
		Vision: &Vision{
			Tower: Tower{
				Eps:        float32(vision.Float("batch_norm_eps", 0.001)),
				Act:        activation(vision, "hidden_act", "swish"),
				Projection: projection,
				Pooling:    PoolMean,
			},
			Image: Square(vision.Int("image_size", 600)),
		},
	}
	v := m.Vision
	v.Conv = readConv(vision)
	if n := len(v.Conv.Blocks); n > 0 {
		v.Width = v.Conv.Blocks[n-1].Out
	}
	if v.Width != projection {
		c.Fail("projection_dim", "is %d, but the image tower has %d channels and no projection", projection, v.Width)
	}
	if pooling := vision.String("pooling_type", "mean"); pooling != "mean" {
		vision.Fail("pooling_type", "is %q, expected mean", pooling)
	}
	if n := vision.Int("num_channels", 3); n != 3 {
		vision.Fail("num_channels", "is %d, expected 3", n)
	}
	temperature := c.Float("temperature_init_value", 1)
	if temperature <= 0 {
		c.Fail("temperature_init_value", "is %g, expected a positive number", temperature)
		temperature = 1
	}
	setTemperature(m, float32(temperature))
	return m, c.Err()
}

// resizeALIGN makes the tower take pictures of another size: convolutions take any, and transformers doesn't look at
// image_size.
func resizeALIGN(m *Model, picture Size) error {
	m.Vision.Image = picture
	if err := m.Vision.validateConv(); err != nil {
		return fmt.Errorf("pictures of %v pixels: %w", picture, err)
	}
	return nil
}

func alignTables(m *Model) []Table {
	var tables []Table
	if m.Vision != nil {
		tables = convTables(m.Vision)
	}
	if m.Text != nil {
		tables = append(tables, bertTable(m.Text, "text_model.",
			Row{Source: "text_model.embeddings.token_type_embeddings.weight", Name: "t.token_type_embd.weight", Dims: "width 1", Head: true},
			Row{Source: "text_projection.weight", Name: "text_projection.weight", Dims: "width projection"},
			Row{Source: "text_projection.bias", Name: "text_projection.bias", Dims: "projection"}))
	}
	return tables
}
