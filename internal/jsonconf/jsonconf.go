// Package jsonconf reads JSON files of settings, with errors that name the file and the field.
package jsonconf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Config is an object of a JSON file, such as config.json, whose errors name the file and the field.
type Config struct {
	file   string
	path   string // of the object, ending in a dot unless empty
	fields map[string]any
	err    *error // the first error of the file
}

// Parse parses the JSON object data that came from file.
func Parse(file string, data []byte) (*Config, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var fields map[string]any
	if err := d.Decode(&fields); err != nil {
		return nil, fmt.Errorf("%s: not a JSON object: %w", file, err)
	}
	if fields == nil {
		return nil, fmt.Errorf("%s: found null, expected a JSON object", file)
	}
	return &Config{file: file, fields: fields, err: new(error)}, nil
}

// Err returns the first error met by the getters of this object and those inside it.
func (c *Config) Err() error { return *c.err }

// Fail records an error about the field key, unless there is one already.
func (c *Config) Fail(key, format string, args ...any) {
	if *c.err == nil {
		*c.err = fmt.Errorf("%s: %s%s %s", c.file, c.path, key, fmt.Sprintf(format, args...))
	}
}

// Has says whether key is there and not null.
func (c *Config) Has(key string) bool { return c.fields[key] != nil }

// Object returns the object at key, an empty one where it is missing or null.
func (c *Config) Object(key string) *Config {
	o := &Config{file: c.file, path: c.path + key + ".", err: c.err}
	v := c.fields[key]
	if v == nil {
		return o
	}
	fields, ok := v.(map[string]any)
	if !ok {
		c.Fail(key, "is %s, expected an object", describe(v))
	}
	o.fields = fields
	return o
}

// Overlay returns c with the fields of over taking precedence.
func (c *Config) Overlay(over *Config) *Config {
	o := *c
	o.fields = make(map[string]any, len(c.fields)+len(over.fields))
	for _, from := range []map[string]any{c.fields, over.fields} {
		for k, v := range from {
			o.fields[k] = v
		}
	}
	return &o
}

// Int returns the integer at key, def where it is missing or null.
func (c *Config) Int(key string, def int) int {
	v := c.fields[key]
	if v == nil {
		return def
	}
	n, ok := v.(json.Number)
	if !ok {
		c.Fail(key, "is %s, expected an integer", describe(v))
		return def
	}
	i, err := strconv.ParseInt(n.String(), 10, 32)
	if err != nil {
		f, ferr := n.Float64()
		if ferr != nil || f != math.Trunc(f) || math.Abs(f) > math.MaxInt32 {
			c.Fail(key, "is %s, expected an integer of 32 bits", n)
			return def
		}
		i = int64(f)
	}
	return int(i)
}

// Float returns the finite number at key, def where it is missing or null.
func (c *Config) Float(key string, def float64) float64 {
	v := c.fields[key]
	if v == nil {
		return def
	}
	n, ok := v.(json.Number)
	if !ok {
		c.Fail(key, "is %s, expected a number", describe(v))
		return def
	}
	f, err := n.Float64()
	if err != nil {
		c.Fail(key, "is %s, expected a finite number", n)
		return def
	}
	return f
}

// Bool returns the boolean at key, def where it is missing or null.
func (c *Config) Bool(key string, def bool) bool {
	v := c.fields[key]
	if v == nil {
		return def
	}
	b, ok := v.(bool)
	if !ok {
		c.Fail(key, "is %s, expected true or false", describe(v))
	}
	return b
}

// String returns the string at key, def where it is missing or null.
func (c *Config) String(key, def string) string {
	v := c.fields[key]
	if v == nil {
		return def
	}
	s, ok := v.(string)
	if !ok {
		c.Fail(key, "is %s, expected a string", describe(v))
	}
	return s
}

// Strings returns the list of strings at key, nil where it is missing or null.
func (c *Config) Strings(key string) []string {
	var list []string
	for _, v := range c.list(key) {
		x, ok := v.(string)
		if !ok {
			c.Fail(key, "holds %s, expected strings", describe(v))
		}
		list = append(list, x)
	}
	return list
}

// Floats returns the list of finite numbers at key, nil where it is missing or null.
func (c *Config) Floats(key string) []float64 {
	var list []float64
	for _, v := range c.list(key) {
		x, err := 0.0, error(nil)
		if n, ok := v.(json.Number); ok {
			x, err = n.Float64()
		}
		if _, ok := v.(json.Number); !ok || err != nil {
			c.Fail(key, "holds %s, expected finite numbers", describe(v))
		}
		list = append(list, x)
	}
	return list
}

func (c *Config) list(key string) []any {
	v := c.fields[key]
	if v == nil {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		c.Fail(key, "is %s, expected a list", describe(v))
	}
	return list
}

// IsObject says whether the value at key is an object.
func (c *Config) IsObject(key string) bool {
	_, ok := c.fields[key].(map[string]any)
	return ok
}

// IsList says whether the value at key is a list.
func (c *Config) IsList(key string) bool {
	_, ok := c.fields[key].([]any)
	return ok
}

// describe names a JSON value in an error, shortened.
func describe(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "unreadable"
	}
	if s := string(b); len(s) <= 40 {
		return s
	}
	return strings.ToValidUTF8(string(b[:37]), "") + "..."
}
