package arch

import (
	"fmt"

	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/program"
)

// The GGUF keys: clip.cpp's, and beside them what its files lack. clip.cpp's own files have no logit scale (the trained
// limit of 100 is assumed), no poolings and one activation for both towers.
const (
	architecture = "clip"
	visionKey    = "clip.vision."
	textKey      = "clip.text."
	queriesKey   = "clip.queries."

	// DefaultLogitScale is assumed where a file has none: ln 100, where the training of CLIPs stops.
	DefaultLogitScale = 4.6051702
)

// visitor reads or writes fields. A field that is not required and whose key is missing keeps the value it has.
type visitor interface {
	int(key string, p *int, required bool)
	float(key string, p *float32, required bool)
	bool(key string, p *bool)
	string(key string, p *string)
	act(key string, p *program.Activation)
	ints(key string, list []int) // required, of this length
}

func (t *Tower) visit(prefix string, v visitor) {
	v.int(prefix+"embedding_length", &t.Width, true)
	v.int(prefix+"feed_forward_length", &t.FFN, true)
	v.int(prefix+"block_count", &t.Layers, true)
	v.int(prefix+"projection_dim", &t.Projection, true)
	v.int(prefix+"attention.head_count", &t.Heads, true)
	v.float(prefix+"attention.layer_norm_epsilon", &t.Eps, true)
	v.act(prefix+"hidden_act", &t.Act)
	v.string(prefix+"pooling", (*string)(&t.Pooling))
	v.bool(prefix+"post_norm", &t.PostNorm)
}

func (x *Vision) visit(v visitor) {
	x.Image.visit(v)
	convolutional := x.Conv != nil
	v.bool(visionKey+"convolutional", &convolutional)
	if convolutional {
		x.visitConv(v)
		return
	}
	x.Tower.visit(visionKey, v)
	v.int(visionKey+"patch_size", &x.Patch, true)
	v.int(visionKey+"register_count", &x.Registers, false)
	v.bool(visionKey+"norm_twice", &x.NormTwice)
	v.bool(visionKey+"naflex", &x.NaFlex)
	v.bool(visionKey+"norm_after_pooling", &x.NormAfterPool)
	v.int(visionKey+"head.attention.head_count", &x.HeadCount, false)
	v.int(visionKey+"head.query_count", &x.HeadQueries, false)
	queries := x.Queries != nil
	v.bool("clip.has_queries", &queries)
	if queries {
		if x.Queries == nil {
			x.Queries = &Queries{}
		}
		x.Queries.visit(v)
	}
}

// visit reads or writes the size of pictures; files of others, and of square ones, have one number.
func (s *Size) visit(v visitor) {
	v.int(visionKey+"image_size", &s.H, true)
	if s.W != s.H {
		v.int(visionKey+"image_width", &s.W, false)
	}
	if s.W == 0 {
		s.W = s.H
	}
}

func (x *Queries) visit(v visitor) {
	x.Tower.visit(queriesKey, v)
	v.int(queriesKey+"token_count", &x.Tokens, true)
	v.int(queriesKey+"cross_attention_frequency", &x.Every, true)
}

func (x *Text) visit(v visitor) {
	x.Tower.visit(textKey, v)
	v.int(textKey+"context_length", &x.Context, true)
	v.int(textKey+"vocabulary_size", &x.Vocab, false)
	v.bool(textKey+"attention.causal", &x.Causal)
	v.bool(textKey+"attention.masked", &x.Masked)
	eos := int(x.EOS)
	v.int(textKey+"eos_token_id", &eos, false)
	x.EOS = int32(eos)
	v.float(textKey+"embedding_factor", &x.EmbedFactor, false)
	v.float(textKey+"pooling_epsilon", &x.PoolEps, false)
	v.int(textKey+"pooler_length", &x.Pooler, false)
	v.act(textKey+"pooler_act", &x.PoolerAct)
	v.int(textKey+"skipped_tokens", &x.Skip, false)
	pad := int(x.Pad)
	v.int(textKey+"padding_token_id", &pad, false)
	x.Pad = int32(pad)
	v.bool(textKey+"positions_count_words", &x.CountWords)
}

func (m *Model) visit(v visitor) {
	v.string("general.name", &m.Name)
	v.string("clip.family", &m.Family)
	v.float("clip.logit_scale", &m.LogitScale, false)
	v.float("clip.logit_bias", &m.LogitBias, false)
	v.string("clip.score", (*string)(&m.Score))
	v.string("clip.prompt_template", &m.Template)
}

type writer struct {
	w   *gguf.Writer
	err error
}

func (w *writer) set(key string, value any) {
	if w.err == nil {
		w.err = w.w.Set(key, value)
	}
}

func (w *writer) int(key string, p *int, _ bool) {
	if *p < 0 {
		w.err = fmt.Errorf("%s is %d, expected no negative number", key, *p)
		return
	}
	w.set(key, uint32(*p))
}
func (w *writer) float(key string, p *float32, _ bool) { w.set(key, *p) }
func (w *writer) bool(key string, p *bool)             { w.set(key, *p) }
func (w *writer) string(key string, p *string) {
	if *p != "" {
		w.set(key, *p)
	}
}

func (w *writer) ints(key string, list []int) {
	out := make([]uint32, len(list))
	for i := range list {
		out[i] = uint32(list[i]) // validated: not negative
	}
	w.set(key, out)
}

func (w *writer) act(key string, p *program.Activation) { w.set(key, activationName(*p)) }

// WriteKeys sets the keys that describe m.
func (m *Model) WriteKeys(w *gguf.Writer) error {
	v := &writer{w: w}
	v.set("general.architecture", architecture)
	m.visit(v)
	v.set("clip.has_text_encoder", m.Text != nil)
	v.set("clip.has_vision_encoder", m.Vision != nil)
	if m.Text != nil {
		m.Text.visit(v)
		v.set("clip.use_gelu", m.Text.Act == program.ActGELU)
	}
	if m.Vision != nil {
		m.Vision.visit(v)
		if m.Text == nil {
			v.set("clip.use_gelu", m.Vision.Act == program.ActGELU)
		}
	}
	return v.err
}

type reader struct {
	f   *gguf.File
	err error
}

func (r *reader) skip(key string, required bool) bool {
	return r.err != nil || !required && !r.f.Has(key)
}

func (r *reader) int(key string, p *int, required bool) {
	if r.skip(key, required) {
		return
	}
	v, err := r.f.Uint(key)
	if err == nil && v > 1<<31-1 {
		err = fmt.Errorf("%s: %s is %d, which is too large", r.f.Name(), key, v)
	}
	*p, r.err = int(v), err
}

func (r *reader) float(key string, p *float32, required bool) {
	if r.skip(key, required) {
		return
	}
	v, err := r.f.Float(key)
	*p, r.err = float32(v), err
}

func (r *reader) bool(key string, p *bool) {
	if r.skip(key, false) {
		return
	}
	*p, r.err = r.f.Bool(key)
}

func (r *reader) string(key string, p *string) {
	if r.skip(key, false) {
		return
	}
	*p, r.err = r.f.String(key)
}

func (r *reader) act(key string, p *program.Activation) {
	name := ""
	r.string(key, &name)
	if r.err != nil || name == "" {
		return
	}
	a, err := ParseActivation(name)
	if err != nil {
		r.err = fmt.Errorf("%s: %s: %w", r.f.Name(), key, err)
	}
	*p = a
}

func (r *reader) ints(key string, list []int) {
	if r.err != nil {
		return
	}
	all, err := r.f.Ints(key)
	if err == nil && len(all) != len(list) {
		err = fmt.Errorf("%s: %s has %d elements, expected %d", r.f.Name(), key, len(all), len(list))
	}
	for i := range all {
		if err == nil && (all[i] < 0 || all[i] > 1<<31-1) {
			err = fmt.Errorf("%s: %s holds %d, expected no negative and no larger number than %d", r.f.Name(), key, all[i], 1<<31-1)
		}
		if err == nil {
			list[i] = int(all[i])
		}
	}
	r.err = err
}

// ReadKeys reads a model's hyper-parameters and checks them. The file may be ours or clip.cpp's.
func ReadKeys(f *gguf.File) (*Model, error) {
	arch, err := f.StringOr("general.architecture", "")
	if err != nil {
		return nil, err
	}
	if arch == "vit" || arch == "clip_text" {
		return nil, fmt.Errorf("%s: general.architecture is %q: this is half of a model of CrispEmbed's; make one file of both with `clipgo convert`",
			f.Name(), arch)
	}
	if arch != architecture {
		return nil, fmt.Errorf("%s: general.architecture is %q, expected %q: this is not a CLIP; make one with `clipgo convert`",
			f.Name(), arch, architecture)
	}
	for _, key := range []string{"clip.projector_type", "clip.vision.projector_type", "clip.has_llava_projector"} {
		if f.Has(key) {
			return nil, fmt.Errorf("%s: %s is set: this is the image half of a chat model (LLaVA, mmproj), whose last block and "+
				"projection to CLIP's space are missing; convert the CLIP itself instead", f.Name(), key)
		}
	}
	act := program.ActQuickGELU
	gelu, err := f.BoolOr("clip.use_gelu", false)
	if err != nil {
		return nil, err
	}
	if gelu {
		act = program.ActGELU
	}
	r := &reader{f: f}
	m := &Model{Family: "clip", LogitScale: DefaultLogitScale, Score: Softmax, Template: DefaultTemplate}
	m.visit(r)
	has := func(key string) bool {
		if r.err != nil {
			return false
		}
		v, err := f.BoolOr(key, false)
		r.err = err
		return v
	}
	if has("clip.has_text_encoder") {
		m.Text = &Text{Tower: Tower{Act: act, Pooling: PoolArgmax}, Causal: true, EmbedFactor: 1}
		m.Text.visit(r)
		if r.err == nil && m.Text.Vocab == 0 {
			if t, ok := f.Tensor("t.token_embd.weight"); ok && len(t.Dims) == 2 && t.Dims[1] <= maxVocab {
				m.Text.Vocab = int(t.Dims[1])
			}
		}
	}
	if has("clip.has_vision_encoder") {
		m.Vision = &Vision{Tower: Tower{Act: act, Pooling: PoolFirst}}
		m.Vision.visit(r)
	}
	if r.err != nil {
		return nil, r.err
	}
	if err := m.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return m, nil
}
