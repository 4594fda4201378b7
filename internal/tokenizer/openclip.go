package tokenizer

import (
	"fmt"
	"slices"
)

// OpenCLIPOptions is what open_clip's text configuration says of its tokeniser (tokenizer_kwargs, context_length).
type OpenCLIPOptions struct {
	Clean         string // "lower", "whitespace" or "canonicalize"; empty: the default of the tokeniser
	ContextLength int    // 0: 77
	StripSEP      bool   // strip_sep_token: the separator becomes 0
}

const (
	openCLIPStart = "<start_of_text>"
	openCLIPEnd   = "<end_of_text>"
)

// OpenCLIP returns open_clip's SimpleTokenizer: CLIP's vocabulary, with the text cleaned by ftfy and html.unescape
// (mojibake is left alone, see fixText), padded with 0 to the context, without a mask.
func OpenCLIP(o OpenCLIPOptions) (Spec, error) {
	s, err := OpenAICLIP()
	if err != nil {
		return Spec{}, err
	}
	return s.LikeOpenCLIP(o)
}

// simple returns the tokeniser of the class SimpleTokenizer, which OpenAI wrote and open_clip took over, with CLIP's vocabulary.
// word is the regular expression that cuts words.
func (s Spec) simple(start, end, word string) Spec {
	n := len(s.Tokens)
	s.Tokens, s.Types = slices.Clone(s.Tokens), slices.Clone(s.Types)
	if len(s.Types) == 0 {
		s.Types = slices.Repeat([]TokenType{Normal}, n)
	}
	s.Tokens[s.BOS], s.Tokens[s.EOS] = start, end
	s.Types[s.BOS], s.Types[s.EOS] = Control, Control
	s.Pad, s.Unk = 0, None
	s.Pipeline = Pipeline{
		EndOfWord: clipEndOfWord,
		// Without regard to case the iota subscript is a letter's variant but no letter: neither half of the expression
		// matches it, and it separates words.
		Normalizers: []Step{{Type: "Replace", Pattern: "\u0345", Content: " "}},
		PreTokenizers: []Step{
			{Type: "Split", Regex: word, Behavior: "Removed", Invert: true},
			{Type: "ByteLevel"},
		},
		WholeControls: true,
		Before:        []int32{s.BOS},
		After:         []int32{s.EOS},
	}
	return s
}

// ForOpenCLIP returns a tokeniser of Hugging Face's as open_clip wraps it (HFTokenizer): cleaned text, rows of one
// length, no mask.
func (s Spec) ForOpenCLIP(o OpenCLIPOptions) (Spec, error) {
	clean := []Step{{Type: "Ftfy"}, {Type: "HTMLUnescape"}, {Type: "HTMLUnescape"}, {Type: "PythonSpaces"}}
	switch o.Clean {
	case "", "whitespace":
	case "lower":
		clean = append(clean, Step{Type: "PythonLowercase"})
	case "canonicalize":
		clean = append(clean, Step{Type: "RemovePunctuation", Underscores: true}, Step{Type: "PythonLowercase"}, Step{Type: "PythonSpaces"})
	default:
		return Spec{}, fmt.Errorf("tokenizer_kwargs: clean is %.40q, expected lower, whitespace or canonicalize", o.Clean)
	}
	if o.ContextLength == 0 {
		o.ContextLength = clipContext
	}
	if o.ContextLength < 0 {
		return Spec{}, fmt.Errorf("text_cfg: context_length is %d, expected a positive number", o.ContextLength)
	}
	p := &s.Pipeline
	p.Clean = append(clean, p.Clean...)
	p.MaxLength, p.PadTo, p.Mask = o.ContextLength, o.ContextLength, false
	if o.StripSEP && len(p.After) > 0 {
		sep := p.After[len(p.After)-1]
		zero := func(ids []int32) (out []int32) {
			for _, id := range ids {
				if id == sep {
					id = 0
				}
				out = append(out, id)
			}
			return out
		}
		p.Before, p.After = zero(p.Before), zero(p.After)
		added := append([]AddedToken(nil), p.Added...)
		for i := range added {
			if added[i].ID == sep {
				added[i].ID = 0
			}
		}
		p.Added = added
	}
	return s, nil
}
