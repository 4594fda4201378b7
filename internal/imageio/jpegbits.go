package imageio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// bitReader reads entropy-coded data, bits from the highest down. It takes the data apart into intervals, which end at a marker or
// with the file, and takes the zero byte out that is stuffed after each 0xff, so that the reading of bits needn't look for them.
// Zeros follow an interval, as in libjpeg. A picture made of zeros after the end of the file is truncated.
type bitReader struct {
	data []byte
	pos  int    // after the interval, in data
	buf  []byte // the interval, and zeros
	end  int    // its length without the zeros
	at   int    // of the next byte to load, in buf
	over int    // bytes loaded after buf
	acc  uint64 // the next bits, left-aligned
	n    uint   // how many of them are valid, and at counts; more may be there already
	eof  bool   // the file ended, rather than a marker following
}

const padding = 16

// interval takes the data from pos on up to the next marker.
func (r *bitReader) interval(pos int) {
	buf, data := r.buf[:0], r.data
	if cap(buf) == 0 {
		buf = make([]byte, 0, len(data)-pos+padding)
	}
	r.eof = false
	for {
		n := bytes.IndexByte(data[pos:], 0xff)
		if n < 0 || pos+n+1 >= len(data) {
			if n < 0 {
				n = len(data) - pos
			}
			buf, pos, r.eof = append(buf, data[pos:pos+n]...), len(data), true
			break
		}
		next := data[pos+n+1]
		if next == 0 {
			n++ // the 0xff is data
		}
		buf = append(buf, data[pos:pos+n]...)
		pos += n
		if next != 0 && next != 0xff {
			break
		}
		pos++ // the stuffed zero, or a fill byte
	}
	r.end = len(buf)
	r.buf, r.pos = append(buf, make([]byte, padding)...), pos
	r.at, r.over, r.acc, r.n = 0, 0, 0, 0
}

// fill makes at least 56 bits valid.
func (r *bitReader) fill() {
	if r.at > len(r.buf)-8 {
		r.over += r.at - r.end
		r.at = r.end // zeros again
	}
	r.acc |= binary.BigEndian.Uint64(r.buf[r.at:]) >> (r.n & 63)
	r.at += int(63-r.n) >> 3
	r.n |= 56
}

// truncated reports whether bits beyond the end of the file were used.
func (r *bitReader) truncated() bool { return r.eof && 8*(r.at+r.over)-int(r.n) > 8*r.end }

// bits returns the next n bits, at most 16.
func (r *bitReader) bits(n int) int {
	if r.n < 16 {
		r.fill()
	}
	v := int(r.acc >> (64 - n)) // 0 for n = 0: Go shifts out all 64 bits
	r.acc <<= n
	r.n -= uint(n)
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
	r.n -= uint(n)
	return v
}

// restart drops the rest of the interval and goes on behind the restart marker, if there is one; else with zeros.
func (r *bitReader) restart() {
	if r.pos+1 < len(r.data) && r.data[r.pos+1]&0xf8 == 0xd0 {
		r.interval(r.pos + 2)
		return
	}
	eof, pos := r.eof, r.pos
	*r = bitReader{data: r.data, pos: pos, buf: append(r.buf[:0], make([]byte, padding)...), eof: eof}
}

const (
	huffmanBits = 9  // codes up to this length are found by one look into a table
	valueBits   = 10 // codes and the values after them, together up to this length, by one look into another
	skipBits    = 12 // several of those, where nothing matters but their length
)

// huffman is a code table.
type huffman struct {
	// fast is indexed by the next bits: length << 8 | value, 0 for longer codes.
	fast [1 << huffmanBits]uint16
	// whole is indexed by the next bits, too: the value of the coefficient << 16 | coefficients of 0 before it << 8 | length of all,
	// 0 where that is too long.
	whole [1 << valueBits]uint32
	// skip is indexed by the next bits, too: coefficients << 5 | end of block << 4 | length, of all that lie in them wholly; nil until
	// it is needed.
	skip *[1 << skipBits]uint16
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
			h.addWhole(code, length, values[k])
			code++
			k++
		}
		h.limit[length] = code << (16 - length)
		code <<= 1
	}
	h.limit[17] = 1 << 16
	return h, nil
}

// addWhole enters what may follow a code into the table of whole coefficients.
func (h *huffman) addWhole(code, length int, symbol byte) {
	size := int(symbol & 15)
	free := valueBits - length - size
	if free < 0 {
		return
	}
	for extra := range 1 << size {
		value := extra
		if size > 0 && extra < 1<<(size-1) {
			value -= 1<<size - 1
		}
		entry := uint32(value)<<16 | uint32(symbol>>4)<<8 | uint32(length+size)
		for i := range 1 << free {
			h.whole[(code<<size|extra)<<free+i] = entry
		}
	}
}

// symbol reads one value and leaves at least 16 bits valid. A code that the table doesn't have counts as 0, as in libjpeg.
func (r *bitReader) symbol(h *huffman) int {
	if r.n < 32 {
		r.fill()
	}
	if e := h.fast[r.acc>>(64-huffmanBits)]; e != 0 {
		r.acc <<= e >> 8
		r.n -= uint(e >> 8)
		return int(e & 0xff)
	}
	next := int(r.acc >> 48)
	for length := huffmanBits + 1; length <= 16; length++ {
		if next < h.limit[length] {
			r.acc <<= length
			r.n -= uint(length)
			return int(h.values[next>>(16-length)+h.offset[length]])
		}
	}
	r.acc <<= 16
	r.n -= 16
	return 0
}

// difference reads how far a DC coefficient lies from the one before.
func (r *bitReader) difference(h *huffman) int {
	if r.n < 32 {
		r.fill()
	}
	if e := h.whole[r.acc>>(64-valueBits)]; e != 0 {
		r.acc <<= e & 63
		r.n -= uint(e & 63)
		return int(int32(e) >> 16)
	}
	return r.extended(r.symbol(h))
}

// coefficients reads the AC coefficients of a block into b, in file order. It returns the place of the last.
func (r *bitReader) coefficients(h *huffman, b *[64]int16) (last int) {
	acc, n := r.acc, r.n // in registers
	for k := 1; k < 64; k++ {
		if n < 32 {
			r.acc, r.n = acc, n
			r.fill()
			acc, n = r.acc, r.n
		}
		var value int16
		if e := h.whole[acc>>(64-valueBits)]; e != 0 {
			acc <<= e & 63
			n -= uint(e & 63)
			value = int16(e >> 16)
			run := int(e >> 8 & 15)
			k += run
			if value == 0 {
				if run == 15 {
					continue // 16 zeros
				}
				break // end of block
			}
		} else {
			r.acc, r.n = acc, n
			symbol := r.symbol(h)
			size := symbol & 15
			if size > 0 {
				value = int16(r.extended(size))
			}
			acc, n = r.acc, r.n
			k += symbol >> 4
			if size == 0 {
				if symbol == 0xf0 {
					continue
				}
				break
			}
		}
		k = min(k, 63)
		b[k&63] = value
		last = k
	}
	r.acc, r.n = acc, n
	return last
}

// skipTable makes the table for skipCoefficients.
func (h *huffman) skipTable() {
	if h.skip != nil {
		return
	}
	h.skip = new([1 << skipBits]uint16)
	for window := range h.skip {
		length, coefficients, end := 0, 0, 0
		for end == 0 {
			e := h.whole[window<<length&(1<<skipBits-1)>>(skipBits-valueBits)]
			run := int(e >> 8 & 15)
			if e == 0 || length+int(e&63) > skipBits || coefficients+run+1 >= 64 {
				break
			}
			length += int(e & 63)
			if e>>16 == 0 && run != 15 {
				end = 1
			} else {
				coefficients += run + 1
			}
		}
		h.skip[window] = uint16(coefficients<<5 | end<<4 | length)
	}
}

// skipCoefficients reads over the AC coefficients of a block. skipTable has been called.
func (r *bitReader) skipCoefficients(h *huffman) {
	acc, n, table := r.acc, r.n, h.skip
	for k := 1; k < 64; {
		if n < 32 {
			r.acc, r.n = acc, n
			r.fill()
			acc, n = r.acc, r.n
		}
		// Several at once, if the last of them is before the end of the block: what follows is the next one's.
		if e := table[acc>>(64-skipBits)]; e != 0 && k+int(e>>5) < 64 {
			acc <<= e & 15
			n -= uint(e & 15)
			k += int(e >> 5)
			if e&16 != 0 {
				break
			}
			continue
		}
		r.acc, r.n = acc, n
		symbol := r.symbol(h)
		size := symbol & 15
		acc, n = r.acc<<size, r.n-uint(size)
		if size == 0 && symbol != 0xf0 {
			break
		}
		k += symbol>>4 + 1
	}
	r.acc, r.n = acc, n
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
