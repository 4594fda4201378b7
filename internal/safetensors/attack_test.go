package safetensors

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/clipgo/clipgo/internal/checkpoint"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// file puts a header and a number of data bytes together.
func file(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, data)...)
}

// one is the header entry of a tensor.
func one(name, dtype, shape string, begin, end uint64) string {
	return fmt.Sprintf(`%q:{"dtype":%q,"shape":%s,"data_offsets":[%d,%d]}`, name, dtype, shape, begin, end)
}

func read(b []byte) (*checkpoint.Set, error) {
	return Read(bytes.NewReader(b), int64(len(b)), "x.safetensors")
}

// The attacks of hostile files, by the numbers that they have in the project's list.
func TestAttacks(t *testing.T) {
	length := func(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }
	tests := []struct {
		name string
		file []byte
		want string
	}{
		{"32 empty", nil, "at byte 0: header length: the file has 0 bytes, expected 8"},
		{"32 under 8 bytes", make([]byte, 7), "the file has 7 bytes"},
		{"33 header over 100 MB", length(100_000_001), "100000001, expected 100000000 at most"},
		{"33 header of 2^64-1 bytes", length(1<<64 - 1), "18446744073709551615, expected"},
		{"33 header longer than the file", append(length(3), '{', '}'), "3, but only 2 bytes are left"},
		{"34 no header", length(0), "does not begin with {"},
		{"34 a header that is an array", file(`[]`, 0), "does not begin with {"},
		{"34 white space first", file(` {}`, 0), "does not begin with {"},
		{"34 not UTF-8", file("{\"a\xff\":{}}", 0), "at byte 11: byte 0xff is not UTF-8"},
		{"34 not JSON", file(`{"a"`, 0), "is not JSON"},
		{"34 a comma too many", file(`{`+one("a", "U8", "[0]", 0, 0)+`,}`, 0), "is not JSON"},
		{"34 text after the JSON", file(`{} x`, 0), "is not JSON"},
		{"34 a second value", file(`{} {}`, 0), "found { after its end"},
		{"34 nested deep", file(strings.Repeat(`{"a":`, 50000), 0), `unknown field "a"`},
		{"34 arrays nested deep", file(`{"a":{"shape":`+strings.Repeat("[", 50000), 0), "found [, expected a whole number"},
		{"34 a tensor that is a number", file(`{"a":1}`, 0), `tensor "a": found 1, expected {`},
		{"34 metadata of numbers", file(`{"__metadata__":{"a":1}}`, 0), "found 1, expected a string"},
		{"34 a field missing", file(`{"a":{"dtype":"U8","shape":[0]}}`, 0), "a field is missing"},
		{"34 an unknown field", file(`{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":1}}`, 0), `unknown field "x"`},
		{"34 a shape of -1", file(`{`+one("a", "U8", "[-1]", 0, 0)+`}`, 0), "found -1, expected a whole number"},
		{"34 a shape of 1.0", file(`{`+one("a", "U8", "[1.0]", 0, 1)+`}`, 1), "found 1.0, expected a whole number"},
		{"34 a shape of 1e0", file(`{`+one("a", "U8", "[1e0]", 0, 1)+`}`, 1), "found 1e0, expected a whole number"},
		{"34 a shape of 2^64", file(`{`+one("a", "U8", "[18446744073709551616]", 0, 0)+`}`, 0), "found 18446744073709551616"},
		{"34 a shape of text", file(`{`+one("a", "U8", `["1"]`, 0, 1)+`}`, 1), `found "1", expected a whole number`},
		{"34 17 dimensions", file(`{`+one("a", "U8", "[1"+strings.Repeat(",1", 16)+"]", 0, 1)+`}`, 1), "more than 16 numbers"},
		{"34 3 offsets", file(`{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0,0]}}`, 0), "more than 2 numbers"},
		{"34 1 offset", file(`{"a":{"dtype":"U8","shape":[0],"data_offsets":[0]}}`, 0), "1 data_offsets, expected 2"},
		{"35 duplicate tensor", file(`{`+one("a", "U8", "[1]", 0, 1)+`,`+one("a", "U8", "[1]", 1, 2)+`}`, 2), `"a" appears twice`},
		{"35 duplicate tensor, escaped", file(`{`+one("a", "U8", "[1]", 0, 1)+`,"\u0061":{}}`, 2), `"a" appears twice`},
		{"35 duplicate field", file(`{"a":{"dtype":"U8","dtype":"U8","data_offsets":[0,0]}}`, 0), `"dtype" appears twice`},
		{"35 duplicate metadata", file(`{"__metadata__":{},"__metadata__":{}}`, 0), `appears twice`},
		{"36 overlap", file(`{`+one("a", "U8", "[4]", 0, 4)+`,`+one("b", "U8", "[4]", 3, 7)+`}`, 7), `tensor "b": data begins at byte 3 of the data section, where another tensor lies up to 4`},
		{"36 two names for the same bytes", file(`{`+one("a", "U8", "[4]", 0, 4)+`,`+one("b", "U8", "[4]", 0, 4)+`}`, 4), "where another tensor lies"},
		{"36 hole", file(`{`+one("a", "U8", "[4]", 0, 4)+`,`+one("b", "U8", "[4]", 5, 9)+`}`, 9), "nothing claims the bytes from 4 on"},
		{"36 hole at the start", file(`{`+one("a", "U8", "[4]", 1, 5)+`}`, 5), "nothing claims the bytes from 0 on"},
		{"36 trailing bytes", file(`{`+one("a", "U8", "[4]", 0, 4)+`}`, 5), "1 bytes at its end that no tensor claims"},
		{"36 data and no tensors", file(`{}`, 5), "5 bytes at its end"},
		{"36 data beyond the file", file(`{`+one("a", "U8", "[4]", 0, 4)+`}`, 3), "data ends at byte 4 of the data section, which has 3"},
		{"37 shape larger than the span", file(`{`+one("a", "F32", "[2]", 0, 4)+`}`, 4), "expected 8 bytes for shape [2] of F32"},
		{"37 shape smaller than the span", file(`{`+one("a", "F32", "[]", 0, 8)+`}`, 8), "expected 4 bytes for shape [] of F32"},
		{"37 offsets reversed", file(`{`+one("a", "U8", "[4]", 4, 0)+`}`, 4), "data_offsets [4, 0]"},
		{"37 elements overflow", file(`{`+one("a", "U8", "[4294967296,4294967296]", 0, 0)+`}`, 0), "overflows"},
		{"37 bytes overflow", file(`{`+one("a", "F32", "[4611686018427387904]", 0, 0)+`}`, 0), "overflows"},
		{"37 elements overflow, then zero", file(`{`+one("a", "U8", "[4294967296,4294967296,0]", 0, 0)+`}`, 0), "overflows"},
		{"37 2^63-1 bytes", file(`{`+one("a", "U8", "[9223372036854775807]", 0, 1<<63-1)+`}`, 8), "data ends at byte 9223372036854775807"},
		{"38 unknown dtype", file(`{`+one("a", "F12", "[4]", 0, 4)+`}`, 4), `unknown dtype "F12"`},
		{"38 dtype that is a number", file(`{"a":{"dtype":1,"shape":[0],"data_offsets":[0,0]}}`, 0), "found 1, expected a string"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := read(test.file)
			require.Error(t, err)
			assert.Contains(t, err.Error(), test.want)
			assert.True(t, strings.HasPrefix(err.Error(), "x.safetensors: at byte "), err)
			assert.NotContains(t, err.Error(), "\n")
		})
	}
}
