package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
)

// kind is the type of a value, numbered as in the file.
type kind uint32

const (
	kindUint8   kind = 0
	kindInt8    kind = 1
	kindUint16  kind = 2
	kindInt16   kind = 3
	kindUint32  kind = 4
	kindInt32   kind = 5
	kindFloat32 kind = 6
	kindBool    kind = 7
	kindString  kind = 8
	kindArray   kind = 9
	kindUint64  kind = 10
	kindInt64   kind = 11
	kindFloat64 kind = 12
)

// kinds gives each kind its name in Go and the least number of bytes it takes, which for numbers is all of them.
var kinds = [...]struct {
	name string
	size int64
}{
	kindUint8: {"uint8", 1}, kindInt8: {"int8", 1}, kindUint16: {"uint16", 2}, kindInt16: {"int16", 2},
	kindUint32: {"uint32", 4}, kindInt32: {"int32", 4}, kindFloat32: {"float32", 4}, kindBool: {"bool", 1},
	kindString: {"string", 8}, kindArray: {"array", 12}, kindUint64: {"uint64", 8}, kindInt64: {"int64", 8},
	kindFloat64: {"float64", 8},
}

func (k kind) known() bool { return int(k) < len(kinds) }

func (k kind) String() string {
	if !k.known() {
		return fmt.Sprintf("value type %d", uint32(k))
	}
	return kinds[k].name
}

// value says where a value lies. It is decoded when somebody asks for it: a vocabulary may take megabytes.
type value struct {
	kind   kind
	elem   kind  // of an array
	count  int64 // of an array
	offset int64 // of the first byte after the types, the count and, for a string, the length
	bytes  int64
}

func (v value) describe() string {
	if v.kind == kindArray {
		return "an array of " + v.elem.String()
	}
	return v.kind.String()
}

// value passes over a value and checks everything in it.
func (s *scanner) value(field string) value {
	start := s.off
	v := value{kind: kind(s.uint32(field))}
	if s.err == nil && !v.kind.known() {
		s.fail(start, field, "unknown value type %d", uint32(v.kind))
	}
	switch v.kind {
	case kindArray:
		start = s.off
		v.elem = kind(s.uint32(field))
		if s.err == nil && (!v.elem.known() || v.elem == kindArray) {
			s.fail(start, field, "an array of %s, expected an array of numbers, booleans or strings", v.elem)
		}
		if s.err != nil {
			return v
		}
		v.count = s.count(field, kinds[v.elem].size, math.MaxInt)
		v.offset = s.off
		s.items(v.elem, v.count, field)
	case kindString:
		n := s.length(field)
		v.offset = s.off
		s.skip(n, field)
	default:
		v.offset = s.off
		s.items(v.kind, 1, field)
	}
	v.bytes = s.off - v.offset
	return v
}

// items passes over count values that follow each other.
func (s *scanner) items(k kind, count int64, field string) {
	switch k {
	case kindString:
		for ; count > 0 && s.err == nil; count-- {
			s.skip(s.length(field), field)
		}
	case kindBool:
		for ; count > 0 && s.err == nil; count-- {
			if b := s.uint8(field); b > 1 {
				s.fail(s.off-1, field, "boolean is %d, expected 0 or 1", b)
			}
		}
	default:
		if s.err != nil {
			return
		}
		if n := count * kinds[k].size; n > s.rest() {
			s.fail(s.off, field, "needs %d bytes, but only %d are left in the file", n, s.rest())
		} else {
			s.skip(n, field)
		}
	}
}

// Has reports whether the file has the key.
func (f *File) Has(key string) bool {
	_, ok := f.values[key]
	return ok
}

// Value returns the value of key in the Go type that the file names: uint8 to uint64, int8 to int64, float32, float64,
// bool, string, or a slice of one of these. A missing key is an error.
func (f *File) Value(key string) (any, error) {
	v, ok := f.values[key]
	if !ok {
		return nil, &FormatError{f.name, -1, "key " + quote(key), "is missing"}
	}
	b := make([]byte, v.bytes)
	if n, err := f.r.ReadAt(b, v.offset); n < len(b) {
		return nil, readError(f.name, v.offset, "key "+quote(key), err)
	}
	switch {
	case v.kind == kindString:
		return string(b), nil
	case v.kind == kindArray && v.elem == kindString:
		list, ok := decodeStrings(string(b), v.count)
		if !ok {
			return nil, &FormatError{f.name, v.offset, "key " + quote(key), "the file changed while it was read"}
		}
		return list, nil
	case v.kind == kindArray:
		_, slice := decodeNumbers(v.elem, v.count, b)
		return slice, nil
	}
	first, _ := decodeNumbers(v.kind, 1, b)
	return first, nil
}

// decodeStrings cuts a blob into count strings, which share its memory.
func decodeStrings(blob string, count int64) (list []string, ok bool) {
	list = make([]string, count)
	for i := range list {
		if len(blob) < 8 {
			return nil, false
		}
		n := binary.LittleEndian.Uint64([]byte(blob[:8]))
		blob = blob[8:]
		if n > uint64(len(blob)) {
			return nil, false
		}
		list[i], blob = blob[:n], blob[n:]
	}
	return list, true
}

// decodeNumbers decodes count numbers or booleans. first is the first of them, if any; slice has them all.
func decodeNumbers(k kind, count int64, b []byte) (first, slice any) {
	switch k {
	case kindUint8:
		return decodeSlice[uint8](count, b)
	case kindInt8:
		return decodeSlice[int8](count, b)
	case kindUint16:
		return decodeSlice[uint16](count, b)
	case kindInt16:
		return decodeSlice[int16](count, b)
	case kindUint32:
		return decodeSlice[uint32](count, b)
	case kindInt32:
		return decodeSlice[int32](count, b)
	case kindFloat32:
		return decodeSlice[float32](count, b)
	case kindBool:
		return decodeSlice[bool](count, b)
	case kindUint64:
		return decodeSlice[uint64](count, b)
	case kindInt64:
		return decodeSlice[int64](count, b)
	case kindFloat64:
		return decodeSlice[float64](count, b)
	}
	panic("gguf: " + k.String() + " is not a number") // the parser lets no other kind through
}

func decodeSlice[T any](count int64, b []byte) (first, slice any) {
	list := make([]T, count)
	if _, err := binary.Decode(b, binary.LittleEndian, list); err != nil {
		panic("gguf: " + err.Error()) // the parser measured b
	}
	if count > 0 {
		first = list[0]
	}
	return first, list
}

// wrongType is the error for a value that is not what a getter wants.
func (f *File) wrongType(key, expected string) error {
	v := f.values[key]
	return &FormatError{f.name, v.offset, "key " + quote(key), fmt.Sprintf("is %s, expected %s", v.describe(), expected)}
}

// String returns the string at key.
func (f *File) String(key string) (string, error) {
	return typed[string](f, key, "string")
}

// Bool returns the boolean at key.
func (f *File) Bool(key string) (bool, error) {
	return typed[bool](f, key, "bool")
}

// Strings returns the array of strings at key.
func (f *File) Strings(key string) ([]string, error) {
	return typed[[]string](f, key, "an array of string")
}

func typed[T any](f *File, key, expected string) (T, error) {
	var zero T
	v, err := f.Value(key)
	if err != nil {
		return zero, err
	}
	t, ok := v.(T)
	if !ok {
		return zero, f.wrongType(key, expected)
	}
	return t, nil
}

// Uint returns the integer at key, of any integer type but not negative.
func (f *File) Uint(key string) (uint64, error) {
	v, err := f.Value(key)
	if err != nil {
		return 0, err
	}
	if u, ok := v.(uint64); ok {
		return u, nil
	}
	i, ok := toInt(v)
	if !ok {
		return 0, f.wrongType(key, "an integer")
	}
	if i < 0 {
		return 0, &FormatError{f.name, f.values[key].offset, "key " + quote(key), fmt.Sprintf("is %d, expected no negative number", i)}
	}
	return uint64(i), nil
}

// Int returns the integer at key, of any integer type.
func (f *File) Int(key string) (int64, error) {
	v, err := f.Value(key)
	if err != nil {
		return 0, err
	}
	if i, ok := toInt(v); ok {
		return i, nil
	}
	if u, ok := v.(uint64); ok {
		return 0, &FormatError{f.name, f.values[key].offset, "key " + quote(key), fmt.Sprintf("is %d, expected %d at most", u, int64(math.MaxInt64))}
	}
	return 0, f.wrongType(key, "an integer")
}

// toInt converts any integer that fits.
func toInt(v any) (int64, bool) {
	switch v := v.(type) {
	case uint8:
		return int64(v), true
	case int8:
		return int64(v), true
	case uint16:
		return int64(v), true
	case int16:
		return int64(v), true
	case uint32:
		return int64(v), true
	case int32:
		return int64(v), true
	case int64:
		return v, true
	case uint64:
		return int64(v), v <= math.MaxInt64
	}
	return 0, false
}

// Float returns the number at key, a float32 or float64. An integer is an error.
func (f *File) Float(key string) (float64, error) {
	v, err := f.Value(key)
	if err != nil {
		return 0, err
	}
	switch v := v.(type) {
	case float32:
		return float64(v), nil
	case float64:
		return v, nil
	}
	return 0, f.wrongType(key, "float32 or float64")
}

// Ints returns the array at key, of any integer type but uint64.
func (f *File) Ints(key string) ([]int64, error) {
	v, err := f.Value(key)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case []uint8:
		return widen[int64](v), nil
	case []int8:
		return widen[int64](v), nil
	case []uint16:
		return widen[int64](v), nil
	case []int16:
		return widen[int64](v), nil
	case []uint32:
		return widen[int64](v), nil
	case []int32:
		return widen[int64](v), nil
	case []int64:
		return v, nil
	}
	return nil, f.wrongType(key, "an array of integers of up to 32 bits, or of int64")
}

// Floats returns the array at key, of float32 or float64, the latter rounded.
func (f *File) Floats(key string) ([]float32, error) {
	v, err := f.Value(key)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case []float32:
		return v, nil
	case []float64:
		return widen[float32](v), nil
	}
	return nil, f.wrongType(key, "an array of float32 or float64")
}

func widen[T, F int8 | uint8 | int16 | uint16 | int32 | uint32 | int64 | float32 | float64](from []F) []T {
	to := make([]T, len(from))
	for i, v := range from {
		to[i] = T(v)
	}
	return to
}

// The getters below are for keys that a file may lack: a missing key gives def, one of the wrong type is still an error.

// StringOr is String with a default.
func (f *File) StringOr(key, def string) (string, error) { return or(f, key, def, f.String) }

// BoolOr is Bool with a default.
func (f *File) BoolOr(key string, def bool) (bool, error) { return or(f, key, def, f.Bool) }

// UintOr is Uint with a default.
func (f *File) UintOr(key string, def uint64) (uint64, error) { return or(f, key, def, f.Uint) }

// IntOr is Int with a default.
func (f *File) IntOr(key string, def int64) (int64, error) { return or(f, key, def, f.Int) }

// FloatOr is Float with a default.
func (f *File) FloatOr(key string, def float64) (float64, error) { return or(f, key, def, f.Float) }

// StringsOr is Strings with a default.
func (f *File) StringsOr(key string, def []string) ([]string, error) {
	return or(f, key, def, f.Strings)
}

// IntsOr is Ints with a default.
func (f *File) IntsOr(key string, def []int64) ([]int64, error) { return or(f, key, def, f.Ints) }

// FloatsOr is Floats with a default.
func (f *File) FloatsOr(key string, def []float32) ([]float32, error) {
	return or(f, key, def, f.Floats)
}

func or[T any](f *File, key string, def T, get func(string) (T, error)) (T, error) {
	if !f.Has(key) {
		return def, nil
	}
	return get(key)
}
