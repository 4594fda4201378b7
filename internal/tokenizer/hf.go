package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strings"
)

// Limits on the files of a checkpoint. XLM-V's tokenizer.json, the largest of the family, has about 60 MB.
const (
	maxVocabFile  = 256 << 20
	maxConfigFile = 16 << 20
)

// FromHF reads the tokeniser of a checkpoint in Hugging Face's layout as transformers 5.23's AutoTokenizer does: the
// class comes from the model_type of config.json and the tokenizer_class of tokenizer_config.json, and the class
// decides which files count and what of them. Files that no class needs may be missing.
//
// An error names the file and the field. Where the folder holds no tokeniser at all it is fs.ErrNotExist.
func FromHF(dir fs.FS) (Spec, error) { return FromHFAs(dir, "") }

// FromHFAs is FromHF for a checkpoint of a model_type, whatever its config.json says, if there is one. "" asks config.json.
func FromHFAs(dir fs.FS, modelType string) (Spec, error) {
	h := &hfFiles{dir: dir}
	if err := h.readConfigs(); err != nil {
		return Spec{}, err
	}
	if modelType != "" {
		h.model.ModelType = modelType
	}
	return h.spec()
}

// HFFiles returns the files that FromHF may read, of the names of those that there are.
func HFFiles(names []string) (files []string) {
	maybe := []string{"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "spiece.model", "tokenizer.model"}
	if slices.Contains(names, "tokenizer.json") {
		maybe = append(maybe, "tokenizer.json") // has all that is in the older files, except for SiglipTokenizer
	} else {
		maybe = append(maybe, "vocab.json", "merges.txt", "vocab.txt", "sentencepiece.bpe.model")
	}
	for _, name := range maybe {
		if slices.Contains(names, name) {
			files = append(files, name)
		}
	}
	return files
}

// FromSentencePiece reads the tokeniser of a SigLIP that has no more of it than a SentencePiece model: SiglipTokenizer for a
// unigram model, for another (Gemma's) Siglip2Tokenizer. Both end texts in </s>, <eos>, pad them, and give no mask.
func FromSentencePiece(dir fs.FS, name string) (Spec, error) {
	h := &hfFiles{dir: dir}
	m, err := h.spm(name)
	if err != nil {
		return Spec{}, err
	}
	return m.siglip()
}

// FromPieces reads the tokeniser of a SigLIP of which only the pieces of a SentencePiece model and their scores are left.
func FromPieces(pieces []string, scores []float64) (Spec, error) {
	m := &spmModel{pieces: pieces, scores: scores, algorithm: spmUnigram, bos: None, pad: None, dummyPrefix: true, extraSpaces: true, escapeSpaces: true}
	if len(scores) != len(pieces) {
		return Spec{}, fmt.Errorf("tokenizer: %d scores for %d tokens", len(scores), len(pieces))
	}
	ranks := true // scores of 0, -1, -2, ... stand for none
	for id, piece := range pieces {
		kind := Normal
		switch piece {
		case "":
			kind = Unused
		case "<unk>":
			kind, m.unk = Unknown, int32(id)
		case "</s>":
			kind, m.eos = Control, int32(id)
		case "<s>", "<pad>":
			kind = Control
		}
		m.types = append(m.types, kind)
		ranks = ranks && (kind != Normal || scores[id] == -float64(id))
	}
	if ranks {
		return Spec{}, fmt.Errorf("tokenizer: the scores count downwards from 0, so that those of the SentencePiece model are lost; name the original (--tokenizer)")
	}
	return m.siglip()
}

// siglip makes the tokeniser of a SigLIP of a model.
func (m *spmModel) siglip() (Spec, error) {
	yes := true
	h := &hfFiles{given: m, config: hfConfig{
		Added: map[string]*hfToken{}, AddEOS: &yes, InputNames: []string{"input_ids"}, PaddingSide: "right", special: map[string]*hfToken{}}}
	h.model.ModelType = "siglip"
	if m.algorithm != spmUnigram {
		h.model.ModelType = "siglip2"
	}
	return h.spec()
}

// FromMerges reads CLIPTokenizer with a vocabulary and merges of its own.
func FromMerges(tokens, merges []string) (Spec, error) {
	h := &hfFiles{file: &hfTokenizer{Model: hfModel{Vocab: hfVocab{tokens: tokens}, Merges: merges}}, config: hfConfig{Added: map[string]*hfToken{}, special: map[string]*hfToken{}}}
	h.model.ModelType = "clip"
	return h.spec()
}

// spec builds the tokeniser by its class.
func (h *hfFiles) spec() (Spec, error) {
	class := h.class()
	build, ok := hfClasses[class]
	if !ok {
		return Spec{}, fmt.Errorf("tokenizer_config.json: tokenizer_class %.60q is not supported, expected one of %s",
			class, strings.Join(Classes(), ", "))
	}
	spec, err := build(h)
	if err != nil {
		return Spec{}, err
	}
	if _, err := spec.check(); err != nil {
		return Spec{}, err
	}
	return spec, nil
}

// Classes lists the classes of transformers that FromHF reads, by name without "Fast".
func Classes() []string { return slices.Sorted(maps.Keys(hfClasses)) }

// hfFiles is the folder of a checkpoint and what its configurations say.
type hfFiles struct {
	dir   fs.FS
	model struct {
		ModelType      string `json:"model_type"`
		TokenizerClass string `json:"tokenizer_class"`
	}
	config hfConfig
	file   *hfTokenizer // tokenizer.json, if there is one
	given  *spmModel    // instead of a file
}

// hfConfig is tokenizer_config.json, with special_tokens_map.json and added_tokens.json merged in.
type hfConfig struct {
	Class        string              `json:"tokenizer_class"`
	Added        map[string]*hfToken `json:"added_tokens_decoder"` // by id
	MaxLength    float64             `json:"model_max_length"`     // 1e30 for "no limit"
	InputNames   []string            `json:"model_input_names"`
	PaddingSide  string              `json:"padding_side"`
	Truncation   string              `json:"truncation_side"`
	Lowercase    *bool               `json:"do_lower_case"`
	StripAccents *bool               `json:"strip_accents"`
	Chinese      *bool               `json:"tokenize_chinese_chars"`
	PrefixSpace  *bool               `json:"add_prefix_space"`
	AddBOS       *bool               `json:"add_bos_token"`
	AddEOS       *bool               `json:"add_eos_token"`
	ExtraIDs     *int                `json:"extra_ids"` // T5

	special map[string]*hfToken // bos_token and so on; nil where the file says null
	extra   []*hfToken          // extra_special_tokens, additional_special_tokens
}

// hfToken is a token in a configuration: a string, or an object with flags.
type hfToken struct {
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized *bool  `json:"normalized"`
	Special    bool   `json:"special"`
}

func (t *hfToken) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &t.Content)
	}
	type plain hfToken
	return json.Unmarshal(b, (*plain)(t))
}

// added returns the token with an id. A special token is looked for in the text as it stands unless it says otherwise.
func (t *hfToken) added(id int32, special bool) AddedToken {
	special = special || t.Special
	normalized := !special
	if t.Normalized != nil {
		normalized = *t.Normalized
	}
	return AddedToken{ID: id, Content: t.Content, Special: special, SingleWord: t.SingleWord, LStrip: t.LStrip, RStrip: t.RStrip, Normalized: normalized}
}

// specialNames are the named special tokens, in the order in which transformers adds them.
var specialNames = []string{"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}

func (h *hfFiles) readConfigs() error {
	if err := h.readJSON("config.json", maxConfigFile, &h.model); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	c := &h.config
	raw := map[string]json.RawMessage{}
	if err := h.readJSON("tokenizer_config.json", maxConfigFile, &raw); err == nil {
		if err := h.readJSON("tokenizer_config.json", maxConfigFile, c); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := c.readSpecials("tokenizer_config.json", raw); err != nil {
		return err
	}
	h.file = new(hfTokenizer)
	if err := h.readJSON("tokenizer.json", maxVocabFile, h.file); errors.Is(err, fs.ErrNotExist) {
		h.file = nil
	} else if err != nil {
		return err
	}
	if h.file != nil && h.file.Padding != nil {
		c.defaults("pad_token", h.file.Padding.Token)
	}
	// transformers reads the older files only where tokenizer_config.json doesn't list its added tokens.
	if c.Added != nil {
		return nil
	}
	c.Added = map[string]*hfToken{}
	older := map[string]json.RawMessage{}
	if err := h.readJSON("special_tokens_map.json", maxConfigFile, &older); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := c.readSpecials("special_tokens_map.json", older); err != nil {
		return err
	}
	var ids map[string]int32
	if err := h.readJSON("added_tokens.json", maxConfigFile, &ids); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for content, id := range ids {
		c.Added[fmt.Sprint(id)] = &hfToken{Content: content, Special: c.isSpecial(content)}
	}
	if h.file != nil {
		for _, token := range h.file.Added {
			c.Added[fmt.Sprint(token.ID)] = &token.Token
		}
	}
	return nil
}

// readSpecials takes the named special tokens and the list of further ones out of a configuration file.
func (c *hfConfig) readSpecials(file string, raw map[string]json.RawMessage) error {
	if c.special == nil {
		c.special = map[string]*hfToken{}
	}
	for _, name := range specialNames {
		value, ok := raw[name]
		if !ok {
			continue
		}
		var token *hfToken
		if err := json.Unmarshal(value, &token); err != nil {
			return fmt.Errorf("%s: %s: %w", file, name, err)
		}
		c.special[name] = token
	}
	// A list of extra tokens stands for the additional ones, the name that it had before; an object, whose names mean nothing
	// to a text, comes before them.
	extra := raw["extra_special_tokens"]
	names := []string{"extra_special_tokens", "additional_special_tokens"}
	if bytes.HasPrefix(bytes.TrimSpace(extra), []byte("[")) {
		names = names[:1]
	}
	for _, name := range names {
		tokens, err := tokensIn(raw[name])
		if err != nil {
			return fmt.Errorf("%s: %s: %w", file, name, err)
		}
		c.extra = append(c.extra, tokens...)
	}
	return nil
}

// tokensIn returns the tokens of a JSON list or of an object's values, in their order.
func tokensIn(raw json.RawMessage) (tokens []*hfToken, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	open, err := d.Token()
	if err != nil || open == nil {
		return nil, ignoreEOF(err)
	}
	if open != json.Delim('[') && open != json.Delim('{') {
		return nil, fmt.Errorf("%.40v, expected a list or an object of tokens", open)
	}
	for d.More() {
		if open == json.Delim('{') {
			if _, err := d.Token(); err != nil {
				return nil, err
			}
		}
		var token *hfToken
		if err := d.Decode(&token); err != nil {
			return nil, err
		}
		if token != nil {
			tokens = append(tokens, token)
		}
	}
	return tokens, nil
}

// ignoreEOF is err, but for the end of a text that is empty.
func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (c *hfConfig) isSpecial(content string) bool {
	for _, token := range c.special {
		if token != nil && token.Content == content {
			return true
		}
	}
	return slices.ContainsFunc(c.extra, func(t *hfToken) bool { return t.Content == content })
}

// defaults fills in the special tokens that the configuration doesn't name, as the class does; it gives the name and
// the content in turn.
func (c *hfConfig) defaults(pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		if _, named := c.special[pairs[i]]; !named {
			c.special[pairs[i]] = &hfToken{Content: pairs[i+1]}
		}
	}
}

// token returns the content of a named special token, and false where there is none.
func (c *hfConfig) token(name string) (string, bool) {
	if t := c.special[name]; t != nil && t.Content != "" {
		return t.Content, true
	}
	return "", false
}

// read returns the content of a file, which may have at most limit bytes.
func (h *hfFiles) read(name string, limit int64) ([]byte, error) {
	f, err := h.dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is larger than %d MiB, which no tokeniser needs", name, limit>>20)
	}
	return data, nil
}

func (h *hfFiles) readJSON(name string, limit int64, into any) error {
	data, err := h.read(name, limit)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// finish adds the tokens of the configurations to a vocabulary, in transformers' order, and fills in what all classes
// share: the special ids, lengths, padding and the mask.
func (h *hfFiles) finish(s *Spec) error {
	ids := make(map[string]int32, len(s.Tokens))
	for id, token := range s.Tokens {
		if token != "" {
			ids[token] = int32(id)
		}
	}
	if len(s.Types) == 0 {
		s.Types = slices.Repeat([]TokenType{Normal}, len(s.Tokens))
	}
	add := func(t *hfToken, special bool) {
		if t.Content == "" {
			return
		}
		id, known := ids[t.Content]
		if !known {
			id = int32(len(s.Tokens))
			ids[t.Content] = id
			s.Tokens = append(s.Tokens, t.Content)
			s.Types = append(s.Types, UserDefined)
			if len(s.Scores) > 0 {
				s.Scores = append(s.Scores, 0)
			}
		}
		a := t.added(id, special)
		if a.Special && s.Types[id] != Unknown {
			s.Types[id] = Control
		}
		// Of two that differ in their flags the later one counts.
		if i := slices.IndexFunc(s.Pipeline.Added, func(b AddedToken) bool { return b.ID == id }); i >= 0 {
			s.Pipeline.Added[i] = a
		} else {
			s.Pipeline.Added = append(s.Pipeline.Added, a)
		}
	}
	c := &h.config
	listed := map[string]bool{}
	keys, err := sortedIDs(c.Added)
	if err != nil {
		return err
	}
	for _, key := range keys {
		token := c.Added[fmt.Sprint(key)]
		add(token, c.isNamed(token.Content))
		listed[token.Content] = true
	}
	for _, name := range specialNames {
		if t := c.special[name]; t != nil && !listed[t.Content] {
			add(t, true)
		}
	}
	for _, t := range c.extra {
		if !listed[t.Content] && !c.isNamed(t.Content) {
			add(t, true)
		}
	}
	if len(s.Tokens) > maxTokens {
		return fmt.Errorf("tokenizer: %d tokens, at most %d are supported", len(s.Tokens), maxTokens)
	}

	id := func(name string) int32 {
		if content, ok := c.token(name); ok {
			return ids[content]
		}
		return None
	}
	s.BOS, s.EOS, s.Unk, s.Pad = id("bos_token"), id("eos_token"), id("unk_token"), id("pad_token")
	if s.Unk != None {
		s.Types[s.Unk] = Unknown
	}
	p := &s.Pipeline
	if c.MaxLength > 0 && c.MaxLength < math.MaxInt32 {
		p.MaxLength = int(c.MaxLength)
	}
	side := c.PaddingSide
	if side == "" {
		side = h.paddingSide()
	}
	p.PadLeft, p.TruncateLeft = side == "left", c.Truncation == "left"
	p.Mask = c.InputNames == nil || slices.Contains(c.InputNames, "attention_mask")
	if strings.Contains(h.model.ModelType, "siglip") {
		// The zero-shot pipeline asks for this, whatever the configuration says.
		p.MaxLength, p.PadTo = siglipContext, siglipContext
	}
	return nil
}

// siglipContext is the length that transformers' zero-shot pipeline pads texts for SigLIP to.
const siglipContext = 64

// isNamed reports whether a token has a name of its own: bos_token and so on.
func (c *hfConfig) isNamed(content string) bool {
	for _, name := range specialNames {
		if named, ok := c.token(name); ok && named == content {
			return true
		}
	}
	return false
}

func sortedIDs(tokens map[string]*hfToken) ([]int32, error) {
	var out []int32
	for key, token := range tokens {
		var id int32
		if _, err := fmt.Sscan(key, &id); err != nil || id < 0 || fmt.Sprint(id) != key {
			return nil, fmt.Errorf("tokenizer_config.json: added_tokens_decoder has the key %.40q, expected an id", key)
		}
		if token == nil {
			return nil, fmt.Errorf("tokenizer_config.json: added_tokens_decoder.%s is null, expected a token", key)
		}
		out = append(out, id)
	}
	slices.Sort(out)
	return out, nil
}

// parseMerges reads merges.txt: one merge per line, below a line with the version.
func parseMerges(text string) ([]string, error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	merges := make([]string, 0, len(lines))
	for i, line := range lines {
		line = strings.TrimSuffix(line, "\r")
		if strings.HasPrefix(line, "#version") || line == "" && i == len(lines)-1 {
			continue
		}
		if strings.Count(line, " ") != 1 {
			return nil, fmt.Errorf("merges.txt: line %d is %.80q, expected two tokens and a space between them", i+1, line)
		}
		merges = append(merges, line)
	}
	return merges, nil
}
