package tokenizer

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// removePunctuation deletes ASCII punctuation; underscores may become spaces instead (open_clip).
func removePunctuation(text string, underscores bool) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '_' && underscores:
			return ' '
		case asciiPunctuation(r):
			return -1
		}
		return r
	}, text)
}

// asciiPunctuation is Python's string.punctuation.
func asciiPunctuation(r rune) bool {
	return r > ' ' && r < 0x7F && !('0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z')
}

// pythonSpaces makes one space of white space in a row and none at the ends: " ".join(text.split()).
func pythonSpaces(text string) string {
	return strings.Join(strings.FieldsFunc(text, pythonSpace), " ")
}

// pythonSpace is Python's str.isspace, which knows four separators of ASCII that Unicode's White_Space doesn't.
func pythonSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1C && r <= 0x1F }

// pythonLower is Python's str.lower: the same, except that a sigma after a letter and before none is a final one.
func pythonLower(text string) string {
	if !strings.ContainsRune(text, 'Σ') {
		return lower(text)
	}
	var b strings.Builder
	for {
		at := strings.IndexRune(text, 'Σ')
		if at < 0 {
			break
		}
		after := at + len("Σ")
		b.WriteString(text[:at])
		if casedBefore(b.String()) && !casedAfter(text[after:]) {
			b.WriteRune('ς')
		} else {
			b.WriteRune('σ')
		}
		text = text[after:]
	}
	b.WriteString(text)
	return lower(b.String())
}

func casedBefore(text string) bool {
	for len(text) > 0 {
		r, size := utf8.DecodeLastRuneInString(text)
		if !caseIgnorable(r) {
			return cased(r)
		}
		text = text[:len(text)-size]
	}
	return false
}

func casedAfter(text string) bool {
	for _, r := range text {
		if !caseIgnorable(r) {
			return cased(r)
		}
	}
	return false
}

// cased and caseIgnorable are the derived properties Cased and Case_Ignorable of the Unicode Standard, section 3.13.
func cased(r rune) bool {
	return unicode.In(r, unicode.Lu, unicode.Ll, unicode.Lt, unicode.Other_Lowercase, unicode.Other_Uppercase)
}

func caseIgnorable(r rune) bool {
	return unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Lm, unicode.Sk) || strings.ContainsRune(wordMiddle, r)
}

// wordMiddle holds Word_Break = MidLetter, MidNumLet and Single_Quote.
const wordMiddle = "':.\u00B7\u0387\u055F\u05F4\u2018\u2019\u2024\u2027\uFE13\uFE52\uFE55\uFF07\uFF0E\uFF1A"
