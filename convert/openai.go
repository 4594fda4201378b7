package convert

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"

	"github.com/clipgo/clipgo/internal/checkpoint"
)

// readOpenAI reads one of OpenAI's archives (ViT-B-32.pt and the like), which bring no configuration: the shapes of the tensors
// tell it, and the names are open_clip's (clip/model.py of openai/CLIP, build_model).
func (s *source) readOpenAI(path string) error {
	tensors, err := weightsFormat(path)(path)
	if err != nil {
		return err
	}
	defer tensors.Close()
	config, err := openAIConfig(path, tensors)
	if err != nil {
		return err
	}
	return s.parseOpenCLIP(filepath.Base(path), config)
}

// openAIConfig is the open_clip_config.json that an archive of OpenAI's would have.
func openAIConfig(path string, c *checkpoint.Set) ([]byte, error) {
	// Only these archives hold this number, and only of them it is known that they use the quick GELU.
	if _, ok := c.Tensor("input_resolution"); !ok {
		return nil, fmt.Errorf("%s: this is no archive of OpenAI's, and there is neither config.json nor open_clip_config.json beside it that describes the model",
			path)
	}
	if _, ok := c.Tensor("visual.layer1.0.conv1.weight"); ok {
		return nil, fmt.Errorf("%s: the image tower is a ModifiedResNet (RN50 and the like), which can't be read yet; convert a ViT", path)
	}
	shapes := map[string][]uint64{}
	for _, w := range []struct {
		name string
		dims int
	}{{"visual.conv1.weight", 4}, {"visual.positional_embedding", 2}, {"text_projection", 2}, {"positional_embedding", 2},
		{"token_embedding.weight", 2}} {
		t, ok := c.Tensor(w.name)
		if !ok {
			return nil, fmt.Errorf("%s: tensor %q is missing: this is no CLIP of OpenAI's", path, w.name)
		}
		if len(t.Shape) != w.dims {
			return nil, fmt.Errorf("%s: tensor %q has shape %v, expected %d dimensions", path, w.name, t.Shape, w.dims)
		}
		shapes[w.name] = t.Shape
	}
	layers := func(format string) (n int) {
		for {
			if _, ok := c.Tensor(fmt.Sprintf(format, n)); !ok {
				return n
			}
			n++
		}
	}
	patch := shapes["visual.conv1.weight"][2]
	side := uint64(math.Sqrt(float64(shapes["visual.positional_embedding"][0] - 1)))
	return json.Marshal(map[string]any{
		"model_cfg": map[string]any{
			"embed_dim":  shapes["text_projection"][1],
			"quick_gelu": true,
			"vision_cfg": map[string]any{
				"layers":     layers("visual.transformer.resblocks.%d.ln_1.weight"),
				"width":      shapes["visual.conv1.weight"][0],
				"patch_size": patch,
				"image_size": side * patch,
			},
			"text_cfg": map[string]any{
				"layers":         layers("transformer.resblocks.%d.ln_1.weight"),
				"width":          shapes["positional_embedding"][1],
				"heads":          shapes["positional_embedding"][1] / 64,
				"context_length": shapes["positional_embedding"][0],
				"vocab_size":     shapes["token_embedding.weight"][0],
			},
		},
		"preprocess_cfg": map[string]any{"size": side * patch},
	})
}
