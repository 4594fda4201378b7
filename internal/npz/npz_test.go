package npz

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clipgo/clipgo/internal/checkpoint"
	"github.com/clipgo/clipgo/internal/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What numpy saved is what we read. tools/checkpoint-goldens/make.py wrote the files and what they hold.
func TestMatchesNumpy(t *testing.T) {
	for _, name := range []string{"stored", "deflated"} {
		t.Run(name, func(t *testing.T) {
			var want map[string]struct {
				DType string
				Shape []uint64
				CRC32 uint32
			}
			b, err := os.ReadFile(filepath.Join("testdata", name+".json"))
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(b, &want))
			f, err := Open(filepath.Join("testdata", name+".npz"))
			require.NoError(t, err)
			defer f.Close()
			assert.Len(t, f.Names(), len(want))
			for name, w := range want {
				tensor, ok := f.Tensor(name)
				require.True(t, ok, name)
				assert.Equal(t, w.DType, tensor.DType.String(), name)
				assert.Equal(t, w.Shape, tensor.Shape, name)
				var b []byte
				if tensor.DType.Float() {
					whole := make([]float32, tensor.Elements())
					require.NoError(t, tensor.ReadFloat32(whole, 0))
					for _, v := range whole {
						b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
					}
					// In pieces, forwards and back.
					pieces := make([]float32, len(whole))
					for i := 0; i < len(pieces); i += 999 {
						require.NoError(t, tensor.ReadFloat32(pieces[i:min(i+999, len(pieces))], uint64(i)))
					}
					assert.Equal(t, bits(whole), bits(pieces), name)
					for i := len(pieces) - 1; i >= 0 && i > len(pieces)-20; i-- {
						require.NoError(t, tensor.ReadFloat32(pieces[i:i+1], uint64(i)))
					}
					assert.Equal(t, bits(whole), bits(pieces), name)
				} else {
					b = make([]byte, tensor.Elements()*uint64(tensor.DType.Size()))
					_, err := tensor.Data.ReadAt(b, 0)
					require.NoError(t, err)
				}
				assert.Equal(t, w.CRC32, crc32.ChecksumIEEE(b), name)
			}
			require.NoError(t, f.Close())
		})
	}
}

func bits(list []float32) []uint32 {
	out := make([]uint32, len(list))
	for i, v := range list {
		out[i] = math.Float32bits(v)
	}
	return out
}

func TestShared(t *testing.T) {
	f, err := Open(testutil.Shared(t, "data", "safetensors", "test.npz"))
	require.NoError(t, err)
	defer f.Close()
	assert.NotEmpty(t, f.Names())
}

// npy puts an array of version 1 together.
func npy(header string, data int) string {
	b := binary.LittleEndian.AppendUint16([]byte(npyMagic+"\x01\x00"), uint16(len(header)))
	return string(b) + header + strings.Repeat("\x01", data)
}

func archive(t testing.TB, method uint16, names ...string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(names); i += 2 {
		out, err := w.CreateHeader(&zip.FileHeader{Name: names[i], Method: method})
		require.NoError(t, err)
		_, err = out.Write([]byte(names[i+1]))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

func read(b []byte) (*checkpoint.Set, error) {
	return Read(bytes.NewReader(b), int64(len(b)), "x.npz")
}

const vector = "{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }\n"

func TestHeaderAttacks(t *testing.T) {
	dict := func(descr, order, shape string) string {
		return fmt.Sprintf("{'descr': %s, 'fortran_order': %s, 'shape': %s, }   \n", descr, order, shape)
	}
	for _, test := range []struct{ array, want string }{
		{"", "reading the magic"},
		{"\x93NUMP", "reading the magic"},
		{"\x93NUMPZ\x01\x00\x00\x00", "starts with"},
		{npyMagic + "\x04\x00\x00\x00", "version 4"},
		{npyMagic + "\x01\x00\xff", "reading the length"},
		{npyMagic + "\x01\x00\xff\x00{", "reading the header of 255 bytes"},
		{npyMagic + "\x02\x00\xff\xff\xff\xff", "a header of 4294967295 bytes, expected 65536"},
		{npy("", 0), "expected {"},
		{npy("{}", 0), "lacks descr"},
		{npy("{'descr': '<f4'}", 4), "lacks"},
		{npy(dict("'>f4'", "False", "(1,)"), 4), `elements of type ">f4"`},
		{npy(dict("'|O'", "False", "(1,)"), 8), `elements of type "|O"`},
		{npy(dict("[('a', '<f4')]", "False", "(1,)"), 8), "expected a name in quotes"},
		{npy("{'descr': '<f4", 8), "expected a closing quote"},
		{npy(dict("'<f4'", "0", "(1,)"), 4), "expected True or False"},
		{npy(dict("'<f4'", "False", "4"), 16), "expected ("},
		{npy(dict("'<f4'", "False", "(-1,)"), 16), "expected a whole number"},
		{npy(dict("'<f4'", "False", "(1.0,)"), 16), "expected , or )"},
		{npy(dict("'<f4'", "False", "(,)"), 16), "expected a whole number"},
		{npy(dict("'<f4'", "False", "(18446744073709551616,)"), 16), "expected a whole number"},
		{npy(dict("'<f4'", "False", "(4294967296,4294967296)"), 16), "overflows"},
		{npy(dict("'<f4'", "False", "(4611686018427387904,)"), 16), "overflows"},
		{npy(dict("'<f4'", "False", "("+strings.Repeat("1,", 17)+")"), 4), "more than 16 dimensions"},
		{npy(dict("'<f4'", "False", "(5,)"), 16), "16 bytes of data, expected 20"},
		{npy(dict("'<f4'", "False", "()"), 8), "8 bytes of data, expected 4"},
		{npy(dict("'<f4'", "False", "(1,), 'shape': (1,)"), 4), `"shape" appears twice`},
		{npy(dict("'<f4'", "False", "(1,), 'more': 1"), 4), `unknown key "more"`},
		{npy(vector+"x", 16), "expected its end"},
		{npy("{'descr': '<f4' 'shape': (4,)}", 16), "expected , or }"},
		{npy("{'descr' '<f4'}", 16), "expected :"},
	} {
		for _, method := range []uint16{zip.Store, zip.Deflate} {
			_, err := read(archive(t, method, "a.npy", test.array))
			require.Error(t, err, "%q", test.array)
			assert.Contains(t, err.Error(), `x.npz: entry "a.npy": `)
			assert.Contains(t, err.Error(), test.want)
			assert.NotContains(t, err.Error(), "\n")
		}
	}
}

// Attack 40, for a format that may compress.
func TestAttack40Archive(t *testing.T) {
	good := npy(vector, 16)
	for want, file := range map[string][]byte{
		`"a.npy" appears twice`:      archive(t, zip.Store, "a.npy", good, "a.npy", good),
		`"a.txt" is no .npy array`:   archive(t, zip.Store, "a.txt", good),
		"lead out of a folder":       archive(t, zip.Store, "../a.npy", good),
		"looks like a zip bomb":      archive(t, zip.Deflate, "a.npy", npy(vector, 100<<20)),
		"truncated, or no zip archi": archive(t, zip.Store, "a.npy", good)[:100],
	} {
		_, err := read(file)
		assert.ErrorContains(t, err, want)
	}

	// A bomb whose directory lies about its size.
	file := archive(t, zip.Deflate, "a.npy", npy(vector, 1<<20))
	directory := bytes.LastIndex(file, []byte("a.npy")) - 46
	binary.LittleEndian.PutUint32(file[directory+24:], uint32(len(good)))
	f, err := read(file)
	if err == nil {
		a, _ := f.Tensor("a")
		err = a.ReadFloat32(make([]float32, 4), 0)
	}
	assert.Error(t, err)

	file = archive(t, zip.Store, "a.npy", good)
	file[bytes.LastIndex(file, []byte("\x01\x01\x01\x01"))]++
	f, err = read(file)
	require.NoError(t, err)
	a, _ := f.Tensor("a")
	for range 2 {
		assert.ErrorContains(t, a.ReadFloat32(make([]float32, 4), 0), `x.npz: entry "a.npy" has checksum`)
	}
}

func FuzzReader(f *testing.F) {
	for _, name := range []string{"stored", "deflated"} {
		b, err := os.ReadFile("testdata/" + name + ".npz")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(archive(f, zip.Store, "a.npy", npy(vector, 16)))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := read(b)
		if err != nil {
			return
		}
		for _, name := range file.Names() {
			tensor, _ := file.Tensor(name)
			_ = tensor.ReadFloat32(make([]float32, min(tensor.Elements(), 1<<20)), 0)
		}
	})
}

func FuzzHeader(f *testing.F) {
	f.Add(vector)
	f.Add("{'shape': (), 'fortran_order': True, 'descr': '|V2'}")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parseHeader(text)
		if err == nil && (len(h.shape) > maxDims || h.dtype.Size() == 0) {
			t.Fatalf("%q gave %+v", text, h)
		}
	})
}
