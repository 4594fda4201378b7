package tokenizer

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"unicode"
)

// hfClasses holds the classes of transformers that build a tokeniser, by name without "Fast".
var hfClasses = map[string]func(*hfFiles) (Spec, error){
	"BertTokenizer":       hfBERT,
	"CLIPTokenizer":       hfCLIP,
	"GPT2Tokenizer":       hfGPT2,
	"GemmaTokenizer":      hfGemma,
	"Siglip2Tokenizer":    hfSiglip2,
	"RobertaTokenizer":    hfRoberta,
	"SiglipTokenizer":     hfSiglip,
	"T5Tokenizer":         hfT5,
	"Tipsv2Tokenizer":     hfTipsv2,
	"XLMRobertaTokenizer": hfXLMRoberta,
	genericClass:          hfGeneric,
}

// registeredClass is the class that transformers has for a model_type (models/auto/tokenization_auto.py).
var registeredClass = map[string]string{
	"align":        "BertTokenizer",
	"blip":         "BertTokenizer",
	"blip-2":       "GPT2Tokenizer",
	"chinese_clip": "BertTokenizer",
	"clip":         "CLIPTokenizer",
	"clipseg":      "CLIPTokenizer",
	"metaclip_2":   "XLMRobertaTokenizer",
	"siglip":       "SiglipTokenizer",
	"siglip2":      "Siglip2Tokenizer",
	"tipsv2":       "Tipsv2Tokenizer",
}

// genericClass takes tokenizer.json as it stands.
const genericClass = "TokenizersBackend"

// class returns the class that AutoTokenizer would use. The checkpoint's word counts more than the registered class,
// but for siglip2, whose public checkpoints name a wrong one.
func (h *hfFiles) class() string {
	registered := registeredClass[h.model.ModelType]
	named := h.config.Class
	if named == "" {
		named = h.model.TokenizerClass
	}
	named = strings.TrimSuffix(named, "Fast")
	switch {
	case h.model.ModelType == "siglip2":
		return registered
	case named == "PreTrainedTokenizer", named == "PythonBackend":
		return genericClass
	case named != "":
		return named
	case registered != "":
		return registered
	}
	return genericClass
}

// paddingSide is the class's own, or what tokenizer.json says.
func (h *hfFiles) paddingSide() string {
	if h.file != nil && h.file.Padding != nil {
		return strings.ToLower(h.file.Padding.Direction)
	}
	switch h.class() {
	case "GemmaTokenizer", "Siglip2Tokenizer":
		return "left"
	}
	return "right"
}

// hfCLIP is CLIPTokenizer: of the files only vocabulary, merges and added tokens count, the rest is the class's.
func hfCLIP(h *hfFiles) (Spec, error) {
	h.config.defaults("unk_token", clipEnd, "bos_token", clipStart, "eos_token", clipEnd, "pad_token", clipEnd)
	spec := Spec{Kind: BPE, Pipeline: clipPipeline()}
	if err := h.bpeVocab(&spec); err != nil {
		return Spec{}, err
	}
	if err := h.finish(&spec); err != nil {
		return Spec{}, err
	}
	return spec, spec.frame("CLIPTokenizer", spec.BOS, spec.EOS)
}

// hfBERT is BertTokenizer. Its options come from tokenizer_config.json, never from tokenizer.json.
func hfBERT(h *hfFiles) (Spec, error) {
	c := &h.config
	c.defaults("unk_token", "[UNK]", "sep_token", "[SEP]", "pad_token", "[PAD]", "cls_token", "[CLS]", "mask_token", "[MASK]")
	lower := c.Lowercase == nil || *c.Lowercase
	strip := lower
	if c.StripAccents != nil {
		strip = *c.StripAccents
	}
	spec := Spec{Kind: WordPiece, Pipeline: Pipeline{
		Normalizers:   []Step{{Type: "BertNormalizer", CleanText: true, CJK: c.Chinese == nil || *c.Chinese, StripAccents: strip, Lowercase: lower}},
		PreTokenizers: []Step{{Type: "BertPreTokenizer"}},
		Continuing:    "##",
		MaxWordRunes:  100,
	}}
	if h.file != nil {
		spec.Tokens, spec.Types = h.file.Model.Vocab.tokens, h.file.Model.Vocab.types
	} else {
		text, err := h.read("vocab.txt", maxVocabFile)
		if err != nil {
			return Spec{}, fmt.Errorf("no tokenizer.json, and reading the vocabulary: %w", err)
		}
		spec.Tokens, spec.Types = parseVocabText(string(text))
	}
	if err := h.finish(&spec); err != nil {
		return Spec{}, err
	}
	return spec, spec.frame("BertTokenizer", h.id(&spec, "cls_token"), h.id(&spec, "sep_token"))
}

// parseVocabText reads vocab.txt: one token per line, whose number is its id. Of two equal ones the last counts.
func parseVocabText(text string) (tokens []string, types []TokenType) {
	ids := map[string]int{}
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		token := strings.TrimRightFunc(line, unicode.IsSpace)
		if earlier, repeated := ids[token]; repeated {
			types[earlier] = Unused
		}
		ids[token] = i
		tokens, types = append(tokens, token), append(types, Normal)
	}
	return tokens, types
}

// hfXLMRoberta is XLMRobertaTokenizer.
func hfXLMRoberta(h *hfFiles) (Spec, error) {
	c := &h.config
	c.defaults("bos_token", "<s>", "eos_token", "</s>", "sep_token", "</s>", "cls_token", "<s>", "unk_token", "<unk>", "pad_token", "<pad>", "mask_token", "<mask>")
	prepend := "always"
	if c.PrefixSpace != nil && !*c.PrefixSpace {
		prepend = "never"
	}
	spec := Spec{Kind: Unigram, Pipeline: Pipeline{PreTokenizers: metaspace(prepend)}}
	var charsmap []byte
	if h.file != nil {
		spec.Tokens, spec.Scores = h.file.Model.Vocab.tokens, h.file.Model.Vocab.scores
		charsmap = h.file.Normalizer.charsmap()
	} else {
		m, err := h.spm("sentencepiece.bpe.model", "tokenizer.model")
		if err != nil {
			return Spec{}, err
		}
		charsmap = m.charsmap
		// fairseq has its own ids for the special tokens; the model's first three pieces are they.
		for _, name := range []string{"bos_token", "pad_token", "eos_token", "unk_token"} {
			token, _ := c.token(name)
			spec.Tokens, spec.Scores = append(spec.Tokens, token), append(spec.Scores, 0)
		}
		first := min(3, len(m.pieces))
		spec.Tokens, spec.Scores = append(spec.Tokens, m.pieces[first:]...), append(spec.Scores, m.scores[first:]...)
		mask, _ := c.token("mask_token")
		spec.Tokens, spec.Scores = append(spec.Tokens, mask), append(spec.Scores, 0)
		c.addPieces(m)
	}
	if err := h.finishUnigram(&spec, charsmap, 3); err != nil {
		return Spec{}, err
	}
	return spec, spec.frame("XLMRobertaTokenizer", spec.BOS, spec.EOS)
}

// t5Unknown is the id that T5Tokenizer takes for its unknown token, whatever the vocabulary says.
const t5Unknown = 2

// hfT5 is T5Tokenizer, which open_clip's SigLIP checkpoints name. It knows <extra_id_0> and so on, as many as extra_ids says; with
// a SentencePiece model they come behind its pieces, the last first.
func hfT5(h *hfFiles) (Spec, error) {
	c := &h.config
	c.defaults("eos_token", "</s>", "unk_token", "<unk>", "pad_token", "<pad>")
	spec := Spec{Kind: Unigram, Pipeline: Pipeline{PreTokenizers: metaspace("always")}}
	extra := 100
	if c.ExtraIDs != nil {
		extra = *c.ExtraIDs
	}
	if extra < 0 || extra > maxAdded {
		return Spec{}, fmt.Errorf("tokenizer_config.json: extra_ids is %d, expected 0 to %d", extra, maxAdded)
	}
	sentinel := func(i int) string { return fmt.Sprintf("<extra_id_%d>", i) }
	var charsmap []byte
	if h.file != nil {
		spec.Tokens, spec.Scores = h.file.Model.Vocab.tokens, h.file.Model.Vocab.scores
		charsmap = h.file.Normalizer.charsmap()
	} else {
		m, err := h.spm("spiece.model", "tokenizer.model")
		if err != nil {
			return Spec{}, err
		}
		spec.Tokens, spec.Scores, charsmap = m.pieces, m.scores, m.charsmap
		for i := extra - 1; i >= 0; i-- {
			spec.Tokens, spec.Scores = append(spec.Tokens, sentinel(i)), append(spec.Scores, 0)
		}
		c.addPieces(m)
	}
	for i := range extra {
		c.extra = append(c.extra, &hfToken{Content: sentinel(i), Special: true})
	}
	if err := h.finishUnigram(&spec, charsmap, t5Unknown); err != nil {
		return Spec{}, err
	}
	if spec.EOS == None {
		return Spec{}, fmt.Errorf("tokenizer_config.json: T5Tokenizer has no eos_token")
	}
	spec.Pipeline.After = []int32{spec.EOS}
	return spec, nil
}

// finishUnigram is finish for the classes that know the place of their unknown token.
func (h *hfFiles) finishUnigram(s *Spec, charsmap []byte, unk int32) error {
	if len(charsmap) > 0 {
		s.Pipeline.Normalizers = []Step{{Type: "Precompiled", Charsmap: charsmap}}
	}
	if len(s.Scores) != len(s.Tokens) {
		return fmt.Errorf("tokenizer.json: model.vocab has no scores, expected a list of [token, score]")
	}
	err := h.finish(s)
	s.Unk = unk
	return err
}

// hfRoberta is RobertaTokenizer: GPT-2's byte-level BPE.
func hfRoberta(h *hfFiles) (Spec, error) {
	c := &h.config
	c.defaults("bos_token", "<s>", "eos_token", "</s>", "sep_token", "</s>", "cls_token", "<s>", "unk_token", "<unk>", "pad_token", "<pad>", "mask_token", "<mask>")
	spec := Spec{Kind: BPE, Pipeline: Pipeline{
		PreTokenizers: []Step{{Type: "ByteLevel", UseRegex: true, AddPrefixSpace: c.PrefixSpace != nil && *c.PrefixSpace}},
		SkipUnk:       true,
	}}
	if err := h.bpeVocab(&spec); err != nil {
		return Spec{}, err
	}
	if err := h.finish(&spec); err != nil {
		return Spec{}, err
	}
	return spec, spec.frame("RobertaTokenizer", h.id(&spec, "cls_token"), h.id(&spec, "sep_token"))
}

// hfGPT2 is GPT2Tokenizer, which a BLIP-2 without a tokenizer_config.json gets. It puts no ids around a text, and has nothing to pad
// with unless a configuration says so.
func hfGPT2(h *hfFiles) (Spec, error) {
	c := &h.config
	c.defaults("unk_token", clipEnd, "bos_token", clipEnd, "eos_token", clipEnd)
	spec := Spec{Kind: BPE, Pipeline: Pipeline{
		PreTokenizers: []Step{{Type: "ByteLevel", UseRegex: true, AddPrefixSpace: c.PrefixSpace != nil && *c.PrefixSpace}},
		SkipUnk:       true,
	}}
	if err := h.bpeVocab(&spec); err != nil {
		return Spec{}, err
	}
	return spec, h.finishTemplate(&spec)
}

// metaspace is the pre-tokenisers of the classes that follow SentencePiece.
func metaspace(prepend string) []Step {
	return []Step{{Type: "WhitespaceSplit"}, {Type: "Metaspace", Replacement: spaceMark, Prepend: prepend, Split: true}}
}

// hfGemma is GemmaTokenizer, which does not put the text in lower case.
func hfGemma(h *hfFiles) (Spec, error) { return h.gemma() }

// hfSiglip2 is Siglip2Tokenizer, which does.
func hfSiglip2(h *hfFiles) (Spec, error) { return h.gemma(Step{Type: "Lowercase"}) }

func (h *hfFiles) gemma(first ...Step) (Spec, error) {
	h.config.defaults("unk_token", "<unk>", "bos_token", "<bos>", "eos_token", "<eos>", "pad_token", "<pad>", "mask_token", "<mask>")
	spec := Spec{Kind: BPE, Pipeline: Pipeline{
		Normalizers:   append(first, Step{Type: "Replace", Pattern: " ", Content: spaceMark}),
		PreTokenizers: []Step{{Type: "Split", Pattern: " ", Behavior: "MergedWithPrevious"}},
		ByteFallback:  true,
		FuseUnk:       true,
	}}
	if _, err := h.spmBPE(&spec, "tokenizer.model"); err != nil {
		return Spec{}, err
	}
	return spec, h.finishTemplate(&spec)
}

// hfTipsv2 is Tipsv2Tokenizer. It has no unknown token: bytes spell what it doesn't know.
func hfTipsv2(h *hfFiles) (Spec, error) {
	c := &h.config
	c.defaults("unk_token", "<unk>", "pad_token", "<pad>")
	spec := Spec{Kind: BPE, Pipeline: Pipeline{PreTokenizers: metaspace("always"), ByteFallback: true, FuseUnk: true, SkipUnk: true}}
	charsmap, err := h.spmBPE(&spec, "tokenizer.model")
	if err != nil {
		return Spec{}, err
	}
	if c.Lowercase == nil || *c.Lowercase {
		spec.Pipeline.Normalizers = append(spec.Pipeline.Normalizers, Step{Type: "Lowercase"})
	}
	if len(charsmap) > 0 {
		spec.Pipeline.Normalizers = append(spec.Pipeline.Normalizers, Step{Type: "Precompiled", Charsmap: charsmap})
	}
	if c.MaxLength == 0 {
		c.MaxLength = 64
	}
	return spec, h.finishTemplate(&spec)
}

// hfSiglip is SiglipTokenizer, the one that runs the sentencepiece library.
func hfSiglip(h *hfFiles) (Spec, error) {
	c := &h.config
	c.defaults("eos_token", "</s>", "unk_token", "<unk>", "pad_token", "</s>")
	m, err := h.spm("spiece.model", "tokenizer.model")
	if err != nil {
		return Spec{}, err
	}
	spec, err := m.spec()
	if err != nil {
		return Spec{}, err
	}
	unk, ok := c.token("unk_token")
	if !ok {
		return Spec{}, fmt.Errorf("tokenizer_config.json: unk_token is missing, which SiglipTokenizer needs")
	}
	spec.Pipeline.Normalizers[0].Shield = unk
	fallback := spec.Pipeline.ByteFallback
	spec.Pipeline = siglipPipeline(spec.Pipeline.Normalizers[0], c.Lowercase == nil || *c.Lowercase)
	spec.Pipeline.ByteFallback = fallback
	p := &spec.Pipeline
	// The model's own types decide what text may become; the special tokens don't change them.
	types := slices.Clone(spec.Types)
	modelUnk := spec.Unk
	if err := h.finish(&spec); err != nil {
		return Spec{}, err
	}
	copy(spec.Types, types)
	spec.Unk = modelUnk
	for i := range p.Added {
		p.Added[i].Normalized = false // the slow tokenisers of transformers don't look at the flag
	}
	if spec.EOS == None {
		return Spec{}, fmt.Errorf("tokenizer_config.json: SiglipTokenizer has no eos_token")
	}
	p.After = []int32{spec.EOS}
	return spec, nil
}

// siglipPipeline is what SiglipTokenizer does to a text before the sentencepiece library's own step, and around it.
func siglipPipeline(sentencePiece Step, lower bool) Pipeline {
	p := Pipeline{
		Clean:       []Step{{Type: "Replace", Pattern: spaceMark, Content: " "}, {Type: "Prepend", Content: spaceMark}},
		Normalizers: []Step{{Type: "RemovePunctuation"}, {Type: "PythonSpaces"}, sentencePiece},
		OneEOS:      true,
	}
	if lower {
		p.Normalizers = append([]Step{{Type: "PythonLowercase"}}, p.Normalizers...)
	}
	return p
}

// hfGeneric is TokenizersBackend: tokenizer.json as it stands.
func hfGeneric(h *hfFiles) (Spec, error) {
	if h.file == nil {
		return Spec{}, fmt.Errorf("no tokenizer.json, and tokenizer_config.json names no class that does without: %w", fs.ErrNotExist)
	}
	spec, err := h.file.spec()
	if err != nil {
		return Spec{}, fmt.Errorf("tokenizer.json: %w", err)
	}
	modelUnk := spec.Unk
	if err := h.finishTemplate(&spec); err != nil {
		return Spec{}, err
	}
	spec.Unk = modelUnk // the configuration's name doesn't change the algorithm
	return spec, nil
}

// finishTemplate adds the tokens of the configurations and takes the template of tokenizer.json, or, where it has none,
// makes one of add_bos_token and add_eos_token.
func (h *hfFiles) finishTemplate(s *Spec) error {
	if err := h.finish(s); err != nil {
		return err
	}
	p, c := &s.Pipeline, &h.config
	if h.file != nil {
		var err error
		p.Before, p.After, err = h.file.Post.template()
		return inMessage("tokenizer.json: post_processor", err)
	}
	if c.AddBOS != nil && *c.AddBOS && s.BOS != None {
		p.Before = []int32{s.BOS}
	}
	if c.AddEOS != nil && *c.AddEOS && s.EOS != None {
		p.After = []int32{s.EOS}
	}
	return nil
}

// frame sets the template to one id before the text and one behind it.
func (s *Spec) frame(class string, before, after int32) error {
	if before == None || after == None {
		return fmt.Errorf("tokenizer_config.json: %s has no token for the start or the end of a text", class)
	}
	s.Pipeline.Before, s.Pipeline.After = []int32{before}, []int32{after}
	return nil
}

// id returns the id of a named special token, or None.
func (h *hfFiles) id(s *Spec, name string) int32 {
	content, ok := h.config.token(name)
	if !ok {
		return None
	}
	return int32(slices.Index(s.Tokens, content))
}

// bpeVocab reads tokens and merges from tokenizer.json, else from vocab.json and merges.txt.
func (h *hfFiles) bpeVocab(s *Spec) error {
	if h.file != nil {
		s.Tokens, s.Types = h.file.Model.Vocab.tokens, h.file.Model.Vocab.types
		s.Merges = h.file.Model.Merges
		return nil
	}
	var v hfVocab
	if err := h.readJSON("vocab.json", maxVocabFile, &v); err != nil {
		return fmt.Errorf("no tokenizer.json, and reading the vocabulary: %w", err)
	}
	s.Tokens, s.Types = v.tokens, v.types
	text, err := h.read("merges.txt", maxVocabFile)
	if err != nil {
		return fmt.Errorf("vocab.json needs the merges beside it: %w", err)
	}
	s.Merges, err = parseMerges(string(text))
	return err
}

// spm reads the first of some SentencePiece models that exists.
func (h *hfFiles) spm(names ...string) (*spmModel, error) {
	if h.given != nil {
		return h.given, nil
	}
	for _, name := range names {
		data, err := h.read(name, maxVocabFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		m, err := parseSPM(data)
		return m, inMessage(name, err)
	}
	return nil, fmt.Errorf("no %s: %w", strings.Join(names, " and no "), fs.ErrNotExist)
}

// spmBPE reads tokens and merges from tokenizer.json, else from a SentencePiece model, which has no merges: any two
// pieces that make a third merge, in the order of the third's id (transformers' generate_merges).
func (h *hfFiles) spmBPE(s *Spec, name string) (charsmap []byte, err error) {
	if h.file != nil {
		return h.file.Normalizer.charsmap(), h.bpeVocab(s)
	}
	m, err := h.spm(name)
	if err != nil {
		return nil, err
	}
	s.Tokens = m.pieces
	known := make(map[string]bool, len(m.pieces))
	for _, piece := range m.pieces {
		known[piece] = true
	}
	for _, piece := range m.pieces {
		for cut := range piece {
			if cut > 0 && known[piece[:cut]] && known[piece[cut:]] {
				s.Merges = append(s.Merges, piece[:cut]+" "+piece[cut:])
			}
		}
	}
	h.config.addPieces(m)
	return m.charsmap, nil
}

// addPieces makes added tokens of a model's control and user-defined pieces.
func (c *hfConfig) addPieces(m *spmModel) {
	c.extra = nil
	normalized := false
	for id, kind := range m.types {
		if kind == Control || kind == UserDefined {
			c.extra = append(c.extra, &hfToken{Content: m.pieces[id], Special: kind == Control, Normalized: &normalized})
		}
	}
}
