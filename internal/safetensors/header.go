package safetensors

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/clipgo/clipgo/internal/checkpoint"
)

const metadataName = "__metadata__"

// entry is what the header says of a tensor, unchecked but for its syntax.
type entry struct {
	name       string
	at         int64 // where in the file
	dtype      checkpoint.DType
	shape      []uint64
	begin, end uint64 // from the start of the data section
}

// parseHeader parses the header, which starts at byte 8 of the file called name.
func parseHeader(b []byte, name string) ([]entry, error) {
	if len(b) == 0 || b[0] != '{' {
		return nil, checkpoint.Errorf(name, 8, "header", "does not begin with {: is this a safetensors file?")
	}
	p, err := newParser(b, 8, name)
	if err != nil {
		return nil, err
	}
	var entries []entry
	err = p.object("header", func(key string) error {
		if key == metadataName {
			return p.strings(metadataName, map[string]string{}) // of no use here, but it must be what it should
		}
		if len(entries) == maxTensors {
			return p.errorf("header", "more than %d tensors", maxTensors)
		}
		e, err := p.entry(key)
		entries = append(entries, e)
		return err
	})
	if err == nil {
		err = p.finish("header")
	}
	return entries, err
}

// parser reads JSON strictly: UTF-8 only, no name twice in an object, no field but those that are expected, and whole
// numbers in plain digits. encoding/json alone lets all of these pass.
type parser struct {
	name string
	base int64 // of the JSON in the file
	dec  *json.Decoder
}

// newParser returns a parser of b, which starts at byte base of the file called name.
func newParser(b []byte, base int64, name string) (*parser, error) {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return nil, checkpoint.Errorf(name, base+int64(i), "header", "byte %#02x is not UTF-8", b[i])
		}
		i += n
	}
	p := &parser{name: name, base: base, dec: json.NewDecoder(bytes.NewReader(b))}
	p.dec.UseNumber()
	return p, nil
}

// at returns how far into the file the parser is.
func (p *parser) at() int64 { return p.base + p.dec.InputOffset() }

func (p *parser) errorf(field, format string, args ...any) error {
	return checkpoint.Errorf(p.name, p.at(), field, format, args...)
}

func (p *parser) token(field string) (json.Token, error) {
	t, err := p.dec.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, p.errorf(field, "is not JSON: %v", err)
	}
	return t, nil
}

// delim reads one of the brackets.
func (p *parser) delim(field string, want json.Delim) error {
	t, err := p.token(field)
	if err != nil {
		return err
	}
	if t != want {
		return p.errorf(field, "found %s, expected %s", show(t), want)
	}
	return nil
}

// object reads an object; value is called after each name and reads what belongs to it.
func (p *parser) object(field string, value func(key string) error) error {
	if err := p.delim(field, '{'); err != nil {
		return err
	}
	seen := map[string]bool{}
	for p.dec.More() {
		t, err := p.token(field)
		if err != nil {
			return err
		}
		key, ok := t.(string)
		if !ok {
			return p.errorf(field, "found %s, expected a name", show(t))
		}
		if seen[key] {
			return p.errorf(field, "%.80q appears twice", key)
		}
		seen[key] = true
		if err := value(key); err != nil {
			return err
		}
	}
	return p.delim(field, '}')
}

func (p *parser) string(field string) (string, error) {
	t, err := p.token(field)
	if err != nil {
		return "", err
	}
	s, ok := t.(string)
	if !ok {
		return "", p.errorf(field, "found %s, expected a string", show(t))
	}
	return s, nil
}

// strings reads an object of strings.
func (p *parser) strings(field string, into map[string]string) error {
	return p.object(field, func(key string) error {
		s, err := p.string(fmt.Sprintf("%s: %.80q", field, key))
		into[key] = s
		return err
	})
}

// numbers reads an array of whole numbers, limit at most.
func (p *parser) numbers(field string, limit int) ([]uint64, error) {
	if err := p.delim(field, '['); err != nil {
		return nil, err
	}
	list := []uint64{}
	for p.dec.More() {
		t, err := p.token(field)
		if err != nil {
			return nil, err
		}
		number, ok := t.(json.Number)
		if !ok {
			return nil, p.errorf(field, "found %s, expected a whole number", show(t))
		}
		if len(list) == limit {
			return nil, p.errorf(field, "more than %d numbers", limit)
		}
		n, err := strconv.ParseUint(string(number), 10, 64)
		if err != nil {
			return nil, p.errorf(field, "found %.80s, expected a whole number below 2^64", number)
		}
		list = append(list, n)
	}
	return list, p.delim(field, ']')
}

func (p *parser) entry(name string) (entry, error) {
	field := fmt.Sprintf("tensor %.80q", name)
	e := entry{name: name, at: p.at()}
	have := 0
	err := p.object(field, func(key string) error {
		have++
		switch key {
		case "dtype":
			s, err := p.string(field + ": dtype")
			if err != nil {
				return err
			}
			var ok bool
			if e.dtype, ok = checkpoint.ParseDType(s); !ok {
				return p.errorf(field, "unknown dtype %.80q", s)
			}
			return nil
		case "shape":
			var err error
			e.shape, err = p.numbers(field+": shape", maxDims)
			return err
		case "data_offsets":
			list, err := p.numbers(field+": data_offsets", 2)
			if err != nil {
				return err
			}
			if len(list) != 2 {
				return p.errorf(field, "%d data_offsets, expected 2", len(list))
			}
			e.begin, e.end = list[0], list[1]
			return nil
		}
		return p.errorf(field, "unknown field %.80q, expected dtype, shape and data_offsets", key)
	})
	if err == nil && have != 3 {
		err = p.errorf(field, "a field is missing, expected dtype, shape and data_offsets")
	}
	return e, err
}

// skip passes over a value of any kind.
func (p *parser) skip(field string) error {
	for depth := 0; ; {
		t, err := p.token(field)
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// finish refuses anything but white space after the JSON.
func (p *parser) finish(field string) error {
	if t, err := p.dec.Token(); err == nil {
		return p.errorf(field, "found %s after its end", show(t))
	} else if !errors.Is(err, io.EOF) {
		return p.errorf(field, "is not JSON: %v", err)
	}
	return nil
}

func show(t json.Token) string {
	if s, ok := t.(string); ok {
		return fmt.Sprintf("%.80q", s)
	}
	return fmt.Sprintf("%.80v", t)
}
