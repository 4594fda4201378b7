package tokenizer

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// word is a stretch of the text between two pre-tokenisers.
type word struct {
	text  string
	first bool // the whole text begins here
}

// sink takes words, and appends what becomes of them to ids.
type sink func(ids []int32, w word) []int32

// splitter hands the words that it cuts a word into to the next station. None is empty.
type splitter func(ids []int32, w word, next sink) []int32

// compileSplitters puts the pre-tokenisers in front of a sink.
func compileSplitters(steps []Step, last sink) (sink, error) {
	if len(steps) > maxSteps {
		return nil, fmt.Errorf("tokenizer: %d pre-tokenisers, at most %d are supported", len(steps), maxSteps)
	}
	for i := len(steps) - 1; i >= 0; i-- {
		split, err := compileSplitter(&steps[i])
		if err != nil {
			return nil, fmt.Errorf("tokenizer: pre-tokeniser %d: %w", i+1, err)
		}
		next := last
		last = func(ids []int32, w word) []int32 { return split(ids, w, next) }
	}
	return last, nil
}

func compileSplitter(s *Step) (splitter, error) {
	switch s.Type {
	case "WhitespaceSplit":
		return func(ids []int32, w word, next sink) []int32 { return cutAt(ids, w, removed, spaces, next) }, nil
	case "BertPreTokenizer":
		return splitBERT, nil
	case "ByteLevel": // a part of the model, see bpe
		return func(ids []int32, w word, next sink) []int32 { return next(ids, w) }, nil
	case "Metaspace":
		return compileMetaspace(s)
	case "Split":
		return compileSplit(s)
	case "Punctuation":
		how, err := behaviorOf(s.Behavior)
		if err != nil {
			return nil, err
		}
		return func(ids []int32, w word, next sink) []int32 { return cutAt(ids, w, how, punctuationMark, next) }, nil
	}
	return nil, fmt.Errorf("type %.40q is not supported", s.Type)
}

func compileSplit(s *Step) (splitter, error) {
	how, err := behaviorOf(s.Behavior)
	if err != nil {
		return nil, err
	}
	var match scanner
	if s.Regex != "" {
		if match, err = scannerFor(s.Regex); err != nil {
			return nil, err
		}
	} else {
		if s.Pattern == "" {
			return nil, fmt.Errorf("a Split has no pattern")
		}
		match = func(text string) int {
			if strings.HasPrefix(text, s.Pattern) {
				return len(s.Pattern)
			}
			return 0
		}
		if !s.Invert {
			return func(ids []int32, w word, next sink) []int32 {
				if !strings.Contains(w.text, s.Pattern) {
					return next(ids, w)
				}
				return cutAt(ids, w, how, match, next)
			}, nil
		}
	}
	if s.Invert {
		if how != removed && how != isolated {
			return nil, fmt.Errorf("a Split is inverted and %s, which is not supported", s.Behavior)
		}
		return func(ids []int32, w word, next sink) []int32 { return keepMatches(ids, w, how == isolated, match, next) }, nil
	}
	return func(ids []int32, w word, next sink) []int32 { return cutAt(ids, w, how, match, next) }, nil
}

// behavior says where the text that separates two words goes.
type behavior int

const (
	removed behavior = iota
	isolated
	mergedWithPrevious
	mergedWithNext
	contiguous
)

func behaviorOf(name string) (behavior, error) {
	for i, known := range [...]string{"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"} {
		if name == known {
			return behavior(i), nil
		}
	}
	return 0, fmt.Errorf("behavior %.40q is not one of Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous", name)
}

// sub returns a part of a word.
func (w word) sub(begin, end int) word { return word{w.text[begin:end], w.first && begin == 0} }

// cutAt cuts a word at the matches of an expression.
func cutAt(ids []int32, w word, how behavior, match scanner, next sink) []int32 {
	add := func(begin, end int) {
		if begin < end {
			ids = next(ids, w.sub(begin, end))
		}
	}
	begin := 0 // of the word that grows
	for at := 0; at < len(w.text); {
		n := match(w.text[at:])
		if n == 0 {
			_, size := utf8.DecodeRuneInString(w.text[at:])
			at += size
			continue
		}
		if how == contiguous {
			for more := n; more > 0 && at+n < len(w.text); n += more {
				more = match(w.text[at+n:])
			}
		}
		switch how {
		case removed:
			add(begin, at)
			begin = at + n
		case isolated, contiguous:
			add(begin, at)
			add(at, at+n)
			begin = at + n
		case mergedWithPrevious:
			add(begin, at+n)
			begin = at + n
		case mergedWithNext:
			add(begin, at)
			begin = at
		}
		at += n
	}
	add(begin, len(w.text))
	return ids
}

// keepMatches makes words of the matches; what lies between them is dropped, or is a word too.
func keepMatches(ids []int32, w word, between bool, match scanner, next sink) []int32 {
	for at := 0; at < len(w.text); {
		begin, n := at, 0
		for at < len(w.text) {
			if n = match(w.text[at:]); n > 0 {
				break
			}
			_, size := utf8.DecodeRuneInString(w.text[at:])
			at += size
		}
		if between && at > begin {
			ids = next(ids, w.sub(begin, at))
		}
		if n > 0 {
			ids = next(ids, w.sub(at, at+n))
		}
		at += n
	}
	return ids
}

// splitBERT cuts at white space, which goes, and around every punctuation mark, which stays.
func splitBERT(ids []int32, w word, next sink) []int32 {
	begin := 0
	for at := 0; at < len(w.text); {
		r, size := utf8.DecodeRuneInString(w.text[at:])
		space := unicode.IsSpace(r)
		if !space && !unicode.Is(bertPunctuation, r) {
			at += size
			continue
		}
		if begin < at {
			ids = next(ids, w.sub(begin, at))
		}
		if !space {
			ids = next(ids, w.sub(at, at+size))
		}
		at += size
		begin = at
	}
	if begin < len(w.text) {
		ids = next(ids, w.sub(begin, len(w.text)))
	}
	return ids
}

func punctuationMark(text string) int {
	return oneRune(text, func(r rune) bool { return unicode.Is(bertPunctuation, r) })
}

// compileMetaspace makes SentencePiece's way with spaces: each becomes a mark that begins a word.
func compileMetaspace(s *Step) (splitter, error) {
	mark := s.Replacement
	if utf8.RuneCountInString(mark) != 1 {
		return nil, fmt.Errorf("a Metaspace replaces spaces by %.40q, expected one character", mark)
	}
	switch s.Prepend {
	case "always", "first", "never":
	default:
		return nil, fmt.Errorf("a Metaspace has prepend_scheme %.40q, expected always, first or never", s.Prepend)
	}
	begins := func(text string) int {
		if strings.HasPrefix(text, mark) {
			return len(mark)
		}
		return 0
	}
	return func(ids []int32, w word, next sink) []int32 {
		w.text = strings.ReplaceAll(w.text, " ", mark)
		if (s.Prepend == "always" || s.Prepend == "first" && w.first) && !strings.HasPrefix(w.text, mark) {
			w.text = mark + w.text
		}
		if !s.Split || strings.LastIndex(w.text, mark) <= 0 {
			return next(ids, w)
		}
		return cutAt(ids, w, mergedWithNext, begins, next)
	}, nil
}
