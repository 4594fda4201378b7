package tokenizer

import (
	"unicode"
	"unicode/utf8"
)

// graphemeLen returns the length of the first extended grapheme cluster of a text that isn't empty (UAX 29, rules GB3
// to GB9b, GB12). Left out are GB9c and GB11, which join consonants by viramas and pictographs by ZWJ: such a cluster
// has 6 bytes or more even without what they join, and charsmap.byGrapheme takes it character by character either way.
func graphemeLen(text string) int {
	if len(text) > 1 && text[0] < utf8.RuneSelf && text[1] < utf8.RuneSelf {
		if text[0] == '\r' && text[1] == '\n' {
			return 2
		}
		return 1
	}
	r, n := utf8.DecodeRuneInString(text)
	before := breakOf(r)
	for flags := 1; n < len(text); flags++ {
		r, size := utf8.DecodeRuneInString(text[n:])
		after := breakOf(r)
		if !joins(before, after) || before == breakFlag && after == breakFlag && flags%2 == 0 {
			break
		}
		n += size
		before = after
	}
	return n
}

// graphemeBreak is the property Grapheme_Cluster_Break, as far as the rules above need it.
type graphemeBreak uint8

const (
	breakOther graphemeBreak = iota
	breakControl
	breakExtend // and SpacingMark and ZWJ
	breakPrepend
	breakFlag // Regional_Indicator
	breakL
	breakV
	breakT
	breakLV
	breakLVT
)

func joins(before, after graphemeBreak) bool {
	switch {
	case before == breakControl || after == breakControl:
		return false
	case after == breakExtend || before == breakPrepend:
		return true
	}
	switch before {
	case breakFlag:
		return after == breakFlag
	case breakL:
		return after == breakL || after == breakV || after == breakLV || after == breakLVT
	case breakV, breakLV:
		return after == breakV || after == breakT
	case breakT, breakLVT:
		return after == breakT
	}
	return false
}

func breakOf(r rune) graphemeBreak {
	switch {
	case r < 0x300:
		if r < ' ' || r >= 0x7F && r < 0xA0 || r == 0xAD {
			return breakControl
		}
		return breakOther
	case r >= 0x1100 && r <= 0x115F || r >= 0xA960 && r <= 0xA97C:
		return breakL
	case r >= 0x1160 && r <= 0x11A7 || r >= 0xD7B0 && r <= 0xD7C6:
		return breakV
	case r >= 0x11A8 && r <= 0x11FF || r >= 0xD7CB && r <= 0xD7FB:
		return breakT
	case r >= 0xAC00 && r <= 0xD7A3:
		if (r-0xAC00)%28 == 0 {
			return breakLV
		}
		return breakLVT
	case r >= 0x4E00 && r <= 0x9FFF:
		return breakOther // most of what is left
	case r >= 0x1F1E6 && r <= 0x1F1FF:
		return breakFlag
	case unicode.Is(graphemeExtend, r):
		return breakExtend
	case unicode.Is(graphemeControl, r):
		return breakControl
	case unicode.Is(graphemePrepend, r):
		return breakPrepend
	}
	return breakOther
}
