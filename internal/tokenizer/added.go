package tokenizer

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// finder looks for added tokens in a text: the leftmost one, and of those that begin at one place the longest.
type finder struct {
	tokens  map[string]AddedToken
	lengths [256][]int // of the tokens that begin with a byte, the longest first
	first   string     // the only first byte that there is, if there is one: strings.IndexByte is fast
}

func newFinder(tokens []AddedToken) *finder {
	f := &finder{tokens: make(map[string]AddedToken, len(tokens))}
	for _, token := range tokens {
		if token.Content == "" {
			continue // normalised away
		}
		f.tokens[token.Content] = token
		lengths := &f.lengths[token.Content[0]]
		if !slices.Contains(*lengths, len(token.Content)) {
			*lengths = append(*lengths, len(token.Content))
		}
	}
	firsts := 0
	for b, lengths := range f.lengths {
		if len(lengths) > 0 {
			slices.SortFunc(lengths, func(a, b int) int { return b - a })
			firsts++
			f.first = string([]byte{byte(b)})
		}
	}
	if firsts != 1 {
		f.first = ""
	}
	return f
}

// next returns the next added token at or after start and the stretch text[begin:end] that it stands for, or None and
// the end of the text.
func (f *finder) next(text string, start int) (id int32, begin, end int) {
	if len(f.tokens) == 0 {
		return None, len(text), len(text)
	}
	for at := start; at < len(text); at++ {
		if f.first != "" {
			skip := strings.IndexByte(text[at:], f.first[0])
			if skip < 0 {
				break
			}
			at += skip
		}
		token, found := f.at(text, at)
		if !found {
			continue
		}
		begin, end = at, at+len(token.Content)
		if token.SingleWord && (touchesWord(utf8.DecodeLastRuneInString(text[:begin])) || touchesWord(utf8.DecodeRuneInString(text[end:]))) {
			at = end - 1
			continue
		}
		if token.LStrip {
			begin = start + len(strings.TrimRightFunc(text[start:begin], unicode.IsSpace))
		}
		if token.RStrip {
			end = len(text) - len(strings.TrimLeftFunc(text[end:], unicode.IsSpace))
		}
		return token.ID, begin, end
	}
	return None, len(text), len(text)
}

// at returns the longest added token that text has at a place.
func (f *finder) at(text string, at int) (AddedToken, bool) {
	for _, n := range f.lengths[text[at]] {
		if n > len(text)-at {
			continue
		}
		if token, ok := f.tokens[text[at:at+n]]; ok {
			return token, true
		}
	}
	return AddedToken{}, false
}

// touchesWord reports whether a neighbour (of size 0 at the end of the text) is part of a word: \w of UTS 18.
func touchesWord(r rune, size int) bool {
	return size > 0 && (unicode.In(r, unicode.L, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc, unicode.Other_Alphabetic) || r == 0x200C || r == 0x200D)
}
