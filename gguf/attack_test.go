package gguf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// raw builds a file field by field, right or wrong.
type raw []byte

func (r raw) u8(v uint8) raw   { return append(r, v) }
func (r raw) u32(v uint32) raw { return binary.LittleEndian.AppendUint32(r, v) }
func (r raw) u64(v uint64) raw { return binary.LittleEndian.AppendUint64(r, v) }
func (r raw) str(s string) raw { return append(r.u64(uint64(len(s))), s...) }
func (r raw) zeros(n int) raw  { return append(r, make([]byte, n)...) }
func (r raw) align(n int) raw  { return r.zeros((n - len(r)%n) % n) }
func (r raw) key(k string) raw { return r.str(k) }
func (r raw) typ(k kind) raw   { return r.u32(uint32(k)) }
func (r raw) array(e kind) raw { return r.typ(kindArray).typ(e) }
func header(tensors, keys int64) raw {
	return raw(magic).u32(3).u64(uint64(tensors)).u64(uint64(keys))
}

// tensor appends a tensor info.
func (r raw) tensor(name string, typ Type, offset uint64, dims ...uint64) raw {
	r = r.str(name).u32(uint32(len(dims)))
	for _, d := range dims {
		r = r.u64(d)
	}
	return r.u32(uint32(typ)).u64(offset)
}

func read(b []byte) (*File, error) {
	return NewReader(bytes.NewReader(b), int64(len(b)), "x.gguf")
}

// The attacks of hostile files, by the numbers that they have in the project's list.
func TestAttacks(t *testing.T) {
	oneKey, oneTensor := header(0, 1), header(1, 0)
	tests := []struct {
		name   string
		file   raw
		offset int64
		field  string
		want   string
	}{
		{"1 empty", nil, 0, "magic", "needs 4 bytes, but only 0 are left"},
		{"1 shorter than a header", header(0, 0)[:19], 16, "key count", "needs 8 bytes, but only 3"},
		{"2 wrong magic", raw("GGML").zeros(40), 0, "magic", `"GGML", expected "GGUF"`},
		{"3 byte-swapped", raw(magic).u32(0x03000000).zeros(16), 4, "version", "byte-swapped"},
		{"3 byte-swapped magic", raw("FUGG").u32(0x03000000).zeros(16), 0, "magic", "byte-swapped"},
		{"4 version 0", raw(magic).u32(0).zeros(16), 4, "version", "0, expected 2 or 3"},
		{"4 version 1", raw(magic).u32(1).zeros(16), 4, "version", "1 is obsolete"},
		{"4 version of the future", raw(magic).u32(4).zeros(16), 4, "version", "4, expected 2 or 3"},
		{"5 -1 tensors", header(-1, 0), 8, "tensor count", "18446744073709551615 is more than"},
		{"5 more tensors than bytes", header(31, 0).zeros(1000), 8, "tensor count", "31 is more than"},
		{"5 tensors over the limit", header(maxTensors+1, 0).zeros(maxTensors * 34), 8, "tensor count", "over the limit"},
		{"6 -1 keys", header(0, -1), 16, "key count", "18446744073709551615 is more than"},
		{"6 2^63 keys", header(0, math.MinInt64), 16, "key count", "9223372036854775808 is more than"},
		{"6 more keys than bytes", header(0, 8).zeros(100), 16, "key count", "8 is more than"},
		{"6 keys over the limit", header(0, maxKeys+1).zeros(maxKeys * 15), 16, "key count", "over the limit"},
		{"7 key length beyond the rest", oneKey.u64(100).zeros(50), 24, "key 0", "length 100 is more than the 50"},
		{"7 key length -1", oneKey.u64(math.MaxUint64).zeros(50), 24, "key 0", "length 18446744073709551615 is more"},
		{"7 key over the limit", oneKey.str(strings.Repeat("k", maxKeyLength+1)).zeros(50), 24, "key 0", "expected 1 to 65535"},
		{"7 string value beyond the rest", oneKey.key("k").typ(kindString).u64(9).zeros(8), 37, `key "k"`, "length 9 is more than the 8"},
		{"7 number beyond the rest", oneKey.key("k").typ(kindUint64).zeros(7), 37, `key "k"`, "needs 8 bytes, but only 7"},
		{"8 empty key", oneKey.key("").zeros(50), 24, "key 0", "length 0, expected 1"},
		{"9 duplicate key", header(0, 2).key("k").typ(kindUint8).u8(1).key("k").typ(kindUint8).u8(1), 38, `key "k"`, "appears twice"},
		{"10 unknown value type", oneKey.key("k").typ(13).zeros(8), 33, `key "k"`, "unknown value type 13"},
		{"10 unknown element type", oneKey.key("k").array(13).u64(1).zeros(8), 37, `key "k"`, "array of value type 13"},
		{"11 bool 2", oneKey.key("k").typ(kindBool).u8(2), 37, `key "k"`, "boolean is 2, expected 0 or 1"},
		{"11 bool 255 in an array", oneKey.key("k").array(kindBool).u64(2).u8(1).u8(255), 50, `key "k"`, "boolean is 255"},
		{"12 nested array", oneKey.key("k").array(kindArray).u64(1).typ(kindUint8).u64(0), 37, `key "k"`, "array of array"},
		{"13 array count beyond the rest", oneKey.key("k").array(kindFloat32).u64(3).zeros(11), 41, `key "k"`, "3 is more than the 11 bytes"},
		{"13 array of 2^63 bytes", oneKey.key("k").array(kindUint8).u64(1 << 63), 41, `key "k"`, "9223372036854775808 is more"},
		{"13 array of 2^62 uint64", oneKey.key("k").array(kindUint64).u64(1 << 62), 41, `key "k"`, "4611686018427387904 is more"},
		{"13 array of strings, the last too long", oneKey.key("k").array(kindString).u64(2).str("a").u64(1), 58, `key "k"`, "length 1 is more than the 0"},
		{"14 alignment 0", oneKey.key(alignmentKey).typ(kindUint32).u32(0), 53, `key "general.alignment"`, "0, expected a power of two"},
		{"14 alignment 24", oneKey.key(alignmentKey).typ(kindUint32).u32(24), 53, `key "general.alignment"`, "24, expected a power of two"},
		{"14 alignment of the wrong type", oneKey.key(alignmentKey).typ(kindUint64).u64(32), 53, `key "general.alignment"`, "is uint64, expected uint32"},
		{"14 alignment that is an array", oneKey.key(alignmentKey).array(kindUint32).u64(1).u32(32), 65, `key "general.alignment"`, "is an array of uint32, expected uint32"},
		{"15 alignment 128 KiB", oneKey.key(alignmentKey).typ(kindUint32).u32(128 << 10), 53, `key "general.alignment"`, "131072, expected a power of two up to 65536"},
		{"16 tensor name of 64 bytes", oneTensor.tensor(strings.Repeat("n", 64), F32, 0, 1).zeros(100), 24, "name of tensor 0", "length 64, expected 1 to 63"},
		{"16 tensor without a name", oneTensor.tensor("", F32, 0, 1).zeros(100), 24, "name of tensor 0", "length 0"},
		{"17 duplicate tensor", header(2, 0).tensor("t", F32, 0, 1).tensor("t", F32, 32, 1).zeros(100), 57, `tensor "t"`, "appears twice"},
		{"18 5 dimensions", oneTensor.tensor("t", F32, 0, 1, 1, 1, 1, 1).zeros(100), 33, `tensor "t"`, "5 dimensions, expected 1 to 4"},
		{"18 0 dimensions", oneTensor.tensor("t", F32, 0).zeros(100), 33, `tensor "t"`, "0 dimensions, expected 1 to 4"},
		{"18 2^32-1 dimensions", oneTensor.str("t").u32(math.MaxUint32).zeros(100), 33, `tensor "t"`, "4294967295 dimensions"},
		{"19 dimension -1", oneTensor.tensor("t", F32, 0, math.MaxUint64).zeros(100), 33, `tensor "t"`, "dimension 0 is -1"},
		{"19 dimension 0", oneTensor.tensor("t", F32, 0, 4, 0).zeros(100), 33, `tensor "t"`, "dimension 1 is 0"},
		{"20 elements overflow", oneTensor.tensor("t", I8, 0, 1<<32, 1<<32).zeros(100), 33, `tensor "t"`, "number of elements of [4294967296 4294967296] overflows"},
		{"20 elements overflow by one bit", oneTensor.tensor("t", I8, 0, 1<<32, 1<<31).zeros(100), 33, `tensor "t"`, "number of elements"},
		{"20 bytes overflow", oneTensor.tensor("t", F32, 0, 1<<31, 1<<30).zeros(100), 33, `tensor "t"`, "size in bytes"},
		{"20 row overflows", oneTensor.tensor("t", F64, 0, 1<<62).zeros(100), 33, `tensor "t"`, "overflow"},
		{"20 padding overflows", header(2, 0).tensor("t", I8, 0, math.MaxInt64).tensor("u", I8, 0, 1).zeros(100), 24, `tensor "t"`, "but the file ends at byte"},
		{"20 sum overflows", header(2, 0).tensor("t", I8, 0, 64).tensor("u", I8, 64, math.MaxInt64-64).zeros(200), 57, `tensor "u"`, "but the file ends at byte"},
		{"21 unknown type", oneTensor.tensor("t", 43, 0, 32).zeros(100), 33, `tensor "t"`, "unknown tensor type 43"},
		{"21 removed type", oneTensor.tensor("t", 31, 0, 32).zeros(100), 33, `tensor "t"`, "Q4_0_4_4 was removed"},
		{"22 row of 33 in blocks of 32", oneTensor.tensor("t", Q8_0, 0, 33, 32).zeros(2000), 33, `tensor "t"`, "33 elements is no multiple of the 32"},
		{"22 offset too great", oneTensor.tensor("t", F32, 32, 1).zeros(100), 24, `tensor "t"`, "offset 32 in the data section, expected 0"},
		{"22 tensors overlap", header(2, 0).tensor("t", F32, 0, 9).tensor("u", F32, 32, 1).zeros(200), 57, `tensor "u"`, "offset 32 in the data section, expected 64"},
		{"22 offset -1", oneTensor.tensor("t", F32, math.MaxUint64, 1).zeros(100), 49, `tensor "t"`, "offset 18446744073709551615"},
		{"23 data beyond the file", oneTensor.tensor("t", F32, 0, 8).align(32).zeros(31), 24, `tensor "t"`, "32 bytes at offset 0 of the data section, but the file ends at byte 95"},
		{"23 no data section at all", oneTensor.tensor("t", F32, 0, 8), 24, `tensor "t"`, "32 bytes at offset 0"},
		{"23 2^40 bytes in a small file", oneTensor.tensor("t", F32, 0, 1<<20, 1<<18).zeros(100), 24, `tensor "t"`, "but the file ends"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := read(test.file)
			var format *FormatError
			require.ErrorAs(t, err, &format)
			assert.Equal(t, "x.gguf", format.File)
			assert.Equal(t, test.offset, format.Offset)
			assert.Equal(t, test.field, format.Field)
			assert.Contains(t, format.Problem, test.want)
			assert.NotContains(t, err.Error(), "\n")
		})
	}
}

// Attack 24: a key whose value, or whose elements, have the wrong type.
func TestAttack24WrongValueType(t *testing.T) {
	file := header(0, 4).
		key("scores").array(kindInt8).u64(2).u8(1).u8(2).
		key("count").typ(kindInt32).u32(math.MaxUint32).
		key("big").typ(kindUint64).u64(1 << 63).
		key("bigs").array(kindUint64).u64(1).u64(1 << 63)
	f, err := read(file)
	require.NoError(t, err)
	ignore := func(_ any, err error) error { return err }
	check := func(err error, want string) {
		t.Helper()
		var format *FormatError
		require.ErrorAs(t, err, &format)
		assert.Equal(t, "x.gguf", format.File)
		assert.ErrorContains(t, err, want)
	}
	check(ignore(f.Floats("scores")), `"scores": is an array of int8, expected an array of float32`)
	check(ignore(f.FloatsOr("scores", nil)), `is an array of int8`)
	check(ignore(f.Strings("scores")), `expected an array of string`)
	check(ignore(f.String("count")), `is int32, expected string`)
	check(ignore(f.Bool("count")), `is int32, expected bool`)
	check(ignore(f.Float("count")), `is int32, expected float32`)
	check(ignore(f.Uint("count")), `is -1, expected no negative number`)
	check(ignore(f.UintOr("count", 1)), `is -1`)
	check(ignore(f.Uint("scores")), `is an array of int8, expected an integer`)
	check(ignore(f.Int("big")), `is 9223372036854775808, expected 9223372036854775807 at most`)
	check(ignore(f.Ints("bigs")), `is an array of uint64`)
	check(ignore(f.Ints("count")), `is int32, expected an array`)
	check(ignore(f.String("none")), `x.gguf: key "none": is missing`)
	check(ignore(f.TensorReader("none")), `x.gguf: tensor "none": is missing`)
	check(ignore(f.ReadTensor("none")), `is missing`)

	n, err := f.UintOr("none", 7)
	require.NoError(t, err)
	assert.Equal(t, uint64(7), n)
}

// A name from a file can neither break the line nor flood it.
func TestErrorsQuoteNames(t *testing.T) {
	name := "a\nb\x1b[31m" + strings.Repeat("c", 5000)
	_, err := read(header(0, 1).key(name).typ(99).zeros(20))
	require.Error(t, err)
	assert.Contains(t, err.Error(), `key "a\nb\x1b[31mccc`)
	assert.Less(t, len(err.Error()), 300)
}

// shrinking is a file that loses its end after its size was taken.
type shrinking struct{ *bytes.Reader }

func TestFileBecomesShorter(t *testing.T) {
	whole := header(1, 1).key("k").typ(kindString).str("value").tensor("t", F32, 0, 8).align(32).zeros(32)
	for _, left := range []int{3, 24, 40, 60} {
		_, err := NewReader(shrinking{bytes.NewReader(whole[:left])}, int64(len(whole)), "x.gguf")
		assert.ErrorContains(t, err, "became shorter", "%d bytes left", left)
	}
	f, err := read(whole)
	require.NoError(t, err)
	f.r = shrinking{bytes.NewReader(whole[:30])}
	_, err = f.String("k")
	assert.ErrorContains(t, err, "became shorter")
	_, err = f.ReadTensor("t")
	assert.Error(t, err)
}

type brokenDisk struct{ after int64 }

var errDisk = errors.New("input/output error")

func (d brokenDisk) ReadAt(b []byte, off int64) (int, error) {
	if off+int64(len(b)) > d.after {
		return 0, errDisk
	}
	return len(b), nil
}

func TestReadErrorIsKept(t *testing.T) {
	_, err := NewReader(brokenDisk{0}, 1000, "x.gguf")
	assert.ErrorIs(t, err, errDisk)
	assert.ErrorContains(t, err, "x.gguf")
}
