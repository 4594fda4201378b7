package tokenizer

import (
	"fmt"
	"unicode/utf8"
)

// wordPiece takes the longest token that a word begins with, then the longest continuation, and so on. A word that
// can't be finished is unknown as a whole.
type wordPiece struct {
	first    map[string]int32 // tokens as they stand
	rest     map[string]int32 // continuations, without their prefix
	longest  int              // bytes of the longest of all
	maxRunes int
	unk      int32
}

func newWordPiece(spec *Spec, ids map[string]int32) (*wordPiece, error) {
	if spec.Unk == None {
		return nil, fmt.Errorf("tokenizer: wordpiece needs an unknown token")
	}
	w := &wordPiece{first: ids, rest: map[string]int32{}, maxRunes: spec.Pipeline.MaxWordRunes, unk: spec.Unk}
	prefix := spec.Pipeline.Continuing
	for token, id := range ids {
		w.longest = max(w.longest, len(token))
		if len(token) >= len(prefix) && token[:len(prefix)] == prefix {
			w.rest[token[len(prefix):]] = id
		}
	}
	return w, nil
}

func (w *wordPiece) encode(dst []int32, word string) []int32 {
	if w.maxRunes > 0 && utf8.RuneCountInString(word) > w.maxRunes {
		return append(dst, w.unk)
	}
	from := len(dst)
	vocab := w.first
	for len(word) > 0 {
		end := min(len(word), w.longest)
		for end > 0 {
			if utf8.RuneStart(byteAt(word, end)) {
				if id, ok := vocab[word[:end]]; ok {
					dst = append(dst, id)
					break
				}
			}
			end--
		}
		if end == 0 {
			return append(dst[:from], w.unk)
		}
		word, vocab = word[end:], w.rest
	}
	return dst
}

// byteAt returns the byte at a place; the end of a text counts as the start of a character.
func byteAt(text string, at int) byte {
	if at == len(text) {
		return 0
	}
	return text[at]
}
