package tokenizer

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"
)

// charsmap is SentencePiece's precompiled table of replacements: a trie of UTF-8 byte strings in a double array, and
// the texts that they become, each ended by a NUL. An empty charsmap replaces nothing.
//
// Layout: uint32 size of the trie in bytes | uint32 units | texts. From the unit at a position, the child for a byte
// lies at position ^ offset(unit) ^ byte, and is one if its low byte (and bit 31 unset) says so. A unit with bit 8 has
// a value, in the unit at position ^ offset(unit).
type charsmap struct {
	units []uint32
	texts []byte
}

// maxReplacement is what one key of a charsmap may become. NFKC's longest has 33 bytes.
const maxReplacement = 64

func newCharsmap(data []byte) (*charsmap, error) {
	if len(data) == 0 {
		return &charsmap{}, nil
	}
	if len(data) < 4 {
		return nil, fmt.Errorf("the precompiled charsmap has %d bytes, expected at least 4", len(data))
	}
	size := int64(binary.LittleEndian.Uint32(data))
	if size%4 != 0 || size == 0 || size > int64(len(data)-4) {
		return nil, fmt.Errorf("the precompiled charsmap's trie has %d bytes of %d, expected a multiple of 4", size, len(data)-4)
	}
	m := &charsmap{units: make([]uint32, size/4), texts: data[4+size:]}
	for at := 0; at < len(m.texts); {
		n := bytes.IndexByte(m.texts[at:], 0)
		if n < 0 {
			n = len(m.texts) - at
		}
		if n > maxReplacement {
			return nil, fmt.Errorf("the precompiled charsmap has a replacement of %d bytes, at most %d are supported", n, maxReplacement)
		}
		at += n + 1
	}
	for i := range m.units {
		m.units[i] = binary.LittleEndian.Uint32(data[4+4*i:])
	}
	return m, nil
}

// child returns the position of the child of a position for a byte, and whether there is one.
func (m *charsmap) child(at int, b byte) (int, bool) {
	at ^= offset(m.units[at]) ^ int(b)
	return at, at < len(m.units) && m.units[at]&0x800000FF == uint32(b)
}

func offset(unit uint32) int { return int(unit>>10) << ((unit & 512) >> 6) }

// value returns the replacement of the key that ends at a position, and whether one does.
func (m *charsmap) value(at int) (string, bool) {
	unit := m.units[at]
	if unit&256 == 0 {
		return "", false
	}
	leaf := at ^ offset(unit)
	if leaf >= len(m.units) {
		return "", false
	}
	begin := int(m.units[leaf] & 0x7FFFFFFF)
	if begin > len(m.texts) {
		return "", false
	}
	text := m.texts[begin:]
	if end := bytes.IndexByte(text, 0); end >= 0 {
		text = text[:end]
	}
	return strings.ToValidUTF8(string(text), "\uFFFD"), true
}

// prefix returns the replacement of the shortest or the longest key that text begins with, and the key's length, which
// is 0 where there is none.
func (m *charsmap) prefix(text string, shortest bool) (replacement string, length int) {
	if len(m.units) == 0 {
		return "", 0
	}
	at := 0
	for i := range len(text) {
		next, ok := m.child(at, text[i])
		if !ok {
			break
		}
		if at = next; m.units[at]&256 != 0 {
			if r, ok := m.value(at); ok {
				replacement, length = r, i+1
				if shortest {
					break
				}
			}
		}
	}
	return replacement, length
}

// byGrapheme replaces as Hugging Face's tokenizers does, which differs from SentencePiece: a grapheme cluster of less
// than 6 bytes becomes the replacement of the shortest key that it begins with, whatever else is in it. Longer ones,
// and those without such a key, go character by character.
func (m *charsmap) byGrapheme(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	for len(text) > 0 {
		n := graphemeLen(text)
		cluster := text[:n]
		text = text[n:]
		if n < 6 {
			if r, length := m.prefix(cluster, true); length > 0 {
				b.WriteString(r)
				continue
			}
		}
		for len(cluster) > 0 {
			_, size := utf8.DecodeRuneInString(cluster)
			if r, length := m.prefix(cluster[:size], true); length > 0 {
				b.WriteString(r)
			} else {
				b.WriteString(cluster[:size])
			}
			cluster = cluster[size:]
		}
	}
	return b.String()
}
