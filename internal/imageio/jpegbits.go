package imageio

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// bitReader reads entropy-coded data: bits from the highest down, a zero byte stuffed after each 0xff. A marker ends the data;
// zeros follow it, as in libjpeg. Zeros after the end of the file are counted, since a picture made of them is truncated.
type bitReader struct {
	data   []byte
	pos    int
	acc    uint64 // the next bits, left-aligned
	n      int    // how many of them are valid
	padded int    // how many of those are zeros made up after the end of the file
	marker bool   // a marker was met
}

// fill makes at least 48 bits valid.
func (r *bitReader) fill() {
	for r.n <= 32 && r.pos+4 <= len(r.data) {
		v := binary.BigEndian.Uint32(r.data[r.pos:])
		if x := ^v; (x-0x01010101)&^x&0x80808080 != 0 {
			break // one of the four bytes is 0xff
		}
		r.acc |= uint64(v) << (32 - r.n)
		r.n += 32
		r.pos += 4
	}
	for r.n <= 48 {
		b := byte(0)
		switch {
		case r.marker:
		case r.pos >= len(r.data):
			r.padded += 8
		case r.data[r.pos] != 0xff:
			b = r.data[r.pos]
			r.pos++
		case r.pos+1 >= len(r.data):
			r.pos++
			r.padded += 8
		case r.data[r.pos+1] == 0:
			b = 0xff
			r.pos += 2
		case r.data[r.pos+1] == 0xff: // fill byte
			r.pos++
			continue
		default:
			r.marker = true
		}
		r.acc |= uint64(b) << (56 - r.n)
		r.n += 8
	}
}

// truncated reports whether bits beyond the end of the file were used.
func (r *bitReader) truncated() bool { return r.n < r.padded }

// bits returns the next n bits, at most 16.
func (r *bitReader) bits(n int) int {
	if r.n < n {
		r.fill()
	}
	v := int(r.acc >> (64 - n)) // 0 for n = 0: Go shifts out all 64 bits
	r.acc <<= n
	r.n -= n
	return v
}

// extended returns a value of n bits; those that begin with a 0 stand for negative ones (JPEG, F.2.2.1). It follows symbol, which
// leaves enough bits.
func (r *bitReader) extended(n int) int {
	v := int(r.acc >> (64 - n))
	if int64(r.acc) >= 0 {
		v -= 1<<n - 1
	}
	r.acc <<= n
	r.n -= n
	return v
}

// restart drops the rest of the interval and goes on behind the restart marker, if there is one.
func (r *bitReader) restart() {
	r.acc, r.n, r.padded, r.marker = 0, 0, 0, false
	for r.pos+1 < len(r.data) {
		m := r.data[r.pos+1]
		switch {
		case r.data[r.pos] != 0xff || m == 0 || m == 0xff:
			r.pos++
		case m >= 0xd0 && m <= 0xd7:
			r.pos += 2
			return
		default:
			r.marker = true
			return
		}
	}
}

const huffmanBits = 9 // codes up to this length are found by one look into a table

// huffman is a code table.
type huffman struct {
	// fast is indexed by the next bits: length << 8 | value, 0 for longer codes.
	fast [1 << huffmanBits]uint16
	// For longer codes: the first code that is too large for each length, left-aligned to 16 bits, and what to add to a code of
	// that length to get its value's place.
	limit  [18]int
	offset [17]int
	values []byte
}

// newHuffman makes a table from the number of codes of each length 1..16 and the values in order of their codes.
func newHuffman(counts, values []byte) (*huffman, error) {
	h := &huffman{values: values}
	code, k := 0, 0
	for length := 1; length <= 16; length++ {
		h.offset[length] = k - code
		for range counts[length-1] {
			if code >= 1<<length {
				return nil, errors.New("DHT: more codes than their lengths allow")
			}
			if length <= huffmanBits {
				entry := uint16(length)<<8 | uint16(values[k])
				for i := range 1 << (huffmanBits - length) {
					h.fast[code<<(huffmanBits-length)+i] = entry
				}
			}
			code++
			k++
		}
		h.limit[length] = code << (16 - length)
		code <<= 1
	}
	h.limit[17] = 1 << 16
	return h, nil
}

// symbol reads one value and leaves at least 16 bits valid. A code that the table doesn't have counts as 0, as in libjpeg.
func (r *bitReader) symbol(h *huffman) int {
	if r.n < 32 {
		r.fill()
	}
	if e := h.fast[r.acc>>(64-huffmanBits)]; e != 0 {
		r.acc <<= e >> 8
		r.n -= int(e >> 8)
		return int(e & 0xff)
	}
	next := int(r.acc >> 48)
	for length := huffmanBits + 1; length <= 16; length++ {
		if next < h.limit[length] {
			r.acc <<= length
			r.n -= length
			return int(h.values[next>>(16-length)+h.offset[length]])
		}
	}
	r.acc <<= 16
	r.n -= 16
	return 0
}

// huffmanTables reads a DHT segment.
func (j *jpegReader) huffmanTables(b []byte) error {
	for len(b) > 0 {
		if len(b) < 17 {
			return errTruncated
		}
		class, slot := b[0]>>4, b[0]&15
		if class > 1 || slot > 3 {
			return fmt.Errorf("DHT: table %d of class %d", slot, class)
		}
		n := 0
		for _, c := range b[1:17] {
			n += int(c)
		}
		if n > 256 || len(b) < 17+n {
			return fmt.Errorf("DHT: %d codes in %d bytes", n, len(b)-17)
		}
		h, err := newHuffman(b[1:17], b[17:17+n])
		if err != nil {
			return err
		}
		if class == 0 {
			for _, v := range h.values {
				if v > 15 {
					return fmt.Errorf("DHT: a DC difference of %d bits", v)
				}
			}
		}
		j.tables[class][slot] = h
		b = b[17+n:]
	}
	return nil
}
