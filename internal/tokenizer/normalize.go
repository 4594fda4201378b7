package tokenizer

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// normalizer rewrites a text.
type normalizer func(string) string

// user holds the tokens that a SentencePiece normaliser leaves alone.
func compileNormalizers(steps []Step, user *finder) ([]normalizer, error) {
	if len(steps) > maxSteps {
		return nil, fmt.Errorf("tokenizer: %d normalisers, at most %d are supported", len(steps), maxSteps)
	}
	if g := growth(steps); g > maxGrowth {
		return nil, fmt.Errorf("tokenizer: the normalisers may make a text %d times as long, at most %d times are supported", g, maxGrowth)
	}
	var out []normalizer
	for i := range steps {
		n, err := compileNormalizer(&steps[i], user)
		if err != nil {
			return nil, fmt.Errorf("tokenizer: normaliser %d: %w", i+1, err)
		}
		out = append(out, n)
	}
	return out, nil
}

// maxGrowth is how many times as long normalisers may make a text: a file of 64 steps that each replace "a" by "aa"
// must not cost 2^64 bytes.
const maxGrowth = 64

// growth returns how many times as long a text may become, roughly for charsmaps and for prefixes.
func growth(steps []Step) int {
	total := 1
	for _, s := range steps {
		switch s.Type {
		case "Replace":
			total *= max(1, (len(s.Content)+max(len(s.Pattern), 1)-1)/max(len(s.Pattern), 1))
		case "Precompiled", "SentencePiece":
			total *= 12 // U+FDFA, the greatest of NFKC, goes from 3 bytes to 33
		}
		if total > maxGrowth {
			break
		}
	}
	return total
}

func compileNormalizer(s *Step, user *finder) (normalizer, error) {
	switch s.Type {
	case "NFC":
		return func(text string) string { return normalForm(text, norm.NFC) }, nil
	case "NFD":
		return func(text string) string { return normalForm(text, norm.NFD) }, nil
	case "NFKC":
		return func(text string) string { return normalForm(text, norm.NFKC) }, nil
	case "NFKD":
		return func(text string) string { return normalForm(text, norm.NFKD) }, nil
	case "Lowercase":
		return lower, nil
	case "StripAccents":
		return func(text string) string { return remove(text, marks) }, nil
	case "Strip":
		return func(text string) string { return strip(text, s.Left, s.Right) }, nil
	case "Prepend":
		return func(text string) string {
			if text == "" {
				return text
			}
			return s.Content + text
		}, nil
	case "Replace":
		return compileReplace(s)
	case "Ftfy":
		return fixText, nil
	case "HTMLUnescape":
		return unescapeHTML, nil
	case "PythonLowercase":
		return pythonLower, nil
	case "RemovePunctuation":
		return func(text string) string { return removePunctuation(text, s.Underscores) }, nil
	case "PythonSpaces":
		return pythonSpaces, nil
	case "BertNormalizer":
		return func(text string) string { return bertNormalize(text, s) }, nil
	case "Precompiled":
		m, err := newCharsmap(s.Charsmap)
		if err != nil {
			return nil, err
		}
		return m.byGrapheme, nil
	case "SentencePiece":
		return compileSentencePiece(s, user)
	}
	return nil, fmt.Errorf("type %.40q is not supported", s.Type)
}

func compileReplace(s *Step) (normalizer, error) {
	if s.Regex == "" {
		if s.Pattern == "" {
			return nil, fmt.Errorf("a Replace has no pattern")
		}
		return func(text string) string { return strings.ReplaceAll(text, s.Pattern, s.Content) }, nil
	}
	match, err := scannerFor(s.Regex)
	if err != nil {
		return nil, err
	}
	if s.Regex == `\s+` && s.Content == " " {
		return func(text string) string {
			if singleSpaces(text) {
				return text
			}
			return collapseSpaces(text)
		}, nil
	}
	return func(text string) string { return replaceMatches(text, match, s.Content) }, nil
}

// singleSpaces reports that a text is ASCII whose only white space is single spaces, as most are.
func singleSpaces(text string) bool {
	space := false
	for i := range len(text) {
		c := text[i]
		if c >= utf8.RuneSelf || class(traits[c]&classBits) == classSpace && (space || c != ' ') {
			return false
		}
		space = c == ' '
	}
	return true
}

// collapseSpaces makes one space of white space in a row.
func collapseSpaces(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	for at := 0; at < len(text); {
		begin := at
		c, size := classAt(text[at:])
		for c != classSpace {
			if at += size; at == len(text) {
				break
			}
			c, size = classAt(text[at:])
		}
		b.WriteString(text[begin:at])
		if at < len(text) {
			b.WriteByte(' ')
			at += size + run(text[at+size:], classSpace)
		}
	}
	return b.String()
}

// replaceMatches writes content in place of every match.
func replaceMatches(text string, match scanner, content string) string {
	var b strings.Builder
	done := 0 // how much of text has been written
	for at := 0; at < len(text); {
		n := match(text[at:])
		if n == 0 {
			_, size := utf8.DecodeRuneInString(text[at:])
			at += size
			continue
		}
		if text[at:at+n] != content {
			b.WriteString(text[done:at])
			b.WriteString(content)
			done = at + n
		}
		at += n
	}
	if done == 0 {
		return text
	}
	b.WriteString(text[done:])
	return b.String()
}

// lower maps every code point to its lower case by Unicode's full mapping: U+0130 becomes two, and a final sigma is
// like any other.
func lower(text string) string {
	var b strings.Builder
	done := 0 // how much of text has been written
	for at := 0; at < len(text); {
		if c := text[at]; c < utf8.RuneSelf && traits[c]&casedBit == 0 {
			at++
			continue
		}
		r, size := utf8.DecodeRuneInString(text[at:])
		if mayHaveCase(r) {
			if done == 0 {
				b.Grow(len(text) + 8)
			}
			b.WriteString(text[done:at])
			writeLower(&b, r)
			done = at + size
		}
		at += size
	}
	if done == 0 {
		return text
	}
	b.WriteString(text[done:])
	return b.String()
}

func writeLower(b *strings.Builder, r rune) {
	if 'A' <= r && r <= 'Z' {
		b.WriteByte(byte(r) + 'a' - 'A')
		return
	}
	if r == 0x130 || r >= 0x1C89 {
		if full, ok := lowerCase[r]; ok {
			b.WriteString(full)
			return
		}
	}
	b.WriteRune(unicode.ToLower(r))
}

func remove(text string, table *unicode.RangeTable) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(table, r) {
			return -1
		}
		return r
	}, text)
}

func strip(text string, left, right bool) string {
	if left {
		text = strings.TrimLeftFunc(text, unicode.IsSpace)
	}
	if right {
		text = strings.TrimRightFunc(text, unicode.IsSpace)
	}
	return text
}

// bertNormalize is BertNormalizer: control characters go and white space becomes a space, ideographs get room, accents
// go, capitals go.
func bertNormalize(text string, s *Step) string {
	if s.CleanText {
		text = strings.Map(func(r rune) rune {
			switch {
			case r == '\t' || r == '\n' || r == '\r' || unicode.Is(unicode.Zs, r):
				return ' '
			case unicode.Is(bertDeleted, r):
				return -1
			}
			return r
		}, text)
	}
	if s.CJK && strings.ContainsFunc(text, ideograph) {
		var b strings.Builder
		for _, r := range text {
			if ideograph(r) {
				b.WriteByte(' ')
				b.WriteRune(r)
				b.WriteByte(' ')
			} else {
				b.WriteRune(r)
			}
		}
		text = b.String()
	}
	if s.StripAccents {
		text = remove(normalForm(text, norm.NFD), bertMarks)
	}
	if s.Lowercase {
		text = lower(text)
	}
	return text
}

// ideograph reports what BERT treats as a Chinese character. (The block of extension E begins at 2B820 in the
// original; the library begins it at 2B920.)
func ideograph(r rune) bool {
	return r >= 0x3400 && (r <= 0x4DBF || r >= 0x4E00 && r <= 0x9FFF || r >= 0xF900 && r <= 0xFAFF ||
		r >= 0x20000 && r <= 0x2A6DF || r >= 0x2A700 && r <= 0x2B81F || r >= 0x2B920 && r <= 0x2CEAF || r >= 0x2F800 && r <= 0x2FA1F)
}
