package tokenizer

import (
	"encoding/json"
	"fmt"
	"slices"
)

// hfStep is a normaliser, a pre-tokeniser or a post-processor of tokenizer.json: its type, and the fields of all types.
type hfStep struct {
	Type          string    `json:"type"`
	Normalizers   []*hfStep `json:"normalizers"`   // Sequence
	PreTokenizers []*hfStep `json:"pretokenizers"` // Sequence
	Processors    []*hfStep `json:"processors"`    // Sequence

	Charsmap     []byte    `json:"precompiled_charsmap"`
	Pattern      hfPattern `json:"pattern"`
	Content      string    `json:"content"`
	Prepend      string    `json:"prepend"`
	StripLeft    bool      `json:"strip_left"`
	StripRight   bool      `json:"strip_right"`
	CleanText    bool      `json:"clean_text"`
	CJK          bool      `json:"handle_chinese_chars"`
	StripAccents *bool     `json:"strip_accents"`
	Lowercase    bool      `json:"lowercase"`

	Behavior       string `json:"behavior"`
	Invert         bool   `json:"invert"`
	Replacement    string `json:"replacement"`
	PrependScheme  string `json:"prepend_scheme"`
	Split          *bool  `json:"split"`
	AddPrefixSpace bool   `json:"add_prefix_space"`
	UseRegex       *bool  `json:"use_regex"`

	Single  []hfTemplatePart      `json:"single"`
	Special map[string]hfSpecials `json:"special_tokens"`
	CLS     hfPair                `json:"cls"`
	SEP     hfPair                `json:"sep"`
}

// hfPattern is a text or a regular expression.
type hfPattern struct {
	String string `json:"String"`
	Regex  string `json:"Regex"`
}

// hfTemplatePart is a special token or the text in a template.
type hfTemplatePart struct {
	SpecialToken *struct {
		ID string `json:"id"`
	} `json:"SpecialToken"`
	Sequence *struct {
		ID string `json:"id"`
	} `json:"Sequence"`
}

type hfSpecials struct {
	IDs []int32 `json:"ids"`
}

// hfPair is a token and its id: ["</s>", 2].
type hfPair struct {
	token string
	id    int32
}

func (p *hfPair) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &[]any{&p.token, &p.id}) }

// hfPadding is what tokenizer.json says of padding.
type hfPadding struct {
	Direction string `json:"direction"`
	Token     string `json:"pad_token"`
}

// flatten appends the steps of nested sequences in order. The decoder of the standard library bounds the depth.
func (s *hfStep) flatten(dst []*hfStep) []*hfStep {
	if s == nil {
		return dst
	}
	if s.Type == "Sequence" {
		for _, inner := range slices.Concat(s.Normalizers, s.PreTokenizers, s.Processors) {
			dst = inner.flatten(dst)
		}
		return dst
	}
	return append(dst, s)
}

// charsmap returns the first precompiled charsmap, or nil.
func (s *hfStep) charsmap() []byte {
	for _, step := range s.flatten(nil) {
		if step.Type == "Precompiled" {
			return step.Charsmap
		}
	}
	return nil
}

// step translates a normaliser or pre-tokeniser. New refuses the types that it doesn't know.
func (s *hfStep) step() Step {
	out := Step{
		Type: s.Type, Pattern: s.Pattern.String, Regex: s.Pattern.Regex, Content: s.Content, Behavior: s.Behavior, Invert: s.Invert,
		Left: s.StripLeft, Right: s.StripRight, CleanText: s.CleanText, CJK: s.CJK, Lowercase: s.Lowercase,
		AddPrefixSpace: s.AddPrefixSpace, UseRegex: s.UseRegex == nil || *s.UseRegex, Charsmap: s.Charsmap,
	}
	switch s.Type {
	case "Prepend":
		out.Content = s.Prepend
	case "BertNormalizer":
		out.StripAccents = s.Lowercase
		if s.StripAccents != nil {
			out.StripAccents = *s.StripAccents
		}
	case "Metaspace":
		out.Replacement, out.Split, out.Prepend = s.Replacement, s.Split == nil || *s.Split, s.PrependScheme
		if out.Prepend == "" { // older files
			out.Prepend = "never"
			if s.AddPrefixSpace {
				out.Prepend = "always"
			}
		}
		out.AddPrefixSpace = false
	}
	if s.Type != "ByteLevel" {
		out.AddPrefixSpace, out.UseRegex = false, false
	}
	return out
}

// template returns the ids before and after the text.
func (s *hfStep) template() (before, after []int32, err error) {
	for _, step := range s.flatten(nil) {
		switch step.Type {
		case "ByteLevel": // trims offsets only
		case "RobertaProcessing", "BertProcessing":
			before, after = append([]int32{step.CLS.id}, before...), append(after, step.SEP.id)
		case "TemplateProcessing":
			b, a, err := step.parts()
			if err != nil {
				return nil, nil, err
			}
			before, after = append(b, before...), append(after, a...)
		default:
			return nil, nil, fmt.Errorf("type %.40q is not supported", step.Type)
		}
	}
	return before, after, nil
}

func (s *hfStep) parts() (before, after []int32, err error) {
	seen := false
	for i, part := range s.Single {
		switch {
		case part.Sequence != nil && !seen && part.Sequence.ID == "A":
			seen = true
		case part.SpecialToken != nil:
			special, ok := s.Special[part.SpecialToken.ID]
			if !ok {
				return nil, nil, fmt.Errorf("single names %.60q, which special_tokens doesn't have", part.SpecialToken.ID)
			}
			if seen {
				after = append(after, special.IDs...)
			} else {
				before = append(before, special.IDs...)
			}
		default:
			return nil, nil, fmt.Errorf("single has an unknown part %d, expected special tokens and the sequence A once", i)
		}
	}
	if !seen {
		return nil, nil, fmt.Errorf("single has no sequence A")
	}
	return before, after, nil
}

// spec reads the whole file as the tokenizers library does. Its added tokens are left to the configurations, which hold
// them too.
func (f *hfTokenizer) spec() (Spec, error) {
	m := &f.Model
	s := Spec{Tokens: m.Vocab.tokens, Types: m.Vocab.types, BOS: None, EOS: None, Pad: None, Unk: None}
	p := &s.Pipeline
	switch kind := m.kind(); kind {
	case "BPE":
		s.Kind, s.Merges = BPE, m.Merges
		p.ByteFallback, p.FuseUnk, p.IgnoreMerges, p.EndOfWord = m.ByteFallback, m.FuseUnk, m.IgnoreMerges, m.EndOfWord
		p.Continuing = m.Continuing
		p.SkipUnk = m.UnkToken == ""
	case "Unigram":
		s.Kind, s.Scores = Unigram, m.Vocab.rust
		p.ByteFallback = m.ByteFallback
		if m.UnkID != nil {
			s.Unk = *m.UnkID
		}
	case "WordPiece":
		s.Kind = WordPiece
		p.Continuing, p.MaxWordRunes = "##", 100
		if m.Continuing != "" {
			p.Continuing = m.Continuing
		}
		if m.MaxChars != nil {
			p.MaxWordRunes = *m.MaxChars
		}
	default:
		return Spec{}, fmt.Errorf("model.type %.40q is not supported, expected BPE, Unigram or WordPiece", kind)
	}
	if m.UnkToken != "" {
		s.Unk = int32(slices.Index(s.Tokens, m.UnkToken))
		if s.Unk == None {
			return Spec{}, fmt.Errorf("model.unk_token %.60q is not in model.vocab", m.UnkToken)
		}
	}
	for _, step := range f.Normalizer.flatten(nil) {
		p.Normalizers = append(p.Normalizers, step.step())
	}
	for _, step := range f.PreTokenizer.flatten(nil) {
		p.PreTokenizers = append(p.PreTokenizers, step.step())
	}
	return s, nil
}

// kind is the model's type; older files leave it out.
func (m *hfModel) kind() string {
	switch {
	case m.Type != "":
		return m.Type
	case m.Merges != nil:
		return "BPE"
	case m.Vocab.scores != nil:
		return "Unigram"
	}
	return "WordPiece"
}
