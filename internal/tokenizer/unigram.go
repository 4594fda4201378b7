package tokenizer

import (
	"fmt"
	"slices"
	"sync"
	"unicode/utf8"
)

// unigram picks the tokens whose scores have the greatest sum, by the algorithm of Viterbi: best[i] is the best way to
// cut the first i bytes.
type unigram struct {
	ids      map[string]int32
	scores   []float64
	longest  [256]int // bytes of the longest token that begins with a byte
	unk      int32
	unkScore float64
	fallback *[256]int32 // the tokens <0x00> to <0xFF>, or nil

	scratch sync.Pool // *[]cut
}

// cut is the last token of the best way to cut the text up to a place.
type cut struct {
	score float64
	id    int32
	start int32 // -1: no way leads here yet
}

// unkPenalty is how much worse than the worst token an unknown character is.
const unkPenalty = 10

func newUnigram(spec *Spec, ids map[string]int32) (*unigram, error) {
	if spec.Unk == None {
		return nil, fmt.Errorf("tokenizer: unigram needs an unknown token")
	}
	u := &unigram{ids: ids, scores: spec.Scores, unk: spec.Unk}
	u.scratch.New = func() any { return new([]cut) }
	u.unkScore = slices.Min(spec.Scores) - unkPenalty
	for _, token := range spec.Tokens {
		if token != "" {
			u.longest[token[0]] = max(u.longest[token[0]], len(token))
		}
	}
	if spec.Pipeline.ByteFallback {
		u.fallback = byteTokens(ids)
	}
	return u, nil
}

// byteTokens returns the ids of <0x00> to <0xFF>, None where one is missing.
func byteTokens(ids map[string]int32) *[256]int32 {
	var out [256]int32
	for b := range out {
		out[b] = None
		if id, ok := ids[fmt.Sprintf("<0x%02X>", b)]; ok {
			out[b] = id
		}
	}
	return &out
}

func (u *unigram) encode(dst []int32, word string) []int32 {
	scratch := u.scratch.Get().(*[]cut)
	best := (*scratch)[:0]
	for range len(word) + 1 {
		best = append(best, cut{start: -1})
	}
	for at := 0; at < len(word); {
		here := best[at].score
		_, size := utf8.DecodeRuneInString(word[at:])
		known := false
		for end := at + size; end <= len(word) && end-at <= u.longest[word[at]]; {
			if id, ok := u.ids[word[at:end]]; ok {
				best[end].improve(here+u.scores[id], id, at)
				known = known || end == at+size
			}
			if end == len(word) {
				break
			}
			_, next := utf8.DecodeRuneInString(word[end:])
			end += next
		}
		if !known {
			best[at+size].improve(here+u.unkScore, u.unk, at)
		}
		at += size
	}

	// The way back gives the tokens from the last to the first.
	from := len(dst)
	for end := len(word); end > 0; {
		c := best[end]
		begin := int(c.start)
		if c.id == u.unk {
			// Unknown characters in a row are one token.
			for begin > 0 && best[begin].id == u.unk {
				begin = int(best[begin].start)
			}
			dst = u.unknown(dst, word[begin:end])
		} else {
			dst = append(dst, c.id)
		}
		end = begin
	}
	slices.Reverse(dst[from:])
	if cap(best) <= 1<<16 {
		*scratch = best
		u.scratch.Put(scratch)
	}
	return dst
}

// unknown appends the ids of unknown characters, the last first.
func (u *unigram) unknown(dst []int32, text string) []int32 {
	if u.fallback != nil {
		n := len(dst)
		for i := len(text) - 1; i >= 0 && u.fallback[text[i]] != None; i-- {
			dst = append(dst, u.fallback[text[i]])
		}
		if len(dst)-n == len(text) {
			return dst
		}
		dst = dst[:n]
	}
	return append(dst, u.unk)
}

// improve takes a way to a place if it is the first or better than the best known.
func (c *cut) improve(score float64, id int32, start int) {
	if c.start < 0 || score > c.score {
		*c = cut{score, id, int32(start)}
	}
}
