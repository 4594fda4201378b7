package clipgo

import (
	"fmt"
	"slices"
	"strings"

	"github.com/clipgo/clipgo/internal/arch"
	"github.com/clipgo/clipgo/internal/preprocess"
	"github.com/clipgo/clipgo/internal/program"
	"github.com/clipgo/clipgo/internal/tokenizer"
	"github.com/clipgo/clipgo/internal/tokenkeys"
)

// Compat names a program whose numbers a model shall give. Programs that run the same weights differ in how they resize and crop
// pictures, when they convert to RGB, how they clean texts, in the default prompt and in the kind of GELU; docs/parity.md says how,
// and how much it matters.
type Compat string

// The programs. Without WithCompat a model of transformers' layout behaves as in CompatHF, one of open_clip's layout as in
// CompatOpenCLIP.
const (
	CompatHF       Compat = "hf"       // transformers 5.23 with its Pillow image processors
	CompatHF5      Compat = "hf5"      // transformers 5.23 with its torchvision image processors, on a processor with AVX2
	CompatHF4      Compat = "hf4"      // transformers 4.57
	CompatOpenCLIP Compat = "openclip" // open_clip 3.3
	CompatOpenAI   Compat = "openai"   // OpenAI's package clip
	CompatTFJS     Compat = "tfjs"     // transformers.js 4.2 in Node
)

// compatPrograms are what the programs are called and the families that they have.
var compatPrograms = []struct {
	mode     Compat
	name     string
	families []string // clip.family; nil: all of transformers 5
}{
	{CompatHF, "transformers", nil},
	{CompatHF5, "transformers", nil},
	{CompatHF4, "transformers 4", []string{"align", "altclip", "blip", "blip-2", "chinese_clip", "clip", "clipseg", "metaclip_2", "siglip", "siglip2"}},
	{CompatOpenCLIP, "open_clip 3", []string{"clip", "metaclip_2", "siglip", openCLIPFamily}},
	{CompatOpenAI, "OpenAI's package", []string{"clip"}},
	{CompatTFJS, "transformers.js", []string{"chinese_clip", "clip", "clipseg", "siglip"}},
}

const openCLIPFamily = "open_clip"

// ParseCompat returns the program that a mode's name stands for.
func ParseCompat(name string) (Compat, error) {
	var names []string
	for _, p := range compatPrograms {
		if name == string(p.mode) {
			return p.mode, nil
		}
		names = append(names, string(p.mode))
	}
	return "", fmt.Errorf("compatibility mode %q is not known, expected one of %s", name, strings.Join(names, ", "))
}

// WithCompat makes a model give another program's numbers. Opening fails if that program doesn't have such models.
func WithCompat(c Compat) Option { return func(o *options) { o.compat = c } }

// has reports whether the program has models like m. One of open_clip's layout is like transformers' CLIP or SigLIP, or like none
// of transformers'.
func (c Compat) has(m *arch.Model) bool {
	family := m.Family
	if family == openCLIPFamily && c != CompatOpenCLIP {
		switch {
		case isSigLIP(m):
			family = "siglip"
		case (m.Vision == nil || m.Vision.Pooling == arch.PoolFirst) && (m.Text == nil || m.Text.Causal && m.Text.Pooling != arch.PoolAppended):
			family = "clip"
		default:
			return false
		}
	}
	for _, p := range compatPrograms {
		if p.mode == c {
			return p.families == nil || slices.Contains(p.families, family)
		}
	}
	return false
}

// isSigLIP reports whether m is a SigLIP of a fixed resolution, in either layout.
func isSigLIP(m *arch.Model) bool {
	return m.Family == "siglip" || m.Family == openCLIPFamily && m.Vision != nil && m.Vision.Pooling == arch.PoolMAP
}

// changes reports whether the program uses the layout that m doesn't come in.
func (c Compat) changes(m *arch.Model) bool {
	return (c == CompatOpenCLIP) != (m.Family == openCLIPFamily)
}

// compat is the mode asked for, or the layout's own.
func (m *Model) compat() Compat {
	switch {
	case m.options.compat != "":
		return m.options.compat
	case m.arch.Family == openCLIPFamily:
		return CompatOpenCLIP
	}
	return CompatHF
}

// applyCompat changes what the file says of the model to what the program makes of it, and refuses models that it doesn't have.
func (m *Model) applyCompat() error {
	c := m.compat()
	if _, err := ParseCompat(string(c)); err != nil {
		return err
	}
	if !c.has(m.arch) {
		var name string
		var fitting []string
		for _, p := range compatPrograms {
			if p.mode == c {
				name = p.name
			}
			if p.mode.has(m.arch) {
				fitting = append(fitting, string(p.mode))
			}
		}
		return fmt.Errorf("%s: compatibility mode %q: %s has no models like this one (%s); leave the mode out, or choose one of %s",
			m.file.Name(), c, name, m.arch.Family, strings.Join(fitting, ", "))
	}
	if c == CompatTFJS && m.arch.Template == arch.DefaultTemplate {
		m.arch.Template = strings.TrimSuffix(arch.DefaultTemplate, ".")
	}
	if c == CompatOpenAI {
		m.options.strict = true // it refuses texts that are too long
	}
	if !isSigLIP(m.arch) || !c.changes(m.arch) {
		return nil
	}
	// The same weights with two activations: transformers approximates GELU in both towers, open_clip in some.
	image, text := program.ActGELUTanh, program.ActGELUTanh
	if c == CompatOpenCLIP {
		if m.arch.Vision != nil {
			image = m.arch.Vision.SigLIPActivation()
		}
		if kind, err := tokenkeys.Kind(m.file); err != nil {
			return err
		} else if kind == tokenizer.SentencePieceUnigram { // SigLIP, and not SigLIP 2
			text = program.ActGELU
		}
	}
	if m.arch.Vision != nil {
		m.arch.Vision.Act = image
	}
	if m.arch.Text != nil {
		m.arch.Text.Act = text
	}
	return nil
}

// compatPixels is how the program prepares pictures for a model with this specification.
func (m *Model) compatPixels(s preprocess.Spec) (preprocess.Spec, error) {
	c := m.compat()
	if (c == CompatHF || c == CompatOpenCLIP) && !c.changes(m.arch) {
		return s, nil // the file's own
	}
	if isSigLIP(m.arch) && c.changes(m.arch) {
		// open_clip takes bicubic for all, transformers bilinear for SigLIP 2.
		s.Filter = preprocess.Bicubic
		if kind, err := tokenkeys.Kind(m.file); err != nil {
			return s, err
		} else if c != CompatOpenCLIP && kind == tokenizer.BPE {
			s.Filter = preprocess.Bilinear
		}
	}
	s, err := s.With(preprocess.Compat(c))
	if err != nil {
		return s, fmt.Errorf("%s: compatibility mode %q: %w", m.file.Name(), c, err)
	}
	return s, nil
}

// compatText is how the program tokenises for a model with this tokeniser.
func (m *Model) compatText(s tokenizer.Spec) (tokenizer.Spec, error) {
	switch c := m.compat(); {
	case c == CompatOpenAI:
		return s.LikeOpenAI(m.arch.Text.Context)
	case c == CompatOpenCLIP && c.changes(m.arch):
		return s.LikeOpenCLIP(tokenizer.OpenCLIPOptions{ContextLength: m.arch.Text.Context})
	case c.changes(m.arch):
		return s.LikeTransformers(), nil
	case c == CompatHF4 && m.arch.Family == "siglip2":
		return s.KeepCase(), nil // transformers 4 takes the public checkpoints' tokenizer.json as it is, which doesn't lower-case
	}
	return s, nil
}
