package tokenizer

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// scanner is a regular expression written by hand: it returns the length of the match at the start of a text that
// isn't empty, or 0.
type scanner func(text string) int

// scanners holds the expressions that the tokenisers of this family use. They are alternatives tried in order, without
// backtracking into what has been matched, so a scanner follows them letter by letter.
var scanners = map[string]scanner{
	`\s+`:    spaces,
	` {2,}`:  func(text string) int { return atLeast(2, len(text)-len(strings.TrimLeft(text, " "))) },
	`\s`:     func(text string) int { return oneRune(text, unicode.IsSpace) },
	clipWord: scanCLIP,
	// Older files of the same class.
	`'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+`: scanCLIPWord,
	gpt2Word:     scanGPT2,
	openCLIPWord: func(text string) int { return scanSimple(text, openCLIPStart, openCLIPEnd) },
	openAIWord:   func(text string) int { return scanSimple(text, clipStart, clipEnd) },
}

const (
	clipWord     = `<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+`
	openCLIPWord = `(?i)<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+`
	openAIWord   = `(?i)` + clipWord
	gpt2Word     = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
)

func scannerFor(regex string) (scanner, error) {
	if s, ok := scanners[regex]; ok {
		return s, nil
	}
	return nil, fmt.Errorf("the regular expression %.200q is not one that this tokeniser knows", regex)
}

func atLeast(least, n int) int {
	if n < least {
		return 0
	}
	return n
}

func oneRune(text string, is func(rune) bool) int {
	if r, size := utf8.DecodeRuneInString(text); is(r) {
		return size
	}
	return 0
}

func spaces(text string) int {
	if text[0] < utf8.RuneSelf && class(traits[text[0]]&classBits) != classSpace {
		return 0
	}
	return len(text) - len(strings.TrimLeftFunc(text, unicode.IsSpace))
}

// class is what the expressions tell apart.
type class uint8

const (
	classOther class = iota
	classSpace
	classLetter
	classNumber
)

// classAt returns the class and the length of the first character.
func classAt(text string) (class, int) {
	if c := text[0]; c < utf8.RuneSelf {
		return class(traits[c] & classBits), 1
	}
	r, size := utf8.DecodeRuneInString(text)
	return classOf(r), size
}

// run returns the length of the characters of one class at the start of text.
func run(text string, of class) int {
	n := 0
	for n < len(text) && text[n] < utf8.RuneSelf && class(traits[text[n]]&classBits) == of {
		n++
	}
	for n < len(text) {
		c, size := classAt(text[n:])
		if c != of {
			break
		}
		n += size
	}
	return n
}

// contraction matches 's|'t|'re|'ve|'m|'ll|'d.
func contraction(text string) int {
	if len(text) < 2 || text[0] != '\'' {
		return 0
	}
	switch text[1] {
	case 's', 't', 'm', 'd':
		return 2
	}
	if len(text) >= 3 {
		switch text[1:3] {
		case "re", "ve", "ll":
			return 3
		}
	}
	return 0
}

func scanCLIP(text string) int {
	if text[0] != '<' {
		return scanCLIPWord(text)
	}
	for _, special := range [...]string{"<|startoftext|>", "<|endoftext|>"} {
		if strings.HasPrefix(text, special) {
			return len(special)
		}
	}
	return scanCLIPWord(text)
}

func scanCLIPWord(text string) int {
	if n := contraction(text); n > 0 {
		return n
	}
	c, size := classAt(text)
	switch c {
	case classSpace:
		return 0
	case classNumber:
		return size
	}
	return size + run(text[size:], c)
}

// scanSimple is scanCLIP with these special tokens and without regard to case.
func scanSimple(text, start, end string) int {
	if text[0] != '<' && text[0] != '\'' {
		return scanCLIPWord(text)
	}
	for _, special := range [...]string{start, end} {
		if len(text) >= len(special) && strings.EqualFold(text[:len(special)], special) {
			return len(special)
		}
	}
	if text[0] == '\'' {
		for _, ending := range [...]string{"s", "t", "re", "ve", "m", "ll", "d"} {
			if n := foldPrefix(text[1:], ending); n > 0 {
				return 1 + n
			}
		}
	}
	return scanCLIPWord(text)
}

// foldPrefix returns the length of the start of text that equals an ASCII prefix but for case ("\u017F" is an s), or 0.
func foldPrefix(text, prefix string) int {
	n := 0
	for _, want := range prefix {
		r, size := utf8.DecodeRuneInString(text[n:])
		if size == 0 || !strings.EqualFold(string(r), string(want)) {
			return 0
		}
		n += size
	}
	return n
}

func scanGPT2(text string) int {
	if n := contraction(text); n > 0 {
		return n
	}
	c, size := classAt(text)
	if c != classSpace {
		return size + run(text[size:], c)
	}
	if text[0] == ' ' && len(text) > 1 {
		if c, size = classAt(text[1:]); c != classSpace {
			return 1 + size + run(text[1+size:], c)
		}
	}
	// \s+(?!\S): white space up to the last one before a word, which belongs to the word's match if it is a space.
	n := spaces(text)
	if n == len(text) {
		return n
	}
	_, last := utf8.DecodeLastRuneInString(text[:n])
	if n > last {
		return n - last
	}
	return n
}
