package tokenizer

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// Kind names the algorithm that cuts a word into tokens.
type Kind string

const (
	// BPE merges pairs of neighbours in the order of a list of merges.
	BPE Kind = "bpe"
	// Unigram picks the cutting with the greatest sum of scores (Viterbi), as Hugging Face's tokenizers does it.
	Unigram Kind = "unigram"
	// WordPiece takes the longest match from the left, again and again.
	WordPiece Kind = "wordpiece"
	// SentencePieceUnigram is Unigram with the rounding, the piece types and the unknowns of the sentencepiece library.
	SentencePieceUnigram Kind = "sentencepiece-unigram"
	// SentencePieceBPE merges by the score of the piece that a merge makes; it has no list of merges.
	SentencePieceBPE Kind = "sentencepiece-bpe"
)

// TokenType is GGUF's tokenizer.ggml.token_type, which is SentencePiece's type of a piece.
type TokenType int32

const (
	Normal      TokenType = 1
	Unknown     TokenType = 2
	Control     TokenType = 3
	UserDefined TokenType = 4
	// Unused marks an id that stands for no text. Its token may be empty or a copy of another.
	Unused TokenType = 5
	Byte   TokenType = 6
)

// None is the id of a special token that a vocabulary doesn't have.
const None int32 = -1

// Spec is all that a tokeniser is made of, as plain data. Tokens, Types, Merges and Scores are what GGUF files keep in
// tokenizer.ggml.tokens, .token_type, .merges and .scores, the four ids what they keep in .bos_token_id and so on; the
// Pipeline goes through JSON (Pipeline.JSON, ParsePipeline).
type Spec struct {
	Kind   Kind
	Tokens []string    // in the order of their ids, added tokens included
	Types  []TokenType // empty (all normal) or one per token
	Merges []string    // BPE: "left right", the first merges first
	Scores []float64   // Unigram, SentencePiece: logarithms of probabilities, one per token

	BOS, EOS, Pad, Unk int32 // None where there is none

	Pipeline Pipeline
}

// Pipeline says what happens to a text before and after the algorithm of Kind.
type Pipeline struct {
	// Clean rewrites the whole text before anything else looks at it, with the steps of Normalizers.
	Clean []Step `json:"clean,omitempty"`
	// Added tokens are cut out of the text.
	Added []AddedToken `json:"added,omitempty"`
	// Normalizers rewrite the text between added tokens, one after another.
	Normalizers []Step `json:"normalizers,omitempty"`
	// PreTokenizers cut the text into words, one after another. The algorithm sees one word at a time.
	PreTokenizers []Step `json:"pre_tokenizers,omitempty"`

	// EndOfWord is added to the last symbol of a word (BPE: CLIP's "</w>").
	EndOfWord string `json:"end_of_word,omitempty"`
	// Continuing is added in front of every symbol but the first of a word (WordPiece: "##").
	Continuing string `json:"continuing,omitempty"`
	// ByteFallback spells unknown characters with the tokens <0x00> to <0xFF>.
	ByteFallback bool `json:"byte_fallback,omitempty"`
	// SkipUnk leaves unknown characters out (BPE).
	SkipUnk bool `json:"skip_unk,omitempty"`
	// FuseUnk makes one unknown token of several in a row (BPE; Unigram always does).
	FuseUnk bool `json:"fuse_unk,omitempty"`
	// IgnoreMerges takes a word that is a token whole, whatever the merges say.
	IgnoreMerges bool `json:"ignore_merges,omitempty"`
	// WholeControls takes a word that is a control token whole, whatever the merges say (open_clip).
	WholeControls bool `json:"whole_controls,omitempty"`
	// MaxWordRunes is the length in code points from which a word is unknown (WordPiece; 0: no limit).
	MaxWordRunes int `json:"max_word_runes,omitempty"`

	// Before and After are the ids around the text: <s> and </s>, [CLS] and [SEP].
	Before []int32 `json:"before,omitempty"`
	After  []int32 `json:"after,omitempty"`
	// OneEOS leaves After out where the text itself ends in its first id (SiglipTokenizer).
	OneEOS bool `json:"one_eos,omitempty"`

	// MaxLength is how many ids the model takes, Before and After included (0: the tokeniser doesn't know).
	MaxLength int `json:"max_length,omitempty"`
	// TruncateLeft leaves out the start of a text that is too long, not its end.
	TruncateLeft bool `json:"truncate_left,omitempty"`
	// PadTo is the length that rows are padded to (0: the longest of the batch).
	PadTo int `json:"pad_to,omitempty"`
	// PadLeft puts the padding in front.
	PadLeft bool `json:"pad_left,omitempty"`
	// Mask is whether the tokeniser gives an attention mask to the model; without it padding is attended to.
	Mask bool `json:"mask,omitempty"`
}

// AddedToken is a token that is found in the text as it stands, whatever the merges or scores say.
// The fields have the meaning of Hugging Face's AddedToken.
type AddedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	Special    bool   `json:"special,omitempty"`     // holds no text: start, end, padding
	SingleWord bool   `json:"single_word,omitempty"` // only where no letter, digit or mark touches it
	LStrip     bool   `json:"lstrip,omitempty"`      // swallows white space on its left
	RStrip     bool   `json:"rstrip,omitempty"`      // swallows white space on its right
	Normalized bool   `json:"normalized,omitempty"`  // searched for in the normalised text
}

// Step is one normaliser or pre-tokeniser, named and parametrised as in tokenizer.json, where Type says which of the
// other fields count.
type Step struct {
	Type string `json:"type"`

	Pattern  string `json:"pattern,omitempty"`  // Replace, Split: a text ...
	Regex    string `json:"regex,omitempty"`    // ... or one of the regular expressions of scan.go
	Content  string `json:"content,omitempty"`  // Replace, Prepend
	Behavior string `json:"behavior,omitempty"` // Split, Punctuation: Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous
	Invert   bool   `json:"invert,omitempty"`   // Split: the matches are the words
	Left     bool   `json:"left,omitempty"`     // Strip
	Right    bool   `json:"right,omitempty"`    // Strip

	CleanText    bool `json:"clean_text,omitempty"`    // BertNormalizer
	CJK          bool `json:"cjk,omitempty"`           // BertNormalizer: spaces around each ideograph
	StripAccents bool `json:"strip_accents,omitempty"` // BertNormalizer
	Lowercase    bool `json:"lowercase,omitempty"`     // BertNormalizer
	Underscores  bool `json:"underscores,omitempty"`   // RemovePunctuation: they become spaces

	Replacement    string `json:"replacement,omitempty"`      // Metaspace: what stands for a space
	Prepend        string `json:"prepend,omitempty"`          // Metaspace: always, first, never
	Split          bool   `json:"split,omitempty"`            // Metaspace
	AddPrefixSpace bool   `json:"add_prefix_space,omitempty"` // ByteLevel
	UseRegex       bool   `json:"use_regex,omitempty"`        // ByteLevel

	Charsmap []byte `json:"charsmap,omitempty"` // Precompiled, SentencePiece

	// SentencePiece: a text put in front, whose tokens are dropped again, so that no dummy prefix touches the real text.
	Shield       string `json:"shield,omitempty"`
	DummyPrefix  bool   `json:"dummy_prefix,omitempty"`  // SentencePiece: a space in front
	DummySuffix  bool   `json:"dummy_suffix,omitempty"`  // SentencePiece: the space goes behind
	ExtraSpaces  bool   `json:"extra_spaces,omitempty"`  // SentencePiece: remove them
	EscapeSpaces bool   `json:"escape_spaces,omitempty"` // SentencePiece: U+2581 for a space
}

// Limits on outside data. The largest vocabulary of the family is XLM-V's, with 901,629 tokens.
const (
	maxTokens     = 1 << 22
	maxTokenBytes = 1 << 10
	maxAdded      = 1 << 16
	maxSteps      = 64
)

// JSON returns the pipeline as one line of JSON, to be kept beside the vocabulary.
func (p Pipeline) JSON() string {
	b, err := json.Marshal(p)
	if err != nil {
		panic(err) // plain data: every field has a JSON form
	}
	return string(b)
}

// ParsePipeline reads what Pipeline.JSON wrote. Fields that it doesn't know are an error, since a tokeniser that
// leaves one out would give other ids. New checks the values.
func ParsePipeline(text string) (Pipeline, error) {
	var p Pipeline
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return Pipeline{}, fmt.Errorf("tokenizer pipeline: %w", err)
	}
	return p, nil
}

// check validates the vocabulary and every id, and returns the id of each token.
func (s *Spec) check() (map[string]int32, error) {
	if len(s.Tokens) == 0 {
		return nil, fmt.Errorf("tokenizer: the vocabulary is empty")
	}
	if len(s.Tokens) > maxTokens {
		return nil, fmt.Errorf("tokenizer: %d tokens, at most %d are supported", len(s.Tokens), maxTokens)
	}
	if n := len(s.Types); n != 0 && n != len(s.Tokens) {
		return nil, fmt.Errorf("tokenizer: %d token types for %d tokens", n, len(s.Tokens))
	}
	ids, err := s.index()
	if err != nil {
		return nil, err
	}
	if err := s.checkModel(); err != nil {
		return nil, err
	}
	return ids, s.checkIDs()
}

// index returns the id of each token. An unused one gives way to a token in use.
func (s *Spec) index() (map[string]int32, error) {
	ids := make(map[string]int32, len(s.Tokens))
	unused := false
	for i, token := range s.Tokens {
		switch t := s.typeOf(int32(i)); {
		case t < Normal || t > Byte:
			return nil, fmt.Errorf("tokenizer: token %d has type %d, expected 1 to 6", i, t)
		case len(token) > maxTokenBytes:
			return nil, fmt.Errorf("tokenizer: token %d has %d bytes, at most %d are supported", i, len(token), maxTokenBytes)
		case t == Unused:
			unused = true
			continue
		}
		before := len(ids)
		if ids[token] = int32(i); len(ids) == before {
			return nil, fmt.Errorf("tokenizer: token %d repeats token %d, %.60q", i, slices.Index(s.Tokens, token), token)
		}
	}
	for i, token := range s.Tokens {
		if !unused {
			break
		}
		if _, taken := ids[token]; !taken && token != "" && s.typeOf(int32(i)) == Unused {
			ids[token] = int32(i)
		}
	}
	return ids, nil
}

func (s *Spec) checkModel() error {
	switch s.Kind {
	case BPE, WordPiece:
		if n := len(s.Scores); n != 0 && n != len(s.Tokens) {
			return fmt.Errorf("tokenizer: %d scores for %d tokens", n, len(s.Tokens))
		}
	case Unigram, SentencePieceUnigram, SentencePieceBPE:
		if len(s.Scores) != len(s.Tokens) {
			return fmt.Errorf("tokenizer: %s has %d scores for %d tokens", s.Kind, len(s.Scores), len(s.Tokens))
		}
		for i, score := range s.Scores {
			if math.IsNaN(score) || math.IsInf(score, 0) {
				return fmt.Errorf("tokenizer: the score of token %d is %v", i, score)
			}
		}
	default:
		return fmt.Errorf("tokenizer: unknown kind %.40q", s.Kind)
	}
	if s.Kind != BPE && len(s.Merges) > 0 {
		return fmt.Errorf("tokenizer: %s has no merges, found %d", s.Kind, len(s.Merges))
	}
	return nil
}

func (s *Spec) checkIDs() error {
	check := func(what string, id int32) error {
		if id < 0 || int(id) >= len(s.Tokens) {
			return fmt.Errorf("tokenizer: %s has id %d, outside the vocabulary of %d", what, id, len(s.Tokens))
		}
		return nil
	}
	for _, special := range []struct {
		what string
		id   int32
	}{{"the start token", s.BOS}, {"the end token", s.EOS}, {"the padding token", s.Pad}, {"the unknown token", s.Unk}} {
		if special.id == None {
			continue
		}
		if err := check(special.what, special.id); err != nil {
			return err
		}
	}
	p := &s.Pipeline
	for _, ids := range [][]int32{p.Before, p.After} {
		if len(ids) > maxSteps {
			return fmt.Errorf("tokenizer: %d ids around the text, at most %d are supported", len(ids), maxSteps)
		}
		for _, id := range ids {
			if err := check("the template", id); err != nil {
				return err
			}
		}
	}
	if len(p.Added) > maxAdded {
		return fmt.Errorf("tokenizer: %d added tokens, at most %d are supported", len(p.Added), maxAdded)
	}
	for _, added := range p.Added {
		if err := check(fmt.Sprintf("added token %.60q", added.Content), added.ID); err != nil {
			return err
		}
		if len(added.Content) > maxTokenBytes {
			return fmt.Errorf("tokenizer: added token %d has %d bytes, at most %d are supported", added.ID, len(added.Content), maxTokenBytes)
		}
		if added.Content == "" || !utf8.ValidString(added.Content) {
			return fmt.Errorf("tokenizer: added token %d is %.60q, expected text", added.ID, added.Content)
		}
	}
	for _, step := range slices.Concat(p.Clean, p.Normalizers, p.PreTokenizers) {
		if n := max(len(step.Content), len(step.Pattern), len(step.Shield)); n > maxTokenBytes {
			return fmt.Errorf("tokenizer: step %.40q has a text of %d bytes, at most %d are supported", step.Type, n, maxTokenBytes)
		}
	}
	if p.MaxLength < 0 || p.PadTo < 0 || p.MaxWordRunes < 0 {
		return fmt.Errorf("tokenizer: negative length (max_length %d, pad_to %d, max_word_runes %d)", p.MaxLength, p.PadTo, p.MaxWordRunes)
	}
	return nil
}

func (s *Spec) typeOf(id int32) TokenType {
	if len(s.Types) == 0 {
		return Normal
	}
	return s.Types[id]
}
