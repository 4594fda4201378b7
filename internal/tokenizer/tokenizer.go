package tokenizer

import (
	"slices"
)

// Tokenizer turns text into ids. It is safe for concurrent use.
type Tokenizer struct {
	spec       Spec
	ids        map[string]int32
	raw        *finder // added tokens that are looked for in the text as given
	normalized *finder // added tokens that are looked for in the normalised text
	clean      []normalizer
	normalize  []normalizer
	words      sink // the pre-tokenisers, the cache and the model
	model      model
	shield     int // ids at the start of every stretch that are dropped
}

// model cuts one word into ids.
type model interface {
	// encode appends the ids of word to dst.
	encode(dst []int32, word string) []int32
}

// New checks a Spec and makes a tokeniser of it. The Spec's slices are kept and must not change afterwards.
func New(spec Spec) (*Tokenizer, error) {
	ids, err := spec.check()
	if err != nil {
		return nil, err
	}
	t := &Tokenizer{spec: spec, ids: ids}
	if t.clean, err = compileNormalizers(spec.Pipeline.Clean, newFinder(nil)); err != nil {
		return nil, err
	}
	if t.normalize, err = compileNormalizers(spec.Pipeline.Normalizers, userDefined(&spec)); err != nil {
		return nil, err
	}
	if t.model, err = newModel(&spec, ids); err != nil {
		return nil, err
	}
	cache := newWordCache()
	encode := func(ids []int32, w word) []int32 { return cache.encode(t.model, ids, w.text) }
	last := encode
	if b, ok := t.model.(*bpe); ok && b.spaceCuts && !b.byteLevel {
		last = func(ids []int32, w word) []int32 { return cutAtSpaces(ids, w, encode) }
	}
	t.words, err = compileSplitters(spec.Pipeline.PreTokenizers, last)
	if err != nil {
		return nil, err
	}
	for _, step := range spec.Pipeline.Normalizers {
		if step.Shield != "" {
			t.shield = len(t.model.encode(nil, t.normalizeText("")))
		}
	}
	var raw, normalized []AddedToken
	for _, added := range spec.Pipeline.Added {
		if added.Normalized {
			added.Content = t.normalizeText(added.Content)
			normalized = append(normalized, added)
		} else {
			raw = append(raw, added)
		}
	}
	t.raw, t.normalized = newFinder(raw), newFinder(normalized)
	return t, nil
}

func newModel(spec *Spec, ids map[string]int32) (model, error) {
	switch spec.Kind {
	case Unigram:
		return newUnigram(spec, ids)
	case WordPiece:
		return newWordPiece(spec, ids)
	case SentencePieceUnigram, SentencePieceBPE:
		return newSentencePiece(spec, ids)
	}
	return newBPE(spec, ids)
}

// Encode returns the ids of text between those of the template, however many they are.
func (t *Tokenizer) Encode(text string) []int32 {
	ids, _ := t.EncodeTo(text, 0)
	return ids
}

// EncodeTo returns at most maxLen ids (0: any number), and whether some were left out. As in transformers, it is the
// end of the text that is left out (its start with TruncateLeft): the ids of the template stay. Where not even those
// fit, the last of them stay.
func (t *Tokenizer) EncodeTo(text string, maxLen int) (ids []int32, truncated bool) {
	p := &t.spec.Pipeline
	ids = make([]int32, 0, len(p.Before)+len(text)/3+len(p.After)+1)
	ids = t.appendText(append(ids, p.Before...), text)
	content := len(ids) - len(p.Before)
	if room := max(maxLen-len(p.Before)-len(p.After), 0); maxLen > 0 && content > room {
		truncated = true
		if p.TruncateLeft {
			copy(ids[len(p.Before):], ids[len(ids)-room:])
		}
		content = room
		ids = ids[:len(p.Before)+room]
	}
	if !p.OneEOS || len(p.After) == 0 || content == 0 || ids[len(ids)-1] != p.After[0] {
		ids = append(ids, p.After...)
	}
	if maxLen > 0 && len(ids) > maxLen {
		return ids[len(ids)-maxLen:], true
	}
	return ids, truncated
}

// Token returns the token of an id as transformers' convert_ids_to_tokens prints it ("photo</w>", "▁photo"), and the
// empty string for an id outside the vocabulary.
func (t *Tokenizer) Token(id int32) string {
	if id < 0 || int(id) >= len(t.spec.Tokens) {
		return ""
	}
	return t.spec.Tokens[id]
}

// Spec returns what the tokeniser was made of. It must not be changed.
func (t *Tokenizer) Spec() *Spec { return &t.spec }

// Batch is a rectangle of ids as a model takes them.
type Batch struct {
	IDs       [][]int32 // [texts, length]
	Mask      [][]int32 // [texts, length]: 1 for an id of the text, 0 for padding; nil where the model gets no mask
	Truncated []bool    // [texts]: whether ids were left out
}

// Limit is how many ids a text of a batch may have in a model that takes maxLen (0: any number): rows that are padded to one
// length are cut to it, too.
func (t *Tokenizer) Limit(maxLen int) int {
	if n := t.spec.Pipeline.PadTo; maxLen > 0 && n > 0 {
		return min(maxLen, n)
	}
	return maxLen
}

// EncodeBatch encodes texts to at most maxLen ids each (0: any number) and pads them to one length: the pipeline's
// PadTo, or the longest text. A tokeniser without a padding token pads with 0.
func (t *Tokenizer) EncodeBatch(texts []string, maxLen int) Batch {
	p := &t.spec.Pipeline
	b := Batch{IDs: make([][]int32, len(texts)), Truncated: make([]bool, len(texts))}
	maxLen = t.Limit(maxLen)
	length := p.PadTo
	if maxLen > 0 {
		length = min(length, maxLen)
	}
	for i, text := range texts {
		b.IDs[i], b.Truncated[i] = t.EncodeTo(text, maxLen)
		length = max(length, len(b.IDs[i]))
	}
	if p.Mask {
		b.Mask = make([][]int32, len(texts))
	}
	for i, ids := range b.IDs {
		padding := slices.Repeat([]int32{max(t.spec.Pad, 0)}, length-len(ids))
		ones, zeros := slices.Repeat([]int32{1}, len(ids)), make([]int32, length-len(ids))
		if p.PadLeft {
			b.IDs[i] = append(padding, ids...)
			ones, zeros = zeros, ones
		} else {
			b.IDs[i] = append(ids, padding...)
		}
		if p.Mask {
			b.Mask[i] = append(ones, zeros...)
		}
	}
	return b
}

// appendText appends the ids of text, added tokens included.
func (t *Tokenizer) appendText(dst []int32, text string) []int32 {
	text = validUTF8(text)
	for _, clean := range t.clean {
		text = clean(text)
	}
	for start := 0; start < len(text); {
		added, begin, end := t.raw.next(text, start)
		if begin > start {
			dst = t.appendNormalized(dst, t.normalizeText(text[start:begin]), start == 0)
		}
		if added != None {
			dst = append(dst, added)
		}
		start = end
	}
	return dst
}

// appendNormalized appends the ids of a normalised stretch of the text; atStart says whether the text begins with it.
func (t *Tokenizer) appendNormalized(dst []int32, text string, atStart bool) []int32 {
	for start := 0; start < len(text); {
		added, begin, end := t.normalized.next(text, start)
		if begin > start {
			dst = t.appendWords(dst, text[start:begin], atStart && start == 0)
		}
		if added != None {
			dst = append(dst, added)
		}
		start = end
	}
	return dst
}

func (t *Tokenizer) appendWords(dst []int32, text string, atStart bool) []int32 {
	from := len(dst)
	dst = t.words(dst, word{text, atStart})
	if n := len(dst) - from; t.shield > 0 && n >= t.shield {
		dst = append(dst[:from], dst[from+t.shield:]...)
	}
	return dst
}

func (t *Tokenizer) normalizeText(text string) string {
	for _, normalize := range t.normalize {
		text = normalize(text)
	}
	return text
}
