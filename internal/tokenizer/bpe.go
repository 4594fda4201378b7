package tokenizer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// bpe is byte-pair encoding: a word begins as one symbol per character (or byte), and of all neighbours that have a
// merge the ones with the lowest rank are merged, the leftmost first, until none is left.
type bpe struct {
	ids    map[string]int32
	merges pairTable

	byteLevel  bool             // symbols are bytes, in the byte-level alphabet
	prefix     bool             // byte level: a word gets a space in front
	gpt2       bool             // byte level: a word is cut once more, by GPT-2's expression
	bytes      [2][2][256]int32 // byte level: the symbol of a byte, by whether it is [not the first][the last] of its word
	fallback   *[256]int32      // the tokens <0x00> to <0xFF>, or nil
	continuing string
	endOfWord  string
	unk        int32
	fuseUnk    bool
	wholeWords bool // ignore_merges
	spaceCuts  bool // no merge joins anything with a spaceMark on its right but another one
	controls   map[string]int32

	scratch sync.Pool // *bpeScratch
}

func newBPE(spec *Spec, ids map[string]int32) (*bpe, error) {
	p := &spec.Pipeline
	b := &bpe{ids: ids, continuing: p.Continuing, endOfWord: p.EndOfWord, unk: spec.Unk, fuseUnk: p.FuseUnk, wholeWords: p.IgnoreMerges}
	b.scratch.New = func() any { return new(bpeScratch) }
	if p.WholeControls {
		b.controls = map[string]int32{}
		for id, kind := range spec.Types {
			if kind == Control {
				b.controls[spec.Tokens[id]] = int32(id)
			}
		}
	}
	if p.SkipUnk {
		b.unk = None
	}
	if err := b.readMerges(spec.Merges); err != nil {
		return nil, err
	}
	for i, step := range p.PreTokenizers {
		if step.Type == "ByteLevel" {
			if i != len(p.PreTokenizers)-1 {
				return nil, fmt.Errorf("tokenizer: ByteLevel is pre-tokeniser %d of %d, expected last", i+1, len(p.PreTokenizers))
			}
			b.byteLevel, b.prefix, b.gpt2 = true, step.AddPrefixSpace, step.UseRegex
		}
	}
	if p.ByteFallback {
		b.fallback = byteTokens(ids)
	}
	for c := range 256 {
		symbol := string(byteRunes[c])
		for notFirst, prefix := range []string{"", b.continuing} {
			for last, suffix := range []string{"", b.endOfWord} {
				b.bytes[notFirst][last][c] = b.id(prefix + symbol + suffix)
			}
		}
	}
	return b, nil
}

func (b *bpe) id(token string) int32 {
	if id, ok := b.ids[token]; ok {
		return id
	}
	return None
}

// readMerges fills the table of merges. Where a pair comes twice the last counts, as in the tokenizers library.
func (b *bpe) readMerges(merges []string) error {
	b.merges = newPairTable(len(merges))
	b.spaceCuts = b.id(spaceMark) != None && b.continuing == "" && b.endOfWord == "" && !b.wholeWords
	for rank, merge := range merges {
		left, right, result := b.splitMerge(merge)
		if result == None {
			return fmt.Errorf("tokenizer: merge %d, %.80q, names a token that the vocabulary doesn't have", rank, merge)
		}
		if joinsAtSpace(merge) {
			b.spaceCuts = false
		}
		b.merges.set(left, right, merged{rank: int32(rank), id: result})
	}
	return nil
}

// joinsAtSpace reports whether a merge may put a spaceMark behind something else.
func joinsAtSpace(merge string) bool {
	for at, r := range merge {
		if r == ' ' && strings.HasPrefix(merge[at+1:], spaceMark) && !strings.HasSuffix(merge[:at], spaceMark) {
			return true
		}
	}
	return false
}

// cutAtSpaces hands on a word in parts that can be encoded one by one, with the same result: merges only join
// neighbours. The vocabularies that follow SentencePiece get a whole text as one word, and parts can be remembered.
func cutAtSpaces(ids []int32, w word, next sink) []int32 {
	text := w.text
	for {
		start := len(text) - len(strings.TrimLeft(text, spaceMark))
		at := strings.Index(text[start:], spaceMark)
		if at < 0 {
			break
		}
		ids = next(ids, word{text: text[:start+at]})
		text = text[start+at:]
	}
	return next(ids, word{text: text})
}

// splitMerge returns the ids of the two halves of "left right" and of the token that they make. Tokens may hold spaces
// themselves: the first cut counts that gives three known tokens.
func (b *bpe) splitMerge(merge string) (left, right, result int32) {
	for cut := 0; ; {
		space := strings.IndexByte(merge[cut:], ' ')
		if space < 0 {
			return None, None, None
		}
		cut += space + 1
		l, r := merge[:cut-1], merge[cut:]
		left, right, result = b.id(l), b.id(r), b.id(l+strings.TrimPrefix(r, b.continuing))
		if left != None && right != None && result != None {
			return left, right, result
		}
	}
}

// bpeScratch is what one word needs while it is merged.
type bpeScratch struct {
	ids   []int32
	ranks []merged // of the pair (i, i+1)
	prev  []int32  // long words: a list of the symbols that are left
	next  []int32
	queue mergeQueue
}

func (b *bpe) encode(dst []int32, word string) []int32 {
	if b.prefix && !strings.HasPrefix(word, " ") {
		word = " " + word
	}
	if !b.gpt2 {
		return b.encodeWord(dst, word)
	}
	for word != "" {
		n := scanGPT2(word) // matches any character, so that no word is left over
		dst = b.encodeWord(dst, word[:n])
		word = word[n:]
	}
	return dst
}

func (b *bpe) encodeWord(dst []int32, word string) []int32 {
	if id, ok := b.controls[word]; ok {
		return append(dst, id)
	}
	if b.wholeWords {
		if id, ok := b.whole(word); ok {
			return append(dst, id)
		}
	}
	s := b.scratch.Get().(*bpeScratch)
	s.ids = b.symbols(s.ids[:0], word)
	if len(s.ids) <= shortWord {
		dst = b.mergeShort(dst, s)
	} else {
		dst = b.mergeLong(dst, s)
	}
	if cap(s.ids) <= 1<<14 {
		b.scratch.Put(s)
	}
	return dst
}

// whole returns the id of a word that is a token as it stands.
func (b *bpe) whole(word string) (int32, bool) {
	if b.byteLevel {
		word = byteLevelText(word)
	}
	id, ok := b.ids[word]
	return id, ok
}

// symbols appends the symbols that a word begins as.
func (b *bpe) symbols(dst []int32, word string) []int32 {
	unknown := 0 // unknown characters that wait for the end of their run
	flush := func() {
		if unknown > 0 {
			dst = append(dst, b.unk)
			unknown = 0
		}
	}
	var buffer [64]byte
	for i := 0; i < len(word); {
		var size int
		var id int32
		if b.byteLevel {
			size = 1
			id = b.bytes[min(i, 1)][boolInt(i+1 == len(word))][word[i]]
		} else {
			_, size = utf8.DecodeRuneInString(word[i:])
			symbol := buffer[:0]
			if i > 0 {
				symbol = append(symbol, b.continuing...)
			}
			symbol = append(symbol, word[i:i+size]...)
			if i+size == len(word) {
				symbol = append(symbol, b.endOfWord...)
			}
			id = None
			if known, ok := b.ids[string(symbol)]; ok {
				id = known
			}
		}
		char := word[i : i+size]
		i += size
		if id != None {
			flush()
			dst = append(dst, id)
			continue
		}
		if n := len(dst); b.fallback != nil && !b.byteLevel {
			if dst = b.spell(dst, char); len(dst) > n {
				continue
			}
		}
		if b.unk == None {
			continue // as the library does: the character is left out
		}
		if !b.fuseUnk {
			flush()
		}
		unknown++
	}
	flush()
	return dst
}

// spell appends the byte tokens of an unknown character, or nothing where one of them is missing.
func (b *bpe) spell(dst []int32, char string) []int32 {
	for i := range len(char) {
		if b.fallback[char[i]] == None {
			return dst
		}
	}
	for i := range len(char) {
		dst = append(dst, b.fallback[char[i]])
	}
	return dst
}

// shortWord is the number of symbols up to which looking at every pair again beats keeping a queue.
const shortWord = 48

func (b *bpe) mergeShort(dst []int32, s *bpeScratch) []int32 {
	ids := s.ids
	s.ranks = s.ranks[:0]
	for i := 0; i+1 < len(ids); i++ {
		s.ranks = append(s.ranks, b.merges.get(ids[i], ids[i+1]))
	}
	ranks := s.ranks
	for {
		best, at := int32(noMerge), -1
		for i := range ranks {
			if ranks[i].rank < best {
				best, at = ranks[i].rank, i
			}
		}
		if at < 0 {
			return append(dst, ids...)
		}
		ids[at] = ranks[at].id
		ids = append(ids[:at+1], ids[at+2:]...)
		ranks = append(ranks[:at], ranks[at+1:]...)
		if at < len(ranks) {
			ranks[at] = b.merges.get(ids[at], ids[at+1])
		}
		if at > 0 {
			ranks[at-1] = b.merges.get(ids[at-1], ids[at])
		}
	}
}

// mergeLong does the same with a queue: a word of n symbols costs n log n, so that a megabyte without a space is no
// attack.
func (b *bpe) mergeLong(dst []int32, s *bpeScratch) []int32 {
	n := len(s.ids)
	s.prev, s.next, s.queue = slices.Grow(s.prev[:0], n), slices.Grow(s.next[:0], n), slices.Grow(s.queue[:0], n)
	for i := range n {
		s.prev = append(s.prev, int32(i-1))
		s.next = append(s.next, int32(i+1))
		if i+1 < n {
			if m := b.merges.get(s.ids[i], s.ids[i+1]); m.rank != noMerge {
				s.queue = append(s.queue, proposed(m.rank, int32(i)))
			}
		}
	}
	s.queue.init()
	propose := func(left int32) {
		if left < 0 || int(s.next[left]) >= n {
			return
		}
		if m := b.merges.get(s.ids[left], s.ids[s.next[left]]); m.rank != noMerge {
			s.queue.push(proposed(m.rank, left))
		}
	}
	for len(s.queue) > 0 {
		proposal := s.queue.pop()
		rank, at := int32(proposal>>32), int32(uint32(proposal))
		// Either symbol may have been merged since: then the pair is another one, or none.
		right := s.next[at]
		if s.ids[at] == gone || int(right) >= n {
			continue
		}
		m := b.merges.get(s.ids[at], s.ids[right])
		if m.rank != rank {
			continue
		}
		s.ids[at], s.ids[right] = m.id, gone
		after := s.next[right]
		s.next[at] = after
		if int(after) < n {
			s.prev[after] = at
		}
		propose(s.prev[at])
		propose(at)
	}
	for _, id := range s.ids {
		if id != gone {
			dst = append(dst, id)
		}
	}
	return dst
}

// gone marks a symbol that became part of its left neighbour.
const gone int32 = -2

// mergeQueue is a heap of proposals to merge two neighbours: the lowest rank first, the leftmost of equals first. Every node has
// four children, which makes it half as deep as a heap of two.
type mergeQueue []uint64

// proposed puts a rank and the place of the left symbol into a number.
func proposed(rank, at int32) uint64 { return uint64(uint32(rank))<<32 | uint64(uint32(at)) }

// init makes a heap of proposals in any order.
func (q mergeQueue) init() {
	for i := (len(q) - 2) / 4; i >= 0 && len(q) > 1; i-- {
		q.sink(i, q[i])
	}
}

func (q *mergeQueue) push(p uint64) {
	h := append(*q, p)
	*q = h
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if h[parent] <= p {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = p
}

func (q *mergeQueue) pop() uint64 {
	h := *q
	top, n := h[0], len(h)-1
	*q = h[:n]
	if n > 0 {
		q.sink(0, h[n])
	}
	return top
}

// sink puts p where it belongs below node i.
func (q mergeQueue) sink(i int, p uint64) {
	for {
		child := 4*i + 1
		if child >= len(q) {
			break
		}
		least, at := q[child], child
		for c := child + 1; c < min(child+4, len(q)); c++ {
			if q[c] < least {
				least, at = q[c], c
			}
		}
		if least >= p {
			break
		}
		q[i] = least
		i = at
	}
	q[i] = p
}

// merged is what a pair of symbols becomes.
type merged struct{ rank, id int32 }

// noMerge is the rank of a pair that has no merge; it is after all others.
const noMerge = 1<<31 - 1

// pairTable maps a pair of symbols to its merge: open addressing with linear probing, at most half full.
type pairTable struct {
	keys   []uint64 // left << 32 | right; ^0 where free
	values []merged
	shift  uint
	factor uint64 // odd and random, so that no file can be made whose pairs all fall into one place
}

const freePair = ^uint64(0)

func newPairTable(n int) pairTable {
	bits := uint(4)
	for 1<<bits < 2*n {
		bits++
	}
	t := pairTable{keys: make([]uint64, 1<<bits), values: make([]merged, 1<<bits), shift: 64 - bits, factor: rand.Uint64() | 1}
	for i := range t.keys {
		t.keys[i] = freePair
	}
	return t
}

// slot returns the place of a pair, or the free one where it would go.
func (t *pairTable) slot(left, right int32) int {
	key := uint64(uint32(left))<<32 | uint64(uint32(right))
	i := int(key * t.factor >> t.shift)
	for t.keys[i] != key && t.keys[i] != freePair {
		i = (i + 1) & (len(t.keys) - 1)
	}
	return i
}

func (t *pairTable) set(left, right int32, m merged) {
	i := t.slot(left, right)
	t.keys[i] = uint64(uint32(left))<<32 | uint64(uint32(right))
	t.values[i] = m
}

func (t *pairTable) get(left, right int32) merged {
	if i := t.slot(left, right); t.keys[i] != freePair {
		return t.values[i]
	}
	return merged{noMerge, None}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
