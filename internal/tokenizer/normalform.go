package tokenizer

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// normalForm returns the normal form of text as the tokenizers library makes it. x/text does nearly all of it; two
// things differ. Characters that are newer than the library's tables stay as they are and nothing is reordered or
// composed across them. And x/text breaks off at 30 combining marks in a row (Unicode's stream-safe form), where the
// library goes on.
func normalForm(text string, form norm.Form) string {
	if isASCII(text) {
		return text
	}
	if !strings.ContainsFunc(text, isInert) {
		return normalFormKnown(text, form)
	}
	var b strings.Builder
	for {
		at := strings.IndexFunc(text, isInert)
		if at < 0 {
			b.WriteString(normalFormKnown(text, form))
			return b.String()
		}
		_, size := utf8.DecodeRuneInString(text[at:])
		b.WriteString(normalFormKnown(text[:at], form))
		b.WriteString(text[at : at+size])
		text = text[at+size:]
	}
}

func isInert(r rune) bool {
	if r < traitRunes {
		return traits[r]&inertBit != 0
	}
	return unicode.Is(inert, r)
}

func normalFormKnown(text string, form norm.Form) string {
	switch {
	case form.IsNormalString(text):
		return text
	case !longMarks(text):
		return form.String(text)
	}
	runes := decompose(text, form)
	if form == norm.NFC || form == norm.NFKC {
		runes = compose(runes)
	}
	return string(runes)
}

// longMarks reports whether there may be more combining marks in a row than x/text takes. Marks that a decomposition
// adds are counted by taking every character for two.
func longMarks(text string) bool {
	run := 0
	for i, r := range text {
		// Letters are looked up in our own table, which is faster.
		if r < 0x300 || !likeJamo(r) && (classOf(r) == classLetter || norm.NFKD.PropertiesString(text[i:]).BoundaryBefore()) {
			run = 0
		}
		if run += 2; run >= 28 {
			return true
		}
	}
	return false
}

// likeJamo holds the letters that x/text may count among marks: Hangul's, with what decomposes to them, and the marks of
// halfwidth kana.
func likeJamo(r rune) bool {
	return r >= 0x1100 && r < 0x1200 || r >= 0x3130 && r < 0x3190 || r >= 0xD7B0 && r < 0xD800 || r >= 0xFF9E && r < 0xFFE0
}

// decompose returns the full decomposition, with combining marks in canonical order.
func decompose(text string, form norm.Form) []rune {
	if form == norm.NFC {
		form = norm.NFD
	} else if form == norm.NFKC {
		form = norm.NFKD
	}
	var runes []rune
	for i, r := range text {
		if d := form.PropertiesString(text[i:]).Decomposition(); d != nil {
			runes = append(runes, []rune(string(d))...)
		} else {
			runes = append(runes, []rune(form.String(string(r)))...) // Hangul
		}
	}
	for start := 0; start < len(runes); {
		if combining(runes[start]) == 0 {
			start++
			continue
		}
		end := start + 1
		for end < len(runes) && combining(runes[end]) != 0 {
			end++
		}
		slices.SortStableFunc(runes[start:end], func(a, b rune) int { return int(combining(a)) - int(combining(b)) })
		start = end
	}
	return runes
}

// compose joins every mark that can be joined with the starter before it (Unicode, D117).
func compose(runes []rune) []rune {
	out := runes[:0]
	starter, last := -1, uint8(0) // place of the last starter in out; class of the last rune that stayed behind it
	for _, r := range runes {
		class := combining(r)
		if starter >= 0 && (starter == len(out)-1 || last != 0 && last < class) {
			if joined := pair(out[starter], r); joined != 0 {
				out[starter] = joined
				continue
			}
		}
		if class == 0 {
			starter = len(out)
		}
		last = class
		out = append(out, r)
	}
	return out
}

// pair returns the composite of two characters, or 0.
func pair(a, b rune) rune {
	s := norm.NFC.String(string([]rune{a, b}))
	if r, size := utf8.DecodeRuneInString(s); size == len(s) {
		return r
	}
	return 0
}

func combining(r rune) uint8 {
	if r < 0x300 {
		return 0
	}
	var b [utf8.UTFMax]byte
	return norm.NFD.Properties(b[:utf8.EncodeRune(b[:], r)]).CCC()
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
