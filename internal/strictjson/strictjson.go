// Package strictjson reads JSON strictly: UTF-8 only, no name twice in an object, no field but those that are expected, and
// whole numbers in plain digits. encoding/json alone lets all of these pass.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// Parser reads the JSON of one file.
type Parser struct {
	name string
	base int64 // of the JSON in the file
	dec  *json.Decoder
}

// New returns a parser of b, which starts at byte base of the file called name.
func New(b []byte, base int64, name string) (*Parser, error) {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return nil, fmt.Errorf("%s: at byte %d: byte %#02x is not UTF-8", name, base+int64(i), b[i])
		}
		i += n
	}
	p := &Parser{name: name, base: base, dec: json.NewDecoder(bytes.NewReader(b))}
	p.dec.UseNumber()
	return p, nil
}

// At returns how far into the file the parser is.
func (p *Parser) At() int64 { return p.base + p.dec.InputOffset() }

// Errorf says what is wrong with a field, and where.
func (p *Parser) Errorf(field, format string, args ...any) error {
	return fmt.Errorf("%s: at byte %d: %s: %s", p.name, p.At(), field, fmt.Sprintf(format, args...))
}

func (p *Parser) token(field string) (json.Token, error) {
	t, err := p.dec.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, p.Errorf(field, "is not JSON: %v", err)
	}
	return t, nil
}

// delim reads one of the brackets.
func (p *Parser) delim(field string, want json.Delim) error {
	t, err := p.token(field)
	if err != nil {
		return err
	}
	if t != want {
		return p.Errorf(field, "found %s, expected %s", show(t), want)
	}
	return nil
}

// Object reads an object; value is called after each name and reads what belongs to it.
func (p *Parser) Object(field string, value func(key string) error) error {
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
			return p.Errorf(field, "found %s, expected a name", show(t))
		}
		if seen[key] {
			return p.Errorf(field, "%.80q appears twice", key)
		}
		seen[key] = true
		if err := value(key); err != nil {
			return err
		}
	}
	return p.delim(field, '}')
}

// String reads a string.
func (p *Parser) String(field string) (string, error) {
	t, err := p.token(field)
	if err != nil {
		return "", err
	}
	s, ok := t.(string)
	if !ok {
		return "", p.Errorf(field, "found %s, expected a string", show(t))
	}
	return s, nil
}

// Strings reads an object of strings.
func (p *Parser) Strings(field string, into map[string]string) error {
	return p.Object(field, func(key string) error {
		s, err := p.String(fmt.Sprintf("%s: %.80q", field, key))
		into[key] = s
		return err
	})
}

// Numbers reads an array of whole numbers, limit at most.
func (p *Parser) Numbers(field string, limit int) ([]uint64, error) {
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
			return nil, p.Errorf(field, "found %s, expected a whole number", show(t))
		}
		if len(list) == limit {
			return nil, p.Errorf(field, "more than %d numbers", limit)
		}
		n, err := strconv.ParseUint(string(number), 10, 64)
		if err != nil {
			return nil, p.Errorf(field, "found %.80s, expected a whole number below 2^64", number)
		}
		list = append(list, n)
	}
	return list, p.delim(field, ']')
}

// Skip passes over a value of any kind.
func (p *Parser) Skip(field string) error {
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

// Finish refuses anything but white space after the JSON.
func (p *Parser) Finish(field string) error {
	if t, err := p.dec.Token(); err == nil {
		return p.Errorf(field, "found %s after its end", show(t))
	} else if !errors.Is(err, io.EOF) {
		return p.Errorf(field, "is not JSON: %v", err)
	}
	return nil
}

func show(t json.Token) string {
	if s, ok := t.(string); ok {
		return fmt.Sprintf("%.80q", s)
	}
	return fmt.Sprintf("%.80v", t)
}
