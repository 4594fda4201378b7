package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// validUTF8 returns text with every maximal start of a valid sequence that isn't finished, and every other invalid
// byte, replaced by U+FFFD (Unicode 16, section 3.9, "substitution of maximal subparts", which is what Python does).
func validUTF8(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && size == 1 {
			size = brokenLen(text[i:])
		}
		b.WriteRune(r)
		i += size
	}
	return b.String()
}

// brokenLen returns how many bytes of an invalid sequence begin a valid one, at least 1.
func brokenLen(s string) int {
	need, low, high := 0, byte(0x80), byte(0xBF) // of the second byte
	switch lead := s[0]; {
	case lead >= 0xC2 && lead <= 0xDF:
		need = 2
	case lead >= 0xE0 && lead <= 0xEF:
		need = 3
		if lead == 0xE0 {
			low = 0xA0
		} else if lead == 0xED {
			high = 0x9F
		}
	case lead >= 0xF0 && lead <= 0xF4:
		need = 4
		if lead == 0xF0 {
			low = 0x90
		} else if lead == 0xF4 {
			high = 0x8F
		}
	}
	n := 1
	for n < need && n < len(s) && s[n] >= low && s[n] <= high {
		n++
		low, high = 0x80, 0xBF
	}
	return n
}
