package tokenizer

import (
	"html"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxPasses bounds how often a line is fixed again, as text in text in text could be unescaped for ever.
const maxPasses = 64

// fixText is ftfy's fix_text, which open_clip cleans its texts with, but for one step: text that was decoded with the
// wrong character set ("Ã©" for "é") is left as it is.
func fixText(text string) string {
	var b strings.Builder
	entities := true // until a "<" is seen: then the text is markup, whose entities mean themselves
	for text != "" {
		line := text
		if end := strings.IndexByte(text, '\n'); end >= 0 {
			line = text[:end+1]
		}
		text = text[len(line):]
		entities = entities && !strings.Contains(line, "<")
		for range maxPasses {
			fixed := line
			if entities {
				fixed = unescapeStrict(fixed)
			}
			fixed = normalFormKnown(fixCharacters(fixed), norm.NFC)
			if fixed == line {
				break
			}
			line = fixed
		}
		b.WriteString(line)
	}
	return b.String()
}

// fixCharacters straightens quotes, takes ligatures and wide forms apart, makes line breaks \n and drops control
// characters and terminal escapes.
func fixCharacters(text string) string {
	plain := true
	for i := range len(text) {
		if c := text[i]; c < ' ' && c != '\t' && c != '\n' && c != '\f' || c >= 0x7F {
			plain = false
			break
		}
	}
	if plain {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		rest := text[i+size:]
		switch {
		case r == 0x1B && terminalEscape(rest) > 0:
			size += terminalEscape(rest)
		case r == '\r':
			b.WriteByte('\n')
			if strings.HasPrefix(rest, "\n") {
				size++
			}
		case r == 0x2028 || r == 0x2029:
			b.WriteByte('\n')
		case r >= 0x80 && r <= 0x9F:
			b.WriteRune(windows1252(r))
		case r == 0x2BC || r >= 0x2018 && r <= 0x201B:
			b.WriteByte('\'')
		case r >= 0x201C && r <= 0x201F:
			b.WriteByte('"')
		case r == 0x3000:
			b.WriteByte(' ')
		case r >= 0xFF01 && r <= 0xFFEF:
			b.WriteString(norm.NFKC.String(string(r)))
		case unicode.Is(dropped, r):
		default:
			if ligature, ok := ligatures[r]; ok {
				b.WriteString(ligature)
			} else {
				b.WriteRune(r)
			}
		}
		i += size
	}
	return b.String()
}

// terminalEscape returns the length of "[1;2m" at the start of a text, or 0.
func terminalEscape(text string) int {
	if !strings.HasPrefix(text, "[") {
		return 0
	}
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c >= '0' && c <= '9' || c == ';':
		case c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z':
			return i + 1
		default:
			return 0
		}
	}
	return 0
}

// dropped is what ftfy takes for control characters that nobody meant.
var dropped = &unicode.RangeTable{
	R16:         []unicode.Range16{{0x00, 0x08, 1}, {0x0B, 0x0B, 1}, {0x0E, 0x1F, 1}, {0x7F, 0x7F, 1}, {0x206A, 0x206F, 1}, {0xFEFF, 0xFEFF, 1}, {0xFFF9, 0xFFFC, 1}},
	LatinOffset: 4,
}

// ligatures holds those of Latin letters.
var ligatures = map[rune]string{
	'Ĳ': "IJ", 'ĳ': "ij", 'ŉ': "ʼn",
	'Ǳ': "DZ", 'ǲ': "Dz", 'ǳ': "dz", 'Ǆ': "DŽ", 'ǅ': "Dž", 'ǆ': "dž", 'Ǉ': "LJ", 'ǈ': "Lj", 'ǉ': "lj", 'Ǌ': "NJ", 'ǋ': "Nj", 'ǌ': "nj",
	'ﬀ': "ff", 'ﬁ': "fi", 'ﬂ': "fl", 'ﬃ': "ffi", 'ﬄ': "ffl", 'ﬅ': "ſt", 'ﬆ': "st",
}

// windows1252 returns what a C1 control character is as a byte of Windows-1252; five stay as they are.
func windows1252(r rune) rune {
	const table = "€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ"
	n := rune(0x80)
	for _, c := range table {
		if n == r {
			return c
		}
		n++
	}
	return r
}

// unescapeHTML is Python's html.unescape, which follows the HTML standard: the semicolon may be missing.
func unescapeHTML(text string) string {
	return replaceEntities(text, func(entity string) (string, int) {
		if strings.HasPrefix(entity, "&#") {
			return numericEntity(entity)
		}
		n := 1
		for n < len(entity) && n <= 32 && !strings.ContainsRune("\t\n\f <&#;", rune(entity[n])) {
			n++
		}
		if n < len(entity) && entity[n] == ';' {
			n++
		}
		return html.UnescapeString(entity[:n]), n
	})
}

// unescapeStrict is ftfy's unescape_html: only entities with their semicolon, and the unambiguous ones in capitals.
func unescapeStrict(text string) string {
	return replaceEntities(text, func(entity string) (string, int) {
		n := 1
		if n < len(entity) && entity[n] == '#' {
			n++
		}
		for n < len(entity) && n < 26 && (entity[n] >= '0' && entity[n] <= '9' || entity[n] >= 'A' && entity[n] <= 'Z' || entity[n] >= 'a' && entity[n] <= 'z') {
			n++
		}
		if n == len(entity) || entity[n] != ';' || n == 1 || entity[n-1] == '#' {
			return "", 0
		}
		entity = entity[:n+1]
		var out string
		if entity[1] == '#' {
			out, _ = numericEntity(entity)
		} else {
			out = html.UnescapeString(entity)
		}
		if strings.HasSuffix(out, ";") && entity != "&semi;" && entity != "&#59;" {
			// Not known as a whole. In capitals it may be the name of a letter all the same.
			small := strings.ToLower(entity)
			if out != entity || entity != strings.ToUpper(entity) {
				return "", 0
			}
			if out = html.UnescapeString(small); strings.HasSuffix(out, ";") {
				return "", 0
			}
			out = pythonUpper(out)
		}
		return out, len(entity)
	})
}

// pythonUpper is str.upper for what HTML's entities name.
func pythonUpper(text string) string {
	return strings.ReplaceAll(strings.ToUpper(text), "ß", "SS")
}

// replaceEntities calls replace for every "&" and what follows; it returns the replacement and the length that it
// stands for, or 0.
func replaceEntities(text string, replace func(string) (string, int)) string {
	if !strings.Contains(text, "&") {
		return text
	}
	var b strings.Builder
	for {
		at := strings.IndexByte(text, '&')
		if at < 0 {
			b.WriteString(text)
			return b.String()
		}
		b.WriteString(text[:at])
		text = text[at:]
		out, n := replace(text)
		if n == 0 {
			out, n = "&", 1
		}
		b.WriteString(out)
		text = text[n:]
	}
}

// numericEntity reads "&#233;" or "&#xE9;", with or without its semicolon.
func numericEntity(entity string) (string, int) {
	n, base := 2, 10
	if n < len(entity) && (entity[n] == 'x' || entity[n] == 'X') {
		n, base = 3, 16
	}
	begin := n
	for n < len(entity) && (entity[n] >= '0' && entity[n] <= '9' || base == 16 && (entity[n]|0x20 >= 'a' && entity[n]|0x20 <= 'f')) {
		n++
	}
	if n == begin {
		return "", 0
	}
	code, err := strconv.ParseUint(entity[begin:n], base, 32)
	if n < len(entity) && entity[n] == ';' {
		n++
	}
	r := rune(code)
	switch {
	case err != nil || code == 0 || code > unicode.MaxRune || r >= 0xD800 && r <= 0xDFFF:
		return "\uFFFD", n
	case r >= 0x80 && r <= 0x9F:
		return string(windows1252(r)), n
	case r < ' ' && !strings.ContainsRune("\t\n\f\r", r) || r == 0x7F || r >= 0xFDD0 && r <= 0xFDEF || r&0xFFFE == 0xFFFE:
		return "", n // characters that HTML forbids
	}
	return string(r), n
}
