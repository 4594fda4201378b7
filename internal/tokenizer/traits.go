package tokenizer

import "unicode"

// traits has what is asked of every character, for the first two planes of Unicode; to search the tables of ranges for each would
// take most of the time of scripts other than Latin. The lowest bits are its class.
var traits = makeTraits()

const (
	traitRunes = 0x20000

	classBits = 3
	inertBit  = 4 // see normalForm
	casedBit  = 8 // lower-casing may change it
)

func makeTraits() *[traitRunes]uint8 {
	t := new([traitRunes]uint8)
	set := func(bits uint8, table *unicode.RangeTable) {
		for _, r := range table.R16 {
			for c := uint32(r.Lo); c <= uint32(r.Hi); c += uint32(r.Stride) {
				t[c] |= bits
			}
		}
		for _, r := range table.R32 {
			for c := r.Lo; c <= r.Hi && c < traitRunes; c += r.Stride {
				t[c] |= bits
			}
		}
	}
	set(uint8(classSpace), unicode.White_Space)
	set(uint8(classLetter), letters)
	set(uint8(classNumber), numbers)
	set(inertBit, inert)
	for _, r := range unicode.CaseRanges {
		if r.Delta[unicode.LowerCase] == 0 {
			continue
		}
		for c := r.Lo; c <= r.Hi && c < traitRunes; c++ {
			t[c] |= casedBit
		}
	}
	for c := range lowerCase {
		if c < traitRunes {
			t[c] |= casedBit
		}
	}
	return t
}

func classOf(r rune) class {
	if r < traitRunes {
		return class(traits[r] & classBits)
	}
	// White space lies in the first plane.
	switch {
	case unicode.Is(letters, r):
		return classLetter
	case unicode.Is(numbers, r):
		return classNumber
	}
	return classOther
}

func mayHaveCase(r rune) bool {
	if r < traitRunes {
		return traits[r]&casedBit != 0
	}
	_, ok := lowerCase[r]
	return ok || unicode.ToLower(r) != r
}
