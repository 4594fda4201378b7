package clipgo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/clipgo/clipgo/internal/arch"
)

// ClassifyOption changes how labels become prompts.
type ClassifyOption func(*classifyOptions)

type classifyOptions struct{ templates []string }

// WithTemplates sets the prompts, each with exactly one {} for the label. The embeddings of several are averaged. Without
// this option the model's own template is taken.
func WithTemplates(templates ...string) ClassifyOption {
	return func(o *classifyOptions) { o.templates = templates }
}

// Classifier has a fixed set of labels, encoded once. It is safe for concurrent use, as long as its model is open.
type Classifier struct {
	model      *Model
	labels     []string
	embeddings [][]float32 // [labels][dimension], of length 1
}

// NewClassifier encodes labels. Errors: no labels, a template without exactly one {}, a model without a text tower.
func (m *Model) NewClassifier(ctx context.Context, labels []string, opts ...ClassifyOption) (*Classifier, error) {
	o := classifyOptions{templates: []string{m.arch.Template}}
	for _, opt := range opts {
		opt(&o)
	}
	if len(labels) == 0 {
		return nil, errors.New("no labels: give at least one")
	}
	if len(o.templates) == 0 {
		return nil, errors.New("no templates: give at least one")
	}
	for _, template := range o.templates {
		if n := strings.Count(template, "{}"); n != 1 {
			return nil, fmt.Errorf("template %q has %d {}, expected exactly one, where the label goes", template, n)
		}
	}
	embeddings, err := m.labels(ctx, labels, o.templates)
	if err != nil {
		return nil, err
	}
	return &Classifier{model: m, labels: append([]string(nil), labels...), embeddings: embeddings}, nil
}

// labels returns the embedding of each label, of length 1: from the cache, or computed.
func (m *Model) labels(ctx context.Context, labels, templates []string) ([][]float32, error) {
	entry, cached := m.labelEntry(labels, templates)
	if cached {
		if embeddings, found := entry.read(len(labels)); found {
			return embeddings, ctx.Err()
		}
	}
	var prompts []string
	for _, label := range labels {
		for _, template := range templates {
			prompts = append(prompts, strings.Replace(template, "{}", label, 1))
		}
	}
	all, cut, err := m.encodeTexts(ctx, prompts)
	if err != nil {
		return nil, err
	}
	normalizeRows(all, m.dimension())
	var embeddings [][]float32
	for at := 0; at < len(all); at += len(templates) {
		embeddings = append(embeddings, mean(all[at:at+len(templates)]))
	}
	if cached && !cut { // who has a text cut is told each time
		entry.write(embeddings)
	}
	return embeddings, nil
}

// mean is the mean of vectors of length 1, made of length 1 again; one vector is its own mean.
func mean(vectors [][]float32) []float32 {
	if len(vectors) == 1 {
		return vectors[0]
	}
	sum := make([]float32, len(vectors[0]))
	for _, v := range vectors {
		for i, x := range v {
			sum[i] += x / float32(len(vectors))
		}
	}
	normalize(sum)
	return sum
}

// Labels returns the labels in the order in which they were given.
func (c *Classifier) Labels() []string { return append([]string(nil), c.labels...) }

// Classify scores the labels for a picture, best first.
func (c *Classifier) Classify(ctx context.Context, image *Image) ([]Prediction, error) {
	e, err := c.model.EncodeImage(ctx, image)
	if err != nil {
		return nil, err
	}
	return c.Score(e)
}

// Score scores the labels for an image embedding of the same model, best first.
func (c *Classifier) Score(image []float32) ([]Prediction, error) {
	if d := len(c.embeddings[0]); len(image) == 0 || len(image)%d != 0 {
		return nil, fmt.Errorf("the image embedding has %d elements, expected %d", len(image), d)
	}
	logits := c.model.logits(image, c.embeddings)
	score := Softmax
	if c.model.arch.Score == arch.Sigmoid {
		score = Sigmoid
	}
	return rank(c.labels, logits, score(logits)), nil
}

// Classify scores labels for a picture, best first, as transformers' zero-shot-image-classification pipeline does. To
// classify several pictures, make a Classifier, which encodes the labels once.
func (m *Model) Classify(ctx context.Context, image *Image, labels []string, opts ...ClassifyOption) ([]Prediction, error) {
	c, err := m.NewClassifier(ctx, labels, opts...)
	if err != nil {
		return nil, err
	}
	return c.Classify(ctx, image)
}
