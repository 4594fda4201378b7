package npz

import (
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/clipgo/clipgo/internal/checkpoint"
)

const (
	npyMagic       = "\x93NUMPY"
	maxHeaderBytes = 64 << 10
	maxDims        = 16
)

// header is what stands before an array's data.
type header struct {
	dtype   checkpoint.DType
	fortran bool // the first index runs fastest
	shape   []uint64
	size    int64 // of the header itself, in bytes
}

// dtypes has the types of numpy by their names there. bfloat16 has none: jax saves it as two bytes of nothing in
// particular.
var dtypes = map[string]checkpoint.DType{
	"<f2": checkpoint.F16, "<f4": checkpoint.F32, "<f8": checkpoint.F64, "|V2": checkpoint.BF16,
	"|b1": checkpoint.Bool, "|u1": checkpoint.U8, "|i1": checkpoint.I8, "<i2": checkpoint.I16, "<u2": checkpoint.U16,
	"<i4": checkpoint.I32, "<u4": checkpoint.U32, "<i8": checkpoint.I64, "<u8": checkpoint.U64,
}

// readHeader reads the magic; the version, two bytes; the length, of 2 bytes in version 1 and 4 since; and a Python
// dict such as {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }.
func readHeader(r io.Reader) (header, error) {
	start := make([]byte, len(npyMagic)+2)
	if _, err := io.ReadFull(r, start); err != nil {
		return header{}, fmt.Errorf("reading the magic: %w", err)
	}
	if string(start[:len(npyMagic)]) != npyMagic {
		return header{}, fmt.Errorf("starts with %q, expected %q", start[:len(npyMagic)], npyMagic)
	}
	major := start[len(npyMagic)]
	var length [4]byte
	wide := 4
	switch major {
	case 1:
		wide = 2
	case 2, 3:
	default:
		return header{}, fmt.Errorf("version %d of the format, expected 1, 2 or 3", major)
	}
	if _, err := io.ReadFull(r, length[:wide]); err != nil {
		return header{}, fmt.Errorf("reading the length of the header: %w", err)
	}
	n := binary.LittleEndian.Uint32(length[:])
	if n > maxHeaderBytes {
		return header{}, fmt.Errorf("a header of %d bytes, expected %d at most", n, maxHeaderBytes)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return header{}, fmt.Errorf("reading the header of %d bytes: %w", n, err)
	}
	h, err := parseHeader(string(text))
	h.size = int64(len(start) + wide + len(text))
	return h, err
}

// literal reads a Python literal from the left.
type literal struct{ rest string }

// parseHeader parses the dict, whose three keys may stand in any order.
func parseHeader(text string) (header, error) {
	var h header
	l := &literal{text}
	if !l.accept("{") {
		return h, l.expected("{")
	}
	seen := map[string]bool{}
	for !l.accept("}") {
		key, err := l.quoted()
		if err != nil {
			return h, err
		}
		if seen[key] {
			return h, fmt.Errorf("header: %.80q appears twice", key)
		}
		seen[key] = true
		if !l.accept(":") {
			return h, l.expected(":")
		}
		if err := h.set(key, l); err != nil {
			return h, err
		}
		if !l.accept(",") && !strings.HasPrefix(l.rest, "}") {
			return h, l.expected(", or }")
		}
	}
	if l.skip(); l.rest != "" {
		return h, l.expected("its end")
	}
	if len(seen) != 3 {
		return h, fmt.Errorf("header lacks descr, fortran_order or shape")
	}
	return h, nil
}

func (h *header) set(key string, l *literal) error {
	var err error
	switch key {
	case "descr":
		var descr string
		if descr, err = l.quoted(); err != nil {
			return err
		}
		var ok bool
		if h.dtype, ok = dtypes[descr]; !ok {
			return fmt.Errorf("elements of type %.80q, which isn't read", descr)
		}
		return nil
	case "fortran_order":
		h.fortran = l.accept("True")
		if !h.fortran && !l.accept("False") {
			return l.expected("True or False")
		}
		return nil
	case "shape":
		h.shape, err = l.tuple()
		return err
	}
	return fmt.Errorf("header: unknown key %.80q", key)
}

func (l *literal) skip() { l.rest = strings.TrimLeft(l.rest, " \n") }

// accept passes over token, and the white space around it, if it comes next.
func (l *literal) accept(token string) bool {
	l.skip()
	rest, ok := strings.CutPrefix(l.rest, token)
	if ok {
		l.rest = rest
		l.skip()
	}
	return ok
}

func (l *literal) expected(what string) error {
	return fmt.Errorf("header: found %.20q, expected %s", l.rest, what)
}

// quoted reads a string in single quotes without escapes, which nothing here needs.
func (l *literal) quoted() (string, error) {
	if !l.accept("'") {
		return "", l.expected("a name in quotes")
	}
	s, rest, ok := strings.Cut(l.rest, "'")
	if !ok {
		return "", l.expected("a closing quote")
	}
	l.rest = rest
	return s, nil
}

// tuple reads (), (3,) or (3, 4).
func (l *literal) tuple() ([]uint64, error) {
	list := []uint64{}
	if !l.accept("(") {
		return nil, l.expected("(")
	}
	for !l.accept(")") {
		digits := len(l.rest) - len(strings.TrimLeft(l.rest, "0123456789"))
		n, err := strconv.ParseUint(l.rest[:digits], 10, 64)
		if err != nil {
			return nil, l.expected("a whole number")
		}
		if len(list) == maxDims {
			return nil, fmt.Errorf("header: more than %d dimensions", maxDims)
		}
		list = append(list, n)
		l.rest = l.rest[digits:]
		if !l.accept(",") && !strings.HasPrefix(l.rest, ")") {
			return nil, l.expected(", or )")
		}
	}
	return list, nil
}
