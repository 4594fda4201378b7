package tokenizer

import "strings"

// byteRunes is the byte-level alphabet: the character that stands for each byte in a vocabulary. Printable bytes of
// Latin-1 stand for themselves, the others, in ascending order, are U+0100, U+0101, ...
var byteRunes = func() (alphabet [256]rune) {
	next := rune(256)
	for b := range alphabet {
		if b >= 33 && b <= 126 || b >= 161 && b <= 172 || b >= 174 {
			alphabet[b] = rune(b)
		} else {
			alphabet[b] = next
			next++
		}
	}
	return alphabet
}()

// byteLevelText writes a text in the byte-level alphabet.
func byteLevelText(text string) string {
	var b strings.Builder
	for i := range len(text) {
		b.WriteRune(byteRunes[text[i]])
	}
	return b.String()
}
