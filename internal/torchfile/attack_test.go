package torchfile

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"strings"
	"testing"

	"github.com/clipgo/clipgo/internal/checkpoint"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// entry is one of an archive that a test makes.
type entry struct {
	name, data string
	method     uint16
}

// archive writes entries with honest sizes and checksums, even names that occur twice.
func archive(t testing.TB, entries ...entry) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		out, err := w.CreateHeader(&zip.FileHeader{Name: e.name, Method: e.method})
		require.NoError(t, err)
		_, err = out.Write([]byte(e.data))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

func read(b []byte) (*checkpoint.Set, error) {
	return Read(bytes.NewReader(b), int64(len(b)), "x.pt")
}

// The pieces of a pickle. Each leaves one value on the stack.
func text(s string) string {
	return string(binary.LittleEndian.AppendUint32([]byte("X"), uint32(len(s)))) + s
}
func number(n int32) string { return string(binary.LittleEndian.AppendUint32([]byte("J"), uint32(n))) }
func numbers(list ...int32) string {
	s := "("
	for _, n := range list {
		s += number(n)
	}
	return s + "t"
}
func named(module, name string) string { return "c" + module + "\n" + name + "\n" }
func stored(typ, key string, n int32) string {
	return "(" + text("storage") + named("torch", typ) + text(key) + text("cpu") + number(n) + "tQ"
}
func rebuilt(storage string, offset int32, shape, strides string) string {
	return named("torch._utils", "_rebuild_tensor_v2") + "(" + storage + number(offset) + shape + strides + "\x89" + named("collections", "OrderedDict") + ")RtR"
}
func dictOf(items ...string) string { return "}(" + strings.Join(items, "") + "u" }
func program(value string) string   { return "\x80\x02" + value + "." }

// vector is a good tensor of 4 elements in storage 0.
var vector = rebuilt(stored("FloatStorage", "0", 4), 0, numbers(4), numbers(1))

// saved is a good archive but for the pickle.
func saved(t testing.TB, pickle string, more ...entry) []byte {
	return archive(t, append([]entry{{"x/data.pkl", pickle, zip.Store}, {"x/data/0", strings.Repeat("\x00\x00\x80\x3f", 4), zip.Store}}, more...)...)
}

func TestHandMadeFileIsGood(t *testing.T) {
	f, err := read(saved(t, program(dictOf(text("v"), vector))))
	require.NoError(t, err)
	v, ok := f.Tensor("v")
	require.True(t, ok)
	got := make([]float32, 4)
	require.NoError(t, v.ReadFloat32(got, 0))
	assert.Equal(t, []float32{1, 1, 1, 1}, got)
}

// zip64 writes entries as an archive beyond 4 GiB would have them: all sizes and offsets in 64-bit fields.
func zip64(entries ...entry) []byte {
	le := binary.LittleEndian
	var file, directory []byte
	for _, e := range entries {
		crc, size, offset := crc32.ChecksumIEEE([]byte(e.data)), uint64(len(e.data)), uint64(len(file))
		const all = 0xffffffff
		common := func(b []byte, extra int) []byte { // from the flags on to the length of the extra field
			b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
			b = le.AppendUint32(b, crc)
			b = le.AppendUint32(le.AppendUint32(b, all), all)
			return le.AppendUint16(le.AppendUint16(b, uint16(len(e.name))), uint16(extra))
		}
		file = append(common(append(file, "PK\x03\x04\x2d\x00"...), 20), e.name...)
		file = le.AppendUint64(le.AppendUint64(append(file, 1, 0, 16, 0), size), size)
		file = append(file, e.data...)
		directory = common(append(directory, "PK\x01\x02\x2d\x00\x2d\x00"...), 28)
		directory = le.AppendUint32(append(directory, make([]byte, 10)...), all)
		directory = append(append(directory, e.name...), 1, 0, 24, 0)
		directory = le.AppendUint64(le.AppendUint64(le.AppendUint64(directory, size), size), offset)
	}
	start, n := uint64(len(file)), uint64(len(entries))
	file = append(file, directory...)
	end := uint64(len(file))
	file = le.AppendUint64(append(file, "PK\x06\x06"...), 44)
	file = append(file, 45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	file = le.AppendUint64(le.AppendUint64(file, n), n)
	file = le.AppendUint64(le.AppendUint64(file, end-start), start)
	file = le.AppendUint64(append(file, "PK\x06\x07\x00\x00\x00\x00"...), end)
	file = le.AppendUint32(file, 1)
	file = append(file, "PK\x05\x06\x00\x00\x00\x00"...)
	return append(append(file, bytes.Repeat([]byte{0xff}, 12)...), 0, 0)
}

func TestZip64(t *testing.T) {
	f, err := read(zip64(entry{name: "x/data.pkl", data: program(dictOf(text("v"), vector))}, entry{name: "x/data/0", data: strings.Repeat("\x00\x00\x80\x3f", 4)}))
	require.NoError(t, err)
	v, _ := f.Tensor("v")
	got := make([]float32, 4)
	require.NoError(t, v.ReadFloat32(got, 0))
	assert.Equal(t, []float32{1, 1, 1, 1}, got)
}

func refused(t *testing.T, file []byte, want string) {
	t.Helper()
	_, err := read(file)
	require.Error(t, err)
	assert.Contains(t, err.Error(), want)
	assert.True(t, strings.HasPrefix(err.Error(), "x.pt: "), err)
	assert.NotContains(t, err.Error(), "\n")
}

// Attack 39: a pickle that names something to import, and would have it called.
func TestAttack39Globals(t *testing.T) {
	before := text("v") + vector + text("w")
	at := len("\x80\x02}(" + before)
	for _, name := range [][2]string{
		{"os", "system"}, {"posix", "system"}, {"builtins", "eval"}, {"__builtin__", "exec"}, {"torch", "load"}, {"torch", "hub"},
		{"torch._utils", "_rebuild_tensor"}, {"torch._utils", "_rebuild_tensor_v2.x"}, {"torch.nn", "Linear"}, {"collections", "OrderedDict "},
		{"", ""}, {"torch.storage", "_load_from_bytes"}, {"__torch__x", "y"}, {"x__torch__.y", "z"}, {"numpy", "load"},
	} {
		refused(t, saved(t, program(dictOf(before, named(name[0], name[1])+"("+text("touch evil")+"tR"))),
			fmt.Sprintf("x/data.pkl: at byte %d: refused: it wants to import %q from %q", at, name[1], name[0]))
	}
	refused(t, saved(t, program(named("__torch__.a", "B")+"("+text("x")+"tR")), "__torch__.a.B with 1 arguments")
	refused(t, saved(t, program(named("__torch__.a", "B")+"("+text("x")+"t\x81")), "a new __torch__.a.B")
	refused(t, saved(t, program(named("torch", "Size")+")\x81")), "a new torch.Size")
	refused(t, saved(t, program(text("os")+text("system")+"\x93")), "opcode 0x93 is none")
	refused(t, saved(t, program("(ios\nsystem\n")), "opcode 0x69 is none")
	refused(t, saved(t, program("\x82\x01")), "opcode 0x82 is none")
}

// torch wrote this one, with a __reduce__ that runs a command.
func TestAttack39Evil(t *testing.T) {
	_, err := Open("testdata/evil.pt")
	assert.ErrorContains(t, err, `refused: it wants to import "system" from "posix"`)
	_, err = os.Stat("evil-was-here")
	assert.ErrorIs(t, err, os.ErrNotExist)
}

// Attack 40: the archive.
func TestAttack40Archive(t *testing.T) {
	good := program(dictOf(text("v"), vector))
	refused(t, saved(t, good, entry{"x/data/0", "other", zip.Store}), `entry "x/data/0" appears twice`)
	refused(t, saved(t, good, entry{"x/data.pkl", good, zip.Store}), `entry "x/data.pkl" appears twice`)
	refused(t, saved(t, good, entry{"y/data/0", "", zip.Store}), `entry "y/data/0" lies outside of the folder "x/"`)
	for _, name := range []string{"x/../../etc/passwd", "../x", "/x/y", "x//y", "x/./y", `x\..\y`, "c:x", ""} {
		refused(t, saved(t, good, entry{name, "", zip.Store}), "lead out of a folder")
	}
	refused(t, saved(t, good, entry{"x/bomb", strings.Repeat("\x00", 100<<20), zip.Deflate}), "looks like a zip bomb")
	refused(t, archive(t, entry{"x/data.pkl", good, zip.Deflate}), `"x/data.pkl" is compressed`)
	refused(t, archive(t, entry{"x/data.pkl", good, zip.Store}, entry{"x/data/0", strings.Repeat("\x00", 16), zip.Deflate}), `"x/data/0" is compressed`)
	refused(t, archive(t, entry{"x/data/0", "", zip.Store}), `entry "x/data.pkl" is missing`)
	refused(t, archive(t, entry{"x/data.pkl", good, zip.Store}), `entry "x/data/0" is missing`)
	refused(t, saved(t, good, entry{"x/byteorder", "big", zip.Store}), `byte order is "big"`)

	// Change a byte of the data, of the pickle, of the size in the directory.
	file := saved(t, good)
	at := bytes.Index(file, []byte("\x00\x00\x80\x3f"))
	file[at]++
	f, err := read(file)
	require.NoError(t, err)
	v, _ := f.Tensor("v")
	for range 2 {
		assert.ErrorContains(t, v.ReadFloat32(make([]float32, 4), 0), `x.pt: entry "x/data/0" has checksum`)
	}
	file = saved(t, good)
	file[bytes.Index(file, []byte("storage"))]++
	refused(t, file, `entry "x/data.pkl" has checksum`)
	file = saved(t, good)
	directory := bytes.LastIndex(file, []byte("x/data/0")) - 46
	binary.LittleEndian.PutUint32(file[directory+24:], 17)
	refused(t, file, "sizes differ: 16 and 17")
	binary.LittleEndian.PutUint32(file[directory+20:], 1<<30)
	refused(t, file, "takes 1073741824 bytes in a file of")
	binary.LittleEndian.PutUint32(file[directory+20:], 300)
	binary.LittleEndian.PutUint32(file[directory+24:], 300)
	refused(t, file, "beyond the file")
	file = saved(t, good)
	binary.LittleEndian.PutUint16(file[directory+8:], 1)
	refused(t, file, "is encrypted")
	file = saved(t, good)
	binary.LittleEndian.PutUint16(file[directory+10:], 12)
	refused(t, file, "method 12")
}

// Attack 41: views that leave their storage.
func TestAttack41Views(t *testing.T) {
	s := stored("FloatStorage", "0", 4)
	for _, test := range []struct{ tensor, want string }{
		{rebuilt(s, 1, numbers(4), numbers(1)), "reaches element 4 of 4 stored"},
		{rebuilt(s, 4, numbers(1), numbers(1)), "reaches element 4 of 4"},
		{rebuilt(s, 0, numbers(2), numbers(4)), "reaches element 4 of 4"},
		{rebuilt(s, 0, numbers(2, 2), numbers(3, 1)), "reaches element 4 of 4"},
		{rebuilt(s, -1, numbers(1), numbers(1)), "wrong offset"},
		{rebuilt(s, 3, numbers(4), numbers(-1)), "no tuple of at most 16 whole numbers"},
		{rebuilt(s, 0, numbers(-4), numbers(1)), "no tuple"},
		{rebuilt(s, 0, numbers(4), numbers(1, 1)), "2 strides for 1 dimensions"},
		{rebuilt(s, 0, numbers(5), numbers(0)), "expanded view"},
		{rebuilt(s, 0, numbers(1<<30, 1<<30, 1<<30), numbers(0, 0, 0)), "overflows"},
		{rebuilt(s, 0, numbers(1<<20, 1<<20), numbers(0, 0)), "expanded view"},
		{rebuilt(s, 0, "("+text("4")+"t", numbers(1)), "no tuple"},
		{rebuilt(s, 0, numbers(make([]int32, 17)...), numbers(make([]int32, 17)...)), "no tuple of at most 16"},
		{rebuilt(s, 0, "(\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7ft", numbers(1, 1)), "overflows"},
		{rebuilt(s, 0, numbers(2), "(\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7ft"), "reaches element 9223372036854775807"},
		{rebuilt(s, 1, numbers(3), "(\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7ft"), "reaches element 18446744073709551615"},
		{rebuilt(s, 2, numbers(3), "(\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7ft"), "overflows"},
		{rebuilt(stored("FloatStorage", "0", 5), 0, numbers(4), numbers(1)), "has 16 bytes, expected 5 elements of F32"},
		{rebuilt(stored("FloatStorage", "0", 3), 0, numbers(1), numbers(1)), "has 16 bytes, expected 3"},
		{rebuilt(stored("DoubleStorage", "0", 4), 0, numbers(4), numbers(1)), "has 16 bytes, expected 4 elements of F64"},
		{rebuilt(stored("FloatStorage", "0", -1), 0, numbers(1), numbers(1)), "wrong type, key or number"},
		{rebuilt(stored("FloatStorage", "../0", 4), 0, numbers(1), numbers(1)), `entry "x/data/../0" is missing`},
		{rebuilt(stored("Size", "0", 4), 0, numbers(1), numbers(1)), "wrong type"},
		{rebuilt(text("0"), 0, numbers(1), numbers(1)), "without a storage"},
	} {
		refused(t, saved(t, program(dictOf(text("v"), test.tensor))), test.want)
	}
}

// Attack 42: memo, stack, depth and size.
func TestAttack42Limits(t *testing.T) {
	refused(t, saved(t, program("h\x00")), "memo has no entry 0")
	refused(t, saved(t, program("j\xff\xff\xff\xff")), "memo has no entry 4294967295")
	refused(t, saved(t, program("u")), "no mark")
	refused(t, saved(t, program("}a")), "the stack is empty")
	refused(t, saved(t, program("]}}a")), "found a dict on the stack, expected a list")
	refused(t, saved(t, program("((t.")), "1 values left over")
	refused(t, saved(t, program("(")), "a mark is where a value should be")
	refused(t, saved(t, program("NN")), "1 values left over")
	refused(t, saved(t, program("")), "the stack is empty")
	refused(t, saved(t, program("}(Nu")), "a key without a value")
	refused(t, saved(t, program("Q")), "the stack is empty")
	refused(t, saved(t, program("NQ")), "found None on the stack, expected a tuple")
	refused(t, saved(t, program(")Q")), "a persistent id of 0 items")
	refused(t, saved(t, program("N}b")), "state for None")
	refused(t, saved(t, program("\x8a\x09123456789")), "an integer of 9 bytes")
	refused(t, saved(t, "\x80\x04."), "pickle protocol 4, expected 2")
	refused(t, saved(t, program(strings.Repeat("N", maxOpcodes))), "more than 1048576 opcodes")
	refused(t, saved(t, program(strings.Repeat("\x00", maxPickleBytes))), "expected 33554432 at most")
	refused(t, saved(t, program("c"+strings.Repeat("x", 2000)+"\ny\n")), "no line ends within 1000 bytes")

	deep := vector
	for range maxDepth + 1 {
		deep = dictOf(text("d"), deep)
	}
	refused(t, saved(t, program(deep)), "nests deeper than 64")
	// A dict that holds itself: EMPTY_DICT, BINPUT 0, MARK, "d", BINGET 0, SETITEMS.
	refused(t, saved(t, program("}q\x00("+text("d")+"h\x00u")), "nests deeper than 64")
	// Sixty dicts, each holding the one before twice: a billion billion paths.
	laughs := "}q\x00"
	for range 60 {
		laughs = "}(" + text("a") + laughs + text("b") + "h\x00uq\x00"
	}
	refused(t, saved(t, program(laughs)), "more than 262144 values")
	refused(t, saved(t, program(dictOf(text("v"), vector, text("v"), vector))), `tensor "v" appears twice`)
	refused(t, saved(t, program(dictOf(text("a.b"), vector, text("a"), dictOf(text("b"), vector)))), `tensor "a.b" appears twice`)
	refused(t, saved(t, program(dictOf(text("v"), number(1)))), "found a dict without tensors")
	refused(t, saved(t, program(number(1))), "found an integer without tensors")
}

// Attack 43: every truncation, of the file and of the pickle alone.
func TestAttack43Truncated(t *testing.T) {
	pickle := program(dictOf(text("v"), vector))
	whole := saved(t, pickle)
	for n := range len(whole) {
		_, err := read(whole[:n])
		require.Error(t, err, "%d bytes", n)
	}
	for n := range len(pickle) {
		_, err := unpickle([]byte(pickle[:n]))
		require.Error(t, err, "%d bytes", n)
		_, err = read(saved(t, pickle[:n]))
		require.Error(t, err, "%d bytes", n)
	}
	refused(t, whole[:100], "truncated, or no zip archive")
}

func TestOtherFormats(t *testing.T) {
	_, err := Open("testdata/legacy.pt")
	assert.ErrorContains(t, err, "torch before 1.6")
	assert.ErrorContains(t, err, "save its state dict again")
	refused(t, []byte("\x80\x04\x95"), "is a bare pickle")
	refused(t, []byte("GGUF...."), `starts with "GGUF", expected the zip archive`)
	refused(t, nil, "expected the zip archive")
	_, err = Open(t.TempDir())
	assert.ErrorContains(t, err, "is not a regular file")
}

// The values that a training checkpoint holds beside its tensors are read past.
func TestNumbers(t *testing.T) {
	for code, want := range map[string]any{
		"K\xff": int64(255), "M\xff\xff": int64(65535), "J\xff\xff\xff\xff": int64(-1), "\x8a\x00": int64(0), "\x8a\x01\xff": int64(-1),
		"\x8a\x02\x00\x80": int64(-32768), "\x8a\x03\x00\x80\x00": int64(32768), "G\x3f\xe0\x00\x00\x00\x00\x00\x00": 0.5, "N": nil, "\x88": true, "\x89": false,
	} {
		got, err := unpickle([]byte(program(code)))
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
}

func FuzzUnpickle(f *testing.F) {
	f.Add([]byte(program(dictOf(text("v"), vector))))
	f.Add([]byte(program("}q\x00(" + text("d") + "h\x00u")))
	f.Add([]byte(program(named("__torch__", "M") + ")\x81" + dictOf(text("v"), vector) + "b")))
	f.Add([]byte(program(named("torch._utils", "_rebuild_parameter") + "(" + vector + "\x88N" + "tR")))
	f.Add([]byte(program("](K\x01M\x02\x00\x8a\x01\xffG\x3f\xe0\x00\x00\x00\x00\x00\x00eNa")))
	f.Fuzz(func(t *testing.T, code []byte) {
		top, err := unpickle(code)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("error of several lines: %v", err)
			}
			return
		}
		// Collect without an archive: no storage is found, whatever else happens.
		reader := &file{name: "x.pt"}
		_ = reader.collect("", stateDict(top), 0)
	})
}

// FuzzReader repairs the checksum of the pickle's entry, so that changes get past it.
func FuzzReader(f *testing.F) {
	for _, name := range []string{"types", "training", "scripted", "evil"} {
		b, err := os.ReadFile("testdata/" + name + ".pt")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(saved(f, program(dictOf(text("v"), vector))))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bytes.Clone(b)
		repair(b)
		file, err := read(b)
		if err != nil {
			return
		}
		for _, name := range file.Names() {
			tensor, _ := file.Tensor(name)
			n := tensor.Elements()
			if n*uint64(tensor.DType.Size()) > uint64(len(b)) {
				t.Fatalf("%d elements of %s in a file of %d bytes", n, tensor.DType, len(b))
			}
			_ = tensor.ReadFloat32(make([]float32, n), 0)
		}
	})
}

func repair(b []byte) {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return
	}
	for _, e := range z.File {
		offset, err := e.DataOffset()
		if err != nil || e.CompressedSize64 > uint64(len(b)) || offset > int64(len(b))-int64(e.CompressedSize64) {
			continue
		}
		was := binary.LittleEndian.AppendUint32(nil, e.CRC32)
		is := binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(b[offset:offset+int64(e.CompressedSize64)]))
		if i := bytes.LastIndex(b, was); i >= 0 {
			copy(b[i:], is)
		}
	}
}
