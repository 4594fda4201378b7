package clipgo

import (
	"errors"
	"fmt"
	"slices"

	"github.com/clipgo/clipgo/bindings"
	"github.com/clipgo/clipgo/internal/arch"
	"github.com/clipgo/clipgo/internal/imageio"
	"github.com/clipgo/clipgo/internal/preprocess"
	"github.com/clipgo/clipgo/internal/tokenizer"
	"github.com/clipgo/clipgo/internal/tokenkeys"
)

// Processor prepares pictures and texts for a model, as transformers' processors do. It stays usable after the model is
// closed if it was used before.
type Processor struct{ model *Model }

// Processor returns the model's processor.
func (m *Model) Processor() *Processor { return &Processor{m} }

// Pixels are preprocessed pictures.
type Pixels struct {
	// Values is [pictures, 3, height, width], or for a model with patches of native aspect (NaFlex)
	// [pictures, patches, 3*patch*patch], zero where a picture has fewer patches.
	Values []float32
	// Shape is the shape of Values.
	Shape []int
	// SpatialShapes is the number of patches down and across of each picture (NaFlex).
	SpatialShapes [][2]int
}

// Tokens are texts as ids, padded to one length.
type Tokens struct {
	IDs  [][]int32 // [texts][length]
	Mask [][]int32 // [texts][length]: 1 for an id of the text, 0 for padding; nil where the model gets no mask
}

// Pixels prepares pictures: resized, cropped, rescaled and normalised as the model's preprocessor_config.json says.
func (p *Processor) Pixels(images ...*Image) (*Pixels, error) {
	spec, err := p.pixelSpec()
	if err != nil {
		return nil, err
	}
	var all []*Pixels
	for _, image := range images {
		var out preprocess.Pixels
		err := image.prepare(func(picture *imageio.Picture) (err error) {
			out, err = spec.Apply(picture, p.model.resampler())
			return err
		})
		if err != nil {
			return nil, err
		}
		one := &Pixels{Values: out.Values, Shape: append([]int{1}, out.Shape...)}
		if spec.NaFlex() {
			one.SpatialShapes = [][2]int{out.Patches}
		}
		all = append(all, one)
	}
	if len(all) == 0 {
		return nil, errors.New("no pictures to prepare")
	}
	return joinPixels(all), nil
}

// FastSide returns what ImageOptions.ShortSide may be for the model: JPEG files decoded with it are resized to nearly the same pixel
// values. It is 0, which means the whole picture, for models that see pictures at their own size.
func (p *Processor) FastSide() (int, error) {
	spec, err := p.pixelSpec()
	if err != nil {
		return 0, err
	}
	return spec.FastSide(), nil
}

// resampler resizes pictures in the engine, and in Go once the model is closed.
func (m *Model) resampler() preprocess.Resampler {
	device := m.engine.Pictures()
	if device == nil {
		return nil
	}
	return func(p *preprocess.Pass) error {
		err := device.Resample((*bindings.Resampling)(p))
		if errors.Is(err, bindings.ErrClosed) {
			return preprocess.Resample(p)
		}
		return err
	}
}

// joinPixels makes one batch of several.
func joinPixels(all []*Pixels) *Pixels {
	if len(all) == 1 {
		return all[0]
	}
	joined := &Pixels{Shape: append([]int(nil), all[0].Shape...)}
	joined.Shape[0] = 0
	for _, p := range all {
		joined.Shape[0] += p.Shape[0]
		joined.Values = append(joined.Values, p.Values...)
		joined.SpatialShapes = append(joined.SpatialShapes, p.SpatialShapes...)
	}
	return joined
}

// check compares the shapes with what the tower takes.
func (p *Pixels) check(v *arch.Vision) error {
	if len(p.Shape) == 0 || p.Shape[0] < 1 {
		return fmt.Errorf("pixel values of shape %v, expected at least one picture", p.Shape)
	}
	want := []int{p.Shape[0], 3, v.Image.H, v.Image.W}
	if v.NaFlex {
		want = []int{p.Shape[0], 0, 3 * v.Patch * v.Patch}
		if len(p.Shape) == 3 {
			want[1] = max(1, p.Shape[1])
		}
	}
	if !slices.Equal(p.Shape, want) {
		return fmt.Errorf("pixel values of shape %v, expected %v", p.Shape, want)
	}
	n := 1
	for _, d := range p.Shape {
		n *= d
	}
	if len(p.Values) != n {
		return fmt.Errorf("%d pixel values, expected %d for shape %v", len(p.Values), n, p.Shape)
	}
	if !v.NaFlex {
		return nil
	}
	if len(p.SpatialShapes) != p.Shape[0] {
		return fmt.Errorf("%d spatial shapes for %d pictures", len(p.SpatialShapes), p.Shape[0])
	}
	for _, s := range p.SpatialShapes {
		if s[0] < 1 || s[1] < 1 || s[0] > p.Shape[1] || s[1] > p.Shape[1]/s[0] {
			return fmt.Errorf("a picture of %d x %d patches, expected 1 to %d in all", s[0], s[1], p.Shape[1])
		}
	}
	return nil
}

func (p *Processor) pixelSpec() (preprocess.Spec, error) {
	m := p.model
	return m.pixelsOnce.get(func() (preprocess.Spec, error) {
		if m.arch.Vision == nil {
			return preprocess.Spec{}, fmt.Errorf("%s: the model has no image tower", m.file.Name())
		}
		if err := m.enter(); err != nil {
			return preprocess.Spec{}, err
		}
		defer m.leave()
		spec, err := preprocess.FromKeys(m.file)
		if err != nil {
			return spec, err
		}
		return m.compatPixels(spec)
	})
}

func (p *Processor) tokenizer() (*tokenizer.Tokenizer, error) {
	m := p.model
	return m.tokenizerOnce.get(func() (*tokenizer.Tokenizer, error) {
		if m.arch.Text == nil {
			return nil, fmt.Errorf("%s: the model has no text tower", m.file.Name())
		}
		if err := m.enter(); err != nil {
			return nil, err
		}
		defer m.leave()
		spec, err := tokenkeys.Read(m.file)
		if err != nil {
			return nil, err
		}
		if spec, err = m.compatText(spec); err != nil {
			return nil, fmt.Errorf("%s: compatibility mode %q: %w", m.file.Name(), m.compat(), err)
		}
		t, err := tokenizer.New(spec)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.file.Name(), err)
		}
		return t, nil
	})
}

// Tokens tokenises texts and pads them, as the pipeline does. A text longer than the model's context is cut, its end token
// kept, or is an error with WithStrict.
func (p *Processor) Tokens(texts ...string) (*Tokens, error) {
	tokens, _, err := p.tokens(texts)
	return tokens, err
}

// tokens is Tokens; cut says whether a text was.
func (p *Processor) tokens(texts []string) (tokens *Tokens, cut bool, err error) {
	t, err := p.tokenizer()
	if err != nil {
		return nil, false, err
	}
	if len(texts) == 0 {
		return nil, false, errors.New("no texts to tokenise")
	}
	batch := t.EncodeBatch(texts, p.model.arch.Text.MaxTokens())
	for i, truncated := range batch.Truncated {
		if truncated {
			cut = true
			if err := p.tooLong(t, texts[i]); err != nil {
				return nil, true, err
			}
		}
	}
	return &Tokens{IDs: batch.IDs, Mask: batch.Mask}, cut, nil
}

// tooLong reports a text over the context, as an error or a warning.
func (p *Processor) tooLong(t *tokenizer.Tokenizer, text string) error {
	context := t.Limit(p.model.arch.Text.MaxTokens())
	what := fmt.Sprintf("text %.60q has %d tokens, the model takes %d", text, len(t.Encode(text)), context)
	if p.model.options.strict {
		return errors.New(what + ": shorten it")
	}
	p.model.options.warn(what + ": the rest is left out")
	return nil
}

// Tokenize returns the ids of a text, start and end tokens included, cut to the model's context and not padded, and the
// tokens that they stand for.
func (p *Processor) Tokenize(text string) (ids []int32, tokens []string, err error) {
	t, err := p.tokenizer()
	if err != nil {
		return nil, nil, err
	}
	ids, truncated := t.EncodeTo(text, t.Limit(p.model.arch.Text.MaxTokens()))
	if truncated {
		if err := p.tooLong(t, text); err != nil {
			return nil, nil, err
		}
	}
	for _, id := range ids {
		tokens = append(tokens, t.Token(id))
	}
	return ids, tokens, nil
}
