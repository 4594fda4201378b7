package tokenizer

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// spaceMark stands for a space in SentencePiece's vocabularies.
const spaceMark = "▁"

// sentencePiece encodes as the sentencepiece library does: with the types of its pieces, in its precision.
type sentencePiece struct {
	ids     map[string]int32 // what text can become: normal, user-defined and unused pieces
	scores  []float32
	types   []TokenType
	longest [256]int // bytes of the longest piece that begins with a byte
	user    *finder  // user-defined pieces
	least   float32  // score of the normal pieces
	unk     int32
	bytes   *[256]int32 // the tokens <0x00> to <0xFF>, or nil
	merge   bool        // BPE rather than unigram
}

func newSentencePiece(spec *Spec, ids map[string]int32) (*sentencePiece, error) {
	if spec.Unk == None {
		return nil, fmt.Errorf("tokenizer: %s needs an unknown token", spec.Kind)
	}
	p := &sentencePiece{
		ids: make(map[string]int32, len(ids)), scores: make([]float32, len(spec.Scores)), types: spec.Types, unk: spec.Unk,
		least: math.MaxFloat32, merge: spec.Kind == SentencePieceBPE, user: userDefined(spec),
	}
	if len(p.types) == 0 {
		p.types = slices.Repeat([]TokenType{Normal}, len(spec.Tokens))
	}
	for id, score := range spec.Scores {
		p.scores[id] = float32(score)
		if p.types[id] == Normal {
			p.least = min(p.least, p.scores[id])
		}
	}
	for token, id := range ids {
		switch p.types[id] {
		case Normal, UserDefined, Unused:
			if token != "" {
				p.ids[token] = id
				p.longest[token[0]] = max(p.longest[token[0]], len(token))
			}
		}
	}
	if spec.Pipeline.ByteFallback {
		p.bytes = byteTokens(ids)
		if slices.Contains(p.bytes[:], None) {
			return nil, fmt.Errorf("tokenizer: byte_fallback needs the tokens <0x00> to <0xFF>, one is missing")
		}
	}
	return p, nil
}

// userDefined finds the pieces that no normaliser touches and that are always a token of their own.
func userDefined(spec *Spec) *finder {
	var tokens []AddedToken
	for id, kind := range spec.Types {
		if kind == UserDefined && !slices.ContainsFunc(spec.Pipeline.Added, func(a AddedToken) bool { return a.ID == int32(id) }) {
			tokens = append(tokens, AddedToken{ID: int32(id), Content: spec.Tokens[id]})
		}
	}
	return newFinder(tokens)
}

func (p *sentencePiece) encode(dst []int32, text string) []int32 {
	var pieces []piece
	if p.merge {
		pieces = p.mergePieces(text)
	} else {
		pieces = p.bestPieces(text)
	}
	unknown := false // whether the last id is that of an unknown stretch
	for _, c := range pieces {
		switch {
		case c.id != p.unk:
			dst = append(dst, c.id)
		case p.bytes != nil:
			for i := range len(c.text) {
				dst = append(dst, p.bytes[c.text[i]])
			}
		case !unknown:
			dst = append(dst, p.unk)
		}
		unknown = c.id == p.unk
	}
	return dst
}

// piece is a stretch of the text and its id.
type piece struct {
	text string
	id   int32
}

// bestPieces is the library's Viterbi, whose sums are rounded to float32. That decides between cuttings of equal sums.
func (p *sentencePiece) bestPieces(text string) []piece {
	type node struct {
		score float32
		id    int32
		start int
	}
	best := make([]node, len(text)+1)
	for i := range best {
		best[i].start = -1
	}
	improve := func(end int, score float32, id int32, start int) {
		if n := &best[end]; n.start < 0 || score > n.score {
			*n = node{score, id, start}
		}
	}
	unkScore := p.least - unkPenalty
	for at := 0; at < len(text); {
		here := best[at].score
		_, size := utf8.DecodeRuneInString(text[at:])
		known := false
		for end := at + size; end <= len(text) && end-at <= p.longest[text[at]]; {
			if id, ok := p.ids[text[at:end]]; ok && p.types[id] != Unused {
				improve(end, p.scores[id]+here, id, at)
				known = known || end == at+size
			}
			if end == len(text) {
				break
			}
			_, next := utf8.DecodeRuneInString(text[end:])
			end += next
		}
		if !known {
			improve(at+size, unkScore+here, p.unk, at)
		}
		at += size
	}
	var out []piece
	for end := len(text); end > 0; end = best[end].start {
		out = append(out, piece{text[best[end].start:end], best[end].id})
	}
	slices.Reverse(out)
	return out
}

// mergePieces is the library's BPE: of all neighbours that make a piece together, those with the greatest score merge
// first, the leftmost of equals first. Unused pieces are merged too and taken apart again at the end.
func (p *sentencePiece) mergePieces(text string) []piece {
	type symbol struct {
		begin, end int
		prev, next int32
		frozen     bool // user-defined
	}
	var symbols []symbol
	for at := 0; at < len(text); {
		_, size := utf8.DecodeRuneInString(text[at:])
		user, frozen := p.user.at(text, at)
		if frozen {
			size = len(user.Content)
		}
		n := int32(len(symbols))
		symbols = append(symbols, symbol{at, at + size, n - 1, n + 1, frozen})
		at += size
	}
	parts := map[string]int{} // where the left half of an unused piece ended
	// merged returns the piece that a symbol and its right neighbour make.
	merged := func(left int32) (id int32, ok bool) {
		if left < 0 || int(symbols[left].next) >= len(symbols) {
			return None, false
		}
		l, r := &symbols[left], &symbols[symbols[left].next]
		if l.begin == l.end || l.frozen || r.frozen || r.end-l.begin > p.longest[text[l.begin]] {
			return None, false
		}
		id, ok = p.ids[text[l.begin:r.end]]
		return id, ok
	}
	var queue mergeQueue
	propose := func(left int32) {
		id, ok := merged(left)
		if !ok {
			return
		}
		queue.push(proposed(int32(descending(p.scores[id])), left))
		if p.types[id] == Unused {
			l := &symbols[left]
			parts[text[l.begin:symbols[l.next].end]] = l.end - l.begin
		}
	}
	for i := range symbols {
		propose(int32(i))
	}
	for len(queue) > 0 {
		top := queue.pop()
		at := int32(uint32(top))
		// Either symbol may have been merged since: then the pair makes another piece, or none.
		if id, ok := merged(at); !ok || descending(p.scores[id]) != uint32(top>>32) {
			continue
		}
		l := &symbols[at]
		r := &symbols[l.next]
		l.end = r.end
		r.begin = r.end
		l.next = r.next
		if int(r.next) < len(symbols) {
			symbols[r.next].prev = at
		}
		propose(l.prev)
		propose(at)
	}

	var out []piece
	var add func(text string)
	add = func(text string) {
		id, ok := p.ids[text]
		if !ok {
			out = append(out, piece{text, p.unk})
			return
		}
		if cut, made := parts[text]; made && p.types[id] == Unused {
			add(text[:cut])
			add(text[cut:])
			return
		}
		out = append(out, piece{text, id})
	}
	for at := int32(0); int(at) < len(symbols); at = symbols[at].next {
		add(text[symbols[at].begin:symbols[at].end])
	}
	return out
}

// descending turns scores into ranks: the greater the score, the lower the rank.
func descending(score float32) uint32 {
	bits := math.Float32bits(score + 0) // -0 becomes 0
	if negative := bits>>31 != 0; negative {
		return bits
	}
	return math.MaxInt32 - bits
}

// compileSentencePiece makes the normaliser of a SentencePiece model.
func compileSentencePiece(s *Step, user *finder) (normalizer, error) {
	m, err := newCharsmap(s.Charsmap)
	if err != nil {
		return nil, err
	}
	n := &spmNormalizer{Step: s, charsmap: m, user: user, space: " "}
	if s.EscapeSpaces {
		n.space = spaceMark
	}
	return n.normalize, nil
}

type spmNormalizer struct {
	*Step
	charsmap *charsmap
	user     *finder
	space    string
}

func (n *spmNormalizer) normalize(text string) string {
	text = n.Shield + text
	if n.ExtraSpaces {
		for text != "" {
			out, size := n.next(text)
			if out != " " {
				break
			}
			text = text[size:]
		}
	}
	if text == "" {
		return ""
	}
	var b strings.Builder
	b.Grow(len(text) + len(text)/4 + len(n.space))
	if n.DummyPrefix && !n.DummySuffix {
		b.WriteString(n.space)
	}
	afterSpace := n.ExtraSpaces
	for text != "" {
		out, size := n.next(text)
		text = text[size:]
		if afterSpace {
			out = strings.TrimLeft(out, " ")
		}
		if out != "" {
			b.WriteString(strings.ReplaceAll(out, " ", n.space))
			afterSpace = n.ExtraSpaces && strings.HasSuffix(out, " ")
		}
	}
	normal := b.String()
	if n.ExtraSpaces {
		for strings.HasSuffix(normal, n.space) {
			normal = strings.TrimSuffix(normal, n.space)
		}
	}
	if n.DummySuffix {
		normal += n.space
	}
	return normal
}

// next returns what the longest known start of text becomes, and its length.
func (n *spmNormalizer) next(text string) (string, int) {
	if user, found := n.user.at(text, 0); found {
		return user.Content, len(user.Content)
	}
	if out, size := n.charsmap.prefix(text, false); size > 0 {
		return out, size
	}
	_, size := utf8.DecodeRuneInString(text)
	return text[:size], size
}
