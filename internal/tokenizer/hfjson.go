package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// hfTokenizer is tokenizer.json, the file of the tokenizers library.
type hfTokenizer struct {
	Added        []hfAdded  `json:"added_tokens"`
	Normalizer   *hfStep    `json:"normalizer"`
	PreTokenizer *hfStep    `json:"pre_tokenizer"`
	Post         *hfStep    `json:"post_processor"`
	Padding      *hfPadding `json:"padding"`
	Model        hfModel    `json:"model"`
}

// hfAdded is an added token with its id.
type hfAdded struct {
	ID    int32
	Token hfToken
}

func (a *hfAdded) UnmarshalJSON(b []byte) error {
	var id struct {
		ID int32 `json:"id"`
	}
	if err := json.Unmarshal(b, &id); err != nil {
		return err
	}
	a.ID = id.ID
	return json.Unmarshal(b, &a.Token)
}

// hfModel is its vocabulary and algorithm.
type hfModel struct {
	Type         string   `json:"type"` // may be missing in older files
	Vocab        hfVocab  `json:"vocab"`
	Merges       hfMerges `json:"merges"`
	UnkToken     string   `json:"unk_token"`
	UnkID        *int32   `json:"unk_id"`
	ByteFallback bool     `json:"byte_fallback"`
	FuseUnk      bool     `json:"fuse_unk"`
	IgnoreMerges bool     `json:"ignore_merges"`
	EndOfWord    string   `json:"end_of_word_suffix"`
	Continuing   string   `json:"continuing_subword_prefix"`
	MaxChars     *int     `json:"max_input_chars_per_word"`
}

// hfVocab is a vocabulary: an object of ids by token, or a list of tokens with their scores.
type hfVocab struct {
	tokens []string
	types  []TokenType // nil unless an id has no token
	scores []float64   // of a list, as Python reads them
	rust   []float64   // the same as the tokenizers library reads them
}

func (v *hfVocab) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	open, err := d.Token()
	if err != nil {
		return err
	}
	switch open {
	case json.Delim('{'):
		return v.readObject(d)
	case json.Delim('['):
		return v.readList(d)
	case nil:
		return nil
	}
	return fmt.Errorf("vocab is %.40v, expected an object or a list", open)
}

func (v *hfVocab) readObject(d *json.Decoder) error {
	type entry struct {
		token string
		id    int32
	}
	var entries []entry
	seen := map[string]bool{}
	top := int32(-1)
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		token, _ := key.(string)
		var id int32
		if err := d.Decode(&id); err != nil {
			return fmt.Errorf("vocab: the id of %.60q: %w", token, err)
		}
		if seen[token] {
			return fmt.Errorf("vocab: token %.60q comes twice", token)
		}
		if id < 0 || len(entries) == maxTokens {
			return fmt.Errorf("vocab: token %.60q, number %d, has id %d, at most %d tokens are supported", token, len(entries), id, maxTokens)
		}
		seen[token] = true
		entries = append(entries, entry{token, id})
		top = max(top, id)
	}
	// A few ids may stand for nothing; a file that names a huge one is not worth the memory.
	if int(top) >= 2*len(entries)+1<<16 {
		return fmt.Errorf("vocab: the greatest id is %d for %d tokens", top, len(entries))
	}
	v.tokens = make([]string, top+1)
	taken := make([]bool, top+1)
	for _, e := range entries {
		if taken[e.id] {
			return fmt.Errorf("vocab: tokens %.60q and %.60q have the same id %d", v.tokens[e.id], e.token, e.id)
		}
		taken[e.id], v.tokens[e.id] = true, e.token
	}
	if len(entries) < len(v.tokens) {
		v.types = make([]TokenType, len(v.tokens))
		for id := range v.types {
			v.types[id] = Unused
			if taken[id] {
				v.types[id] = Normal
			}
		}
	}
	return nil
}

func (v *hfVocab) readList(d *json.Decoder) error {
	for d.More() {
		var token string
		var number json.Number
		if err := d.Decode(&[]any{&token, &number}); err != nil {
			return fmt.Errorf("vocab: entry %d: %w", len(v.tokens), err)
		}
		score, err := number.Float64()
		if err != nil {
			return fmt.Errorf("vocab: entry %d has the score %.40q, expected a number", len(v.tokens), number)
		}
		if len(v.tokens) == maxTokens {
			return fmt.Errorf("vocab: more than %d tokens", maxTokens)
		}
		v.tokens = append(v.tokens, token)
		v.scores = append(v.scores, score)
		v.rust = append(v.rust, rustFloat(string(number), score))
	}
	return nil
}

// rustFloat reads a number as Rust's serde_json does, which may be off by one in the last place: the digits as an
// integer, rounded, then divided by a power of ten, rounded again. It matters where two ways to cut a word have the same
// sum but for rounding, as in a run of one letter. Numbers in other notations than -12.34 are left as they are.
func rustFloat(number string, exact float64) float64 {
	digits, negative := strings.CutPrefix(number, "-")
	whole, fraction, _ := strings.Cut(digits, ".")
	significand, err := strconv.ParseUint(whole+fraction, 10, 64)
	if err != nil || len(fraction) >= len(powersOfTen) {
		return exact
	}
	f := float64(significand) / powersOfTen[len(fraction)]
	if negative {
		f = -f
	}
	return f
}

// powersOfTen are those that float64 holds exactly.
var powersOfTen = func() (out [23]float64) {
	out[0] = 1
	for i := 1; i < len(out); i++ {
		out[i] = out[i-1] * 10
	}
	return out
}()

// hfMerges is a list of merges, each "left right" or ["left", "right"].
type hfMerges []string

func (m *hfMerges) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if open, err := d.Token(); err != nil || open == nil {
		return err
	} else if open != json.Delim('[') {
		return fmt.Errorf("merges is %.40v, expected a list", open)
	}
	for d.More() {
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return err
		}
		var merge string
		if raw[0] == '[' {
			var pair []string
			if err := json.Unmarshal(raw, &pair); err != nil || len(pair) != 2 {
				return fmt.Errorf("merges: entry %d is %.80q, expected two tokens", len(*m), raw)
			}
			merge = strings.Join(pair, " ")
		} else if err := json.Unmarshal(raw, &merge); err != nil {
			return fmt.Errorf("merges: entry %d: %w", len(*m), err)
		}
		*m = append(*m, merge)
	}
	return nil
}
