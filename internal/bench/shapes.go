// Package bench measures towers of the sizes that CLIP models have, with random weights: how long a run takes, where the
// time goes, and what share that is of what the processor can do at most.
package bench

import (
	"fmt"
	"strings"

	"github.com/clipgo/clipgo/internal/arch"
	"github.com/clipgo/clipgo/internal/program"
)

// Shape is the size of a model.
type Shape struct {
	Name   string
	Family string // model_type of the checkpoints that it is the size of
	Model  arch.Model
}

// shapes are those of openai/clip-vit-*, laion/CLIP-ViT-H-14 and google/siglip-so400m-patch14-384, by their config.json.
var shapes = []Shape{
	clipShape("vit-b-32", 32, program.ActQuickGELU, size{768, 12, 12}, size{512, 12, 8}, 512),
	clipShape("vit-b-16", 16, program.ActQuickGELU, size{768, 12, 12}, size{512, 12, 8}, 512),
	clipShape("vit-l-14", 14, program.ActQuickGELU, size{1024, 24, 16}, size{768, 12, 12}, 768),
	clipShape("vit-h-14", 14, program.ActGELU, size{1280, 32, 16}, size{1024, 24, 16}, 1024),
	siglipShape("siglip-so400m", 384, 14, size{1152, 27, 16}, 4304),
}

type size struct{ width, layers, heads int }

func (s size) tower(ffn, projection int, act program.Activation, eps float32, pooling arch.Pooling) arch.Tower {
	return arch.Tower{Width: s.width, Layers: s.layers, Heads: s.heads, FFN: ffn, Projection: projection,
		Eps: eps, Act: act, Pooling: pooling}
}

func clipShape(name string, patch int, act program.Activation, image, text size, projection int) Shape {
	return Shape{name, "clip", arch.Model{
		Score: arch.Softmax, Template: arch.DefaultTemplate, LogitScale: 4.6,
		Vision: &arch.Vision{
			Tower: image.tower(4*image.width, projection, act, 1e-5, arch.PoolFirst),
			Image: arch.Square(224), Patch: patch,
		},
		Text: &arch.Text{
			Tower: text.tower(4*text.width, projection, act, 1e-5, arch.PoolEOS),
			Vocab: 49408, Context: 77, Causal: true, EmbedFactor: 1, EOS: 49407,
		},
	}}
}

func siglipShape(name string, image, patch int, s size, ffn int) Shape {
	return Shape{name, "siglip", arch.Model{
		Score: arch.Sigmoid, Template: arch.DefaultTemplate, LogitScale: 4.6,
		Vision: &arch.Vision{
			Tower: s.tower(ffn, s.width, program.ActGELUTanh, 1e-6, arch.PoolMAP),
			Image: arch.Square(image), Patch: patch,
		},
		Text: &arch.Text{
			Tower: s.tower(ffn, s.width, program.ActGELUTanh, 1e-6, arch.PoolLast),
			Vocab: 32000, Context: 64, EmbedFactor: 1,
		},
	}}
}

// Names returns the names of the shapes, from small to large.
func Names() []string {
	var names []string
	for _, s := range shapes {
		names = append(names, s.Name)
	}
	return names
}

// Find finds a shape by its name.
func Find(name string) (Shape, error) {
	for _, s := range shapes {
		if s.Name == name {
			return s, nil
		}
	}
	return Shape{}, fmt.Errorf("unknown shape %q, expected one of %s", name, strings.Join(Names(), ", "))
}

// Tower is one half of a model.
type Tower string

// The towers.
const (
	Image Tower = "image"
	Text  Tower = "text"
)

// alone returns a model of one tower.
func (s Shape) alone(t Tower) *arch.Model {
	m := s.Model
	if t == Image {
		m.Text = nil
	} else {
		m.Vision = nil
	}
	return &m
}
