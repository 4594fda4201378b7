package gguf

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

const (
	magic        = "GGUF"
	alignmentKey = "general.alignment"
	maxKeyLength = 1<<16 - 1

	// The least that a key with its value and a tensor info can take bounds their counts by the size of the file. In
	// memory they take ten times that, hence the limits, far above any model's counts.
	minKeyBytes    = 8 + 1 + 4 + 1
	minTensorBytes = 8 + 1 + 4 + 8 + 4 + 8
	maxKeys        = 1 << 16
	maxTensors     = 1 << 16
)

// scanner reads a file's head in order. After the first error, which it keeps, everything reads as zero.
type scanner struct {
	name string
	size int64
	r    *bufio.Reader
	off  int64
	err  error
	zero [8]byte // what next returns after an error

	tensorAt []int64 // where each tensor info starts
}

// fail keeps the first error; offset is where the field started.
func (s *scanner) fail(offset int64, field, format string, args ...any) {
	if s.err == nil {
		s.err = &FormatError{s.name, offset, field, fmt.Sprintf(format, args...)}
	}
}

// rest returns how many bytes of the file are left.
func (s *scanner) rest() int64 { return s.size - s.off }

// skip passes over n bytes, which are known to be there.
func (s *scanner) skip(n int64, field string) {
	for n > 0 && s.err == nil {
		step := int(min(n, 1<<30))
		if _, err := s.r.Discard(step); err != nil {
			s.err = readError(s.name, s.off, field, err)
			return
		}
		s.off += int64(step)
		n -= int64(step)
	}
}

// readError wraps a failure to read bytes that the file's size promised.
func readError(name string, offset int64, field string, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &FormatError{name, offset, field, "the file became shorter while it was read"}
	}
	return fmt.Errorf("%s: at byte %d: reading %s: %w", name, offset, field, err)
}

// next returns the next n bytes, at most 8, for use before anything else is read.
func (s *scanner) next(n int, field string) []byte {
	if s.err != nil {
		return s.zero[:n]
	}
	if int64(n) > s.rest() {
		s.fail(s.off, field, "needs %d bytes, but only %d are left in the file", n, s.rest())
		return s.zero[:n]
	}
	b, err := s.r.Peek(n)
	if err != nil {
		s.err = readError(s.name, s.off, field, err)
		return s.zero[:n]
	}
	s.off += int64(n)
	_, _ = s.r.Discard(n) // they are there
	return b
}

func (s *scanner) uint8(field string) uint8   { return s.next(1, field)[0] }
func (s *scanner) uint32(field string) uint32 { return binary.LittleEndian.Uint32(s.next(4, field)) }
func (s *scanner) uint64(field string) uint64 { return binary.LittleEndian.Uint64(s.next(8, field)) }

// length reads the length of a string and checks that the file still holds so much.
func (s *scanner) length(field string) int64 {
	start := s.off
	n := s.uint64(field)
	if s.err == nil && n > uint64(s.rest()) {
		s.fail(start, field, "length %d is more than the %d bytes left in the file", n, s.rest())
		return 0
	}
	return int64(n)
}

// text reads a name of 1 to limit bytes.
func (s *scanner) text(field string, limit int64) string {
	start := s.off
	n := s.length(field)
	if s.err != nil {
		return ""
	}
	if n == 0 || n > limit {
		s.fail(start, field, "length %d, expected 1 to %d bytes", n, limit)
		return ""
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(s.r, b); err != nil {
		s.err = readError(s.name, s.off, field, err)
		return ""
	}
	s.off += n
	return string(b)
}

// count reads how many records follow, limit at most, each of at least size bytes.
func (s *scanner) count(field string, size, limit int64) int64 {
	start := s.off
	n := s.uint64(field)
	if s.err == nil && n > uint64(s.rest()/size) {
		s.fail(start, field, "count %d is more than the %d bytes left in the file can hold", n, s.rest())
		return 0
	}
	if s.err == nil && n > uint64(limit) {
		s.fail(start, field, "count %d is over the limit of %d", n, limit)
		return 0
	}
	return int64(n)
}

// parse reads everything before the data of the tensors.
func (f *File) parse() error {
	s := &scanner{name: f.name, size: f.size, r: bufio.NewReaderSize(io.NewSectionReader(f.r, 0, f.size), 64<<10)}
	nTensors, nKeys := f.parseHeader(s)
	for i := int64(0); i < nKeys && s.err == nil; i++ {
		f.parseKey(s, i)
	}
	if s.err == nil {
		f.parseAlignment(s)
	}
	for i := int64(0); i < nTensors && s.err == nil; i++ {
		f.parseTensor(s, i)
	}
	if s.err == nil {
		f.placeTensors(s)
	}
	return s.err
}

func (f *File) parseHeader(s *scanner) (nTensors, nKeys int64) {
	switch m := string(s.next(len(magic), "magic")); {
	case s.err != nil || m == magic:
	case m == "FUGG":
		s.fail(0, "magic", "%q: the file is byte-swapped (big-endian); convert it to little-endian", m)
	default:
		s.fail(0, "magic", "%q, expected %q: this is not a GGUF file", m, magic)
	}
	start := s.off
	f.version = s.uint32("version")
	if s.err == nil {
		switch {
		case f.version == 2 || f.version == 3:
		case f.version&0xffff == 0 && f.version != 0:
			s.fail(start, "version", "%#08x: the file is byte-swapped (big-endian); convert it to little-endian", f.version)
		case f.version == 1:
			s.fail(start, "version", "1 is obsolete, expected 2 or 3; convert the model again")
		default:
			s.fail(start, "version", "%d, expected 2 or 3", f.version)
		}
	}
	nTensors = s.count("tensor count", minTensorBytes, maxTensors)
	nKeys = s.count("key count", minKeyBytes, maxKeys)
	return nTensors, nKeys
}

func (f *File) parseKey(s *scanner, i int64) {
	start := s.off
	key := s.text(fmt.Sprintf("key %d", i), maxKeyLength)
	if s.err != nil {
		return
	}
	field := "key " + quote(key)
	if _, ok := f.values[key]; ok {
		s.fail(start, field, "appears twice")
		return
	}
	v := s.value(field)
	f.keys = append(f.keys, key)
	f.values[key] = v
}

func (f *File) parseAlignment(s *scanner) {
	f.alignment = defaultAlignment
	v, ok := f.values[alignmentKey]
	if !ok {
		return
	}
	if v.kind != kindUint32 {
		s.fail(v.offset, "key "+quote(alignmentKey), "is %s, expected %s", v.describe(), kindUint32)
		return
	}
	n, err := f.Uint(alignmentKey)
	if err != nil {
		s.err = err
		return
	}
	if err := checkAlignment(n); err != nil {
		s.fail(v.offset, "key "+quote(alignmentKey), "%v", err)
		return
	}
	f.alignment = int64(n)
}

// parseTensor reads one tensor info. Its offset is left relative to the data section, whose start isn't known yet.
func (f *File) parseTensor(s *scanner, i int64) {
	start := s.off
	name := s.text(fmt.Sprintf("name of tensor %d", i), maxTensorName)
	if s.err != nil {
		return
	}
	field := "tensor " + quote(name)
	if _, ok := f.byName[name]; ok {
		s.fail(start, field, "appears twice")
		return
	}
	dimsStart := s.off
	nDims := s.uint32(field)
	if s.err == nil && (nDims < 1 || nDims > maxDims) {
		s.fail(dimsStart, field, "%d dimensions, expected 1 to %d", nDims, maxDims)
		return
	}
	dims := make([]uint64, nDims)
	for j := range dims {
		dims[j] = s.uint64(field)
	}
	typ := Type(s.uint32(field))
	offsetStart := s.off
	offset := s.uint64(field)
	if s.err != nil {
		return
	}
	n, err := tensorBytes(typ, dims)
	if err != nil {
		s.fail(dimsStart, field, "%v", err)
		return
	}
	if offset > math.MaxInt64 {
		s.fail(offsetStart, field, "offset %d is beyond the file", offset)
		return
	}
	s.tensorAt = append(s.tensorAt, start)
	f.byName[name] = len(f.tensors)
	f.tensors = append(f.tensors, TensorInfo{name, dims, typ, int64(offset), n})
}

// placeTensors checks that the tensors lie one after the other, each at the next multiple of the alignment and within
// the file, and makes their offsets absolute.
func (f *File) placeTensors(s *scanner) {
	start, ok := alignUp(s.off, f.alignment)
	if !ok {
		s.fail(s.off, "data section", "its start overflows")
		return
	}
	f.dataStart = start
	expected := int64(0) // relative to the data section
	for i := range f.tensors {
		t := &f.tensors[i]
		field := "tensor " + quote(t.Name)
		if t.Offset != expected {
			s.fail(s.tensorAt[i], field, "offset %d in the data section, expected %d", t.Offset, expected)
			return
		}
		if t.Offset > f.size-start || t.Bytes > f.size-start-t.Offset {
			s.fail(s.tensorAt[i], field, "%d bytes at offset %d of the data section, but the file ends at byte %d", t.Bytes, t.Offset, f.size)
			return
		}
		if expected, ok = alignUp(t.Offset+t.Bytes, f.alignment); !ok {
			s.fail(s.tensorAt[i], field, "its end overflows")
			return
		}
		t.Offset += start
	}
}
