package gguf

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
)

// FuzzReader checks that a file is refused, or that everything it promises is there, and that it comes out of a Writer
// with the same keys and tensors.
func FuzzReader(f *testing.F) {
	seed, err := os.ReadFile("testdata/gguf-py.gguf")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(header(0, 0)))
	f.Add([]byte(header(1, 0).tensor("t", Q4_0, 0, 32, 2).align(32).zeros(36)))
	f.Add([]byte(header(0, 2).key("k").array(kindString).u64(2).str("a").str("b").key("l").typ(kindBool).u8(1)))
	f.Add([]byte(header(2, 1).key(alignmentKey).typ(kindUint32).u32(8).tensor("t", F32, 0, 1).tensor("u", F16, 8, 1, 1, 1, 2).align(8).zeros(12)))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := read(b)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("error of several lines: %v", err)
			}
			return
		}
		w := NewWriter()
		for _, key := range file.Keys() {
			v, err := file.Value(key)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Set(key, v); err != nil {
				t.Fatal(err)
			}
		}
		for _, info := range file.Tensors() {
			if info.Offset < file.DataOffset() || info.Offset+info.Bytes > file.Size() || info.Offset%file.Alignment() != 0 {
				t.Fatalf("tensor outside of the file: %+v", info)
			}
			if err := w.AddTensor(info.Name, info.Type, info.Dims); err != nil {
				t.Fatal(err)
			}
		}
		var again bytes.Buffer
		err = w.Write(&again, func(info TensorInfo, w io.Writer) error {
			data, err := file.ReadTensor(info.Name)
			if err == nil {
				_, err = w.Write(data)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		// The padding may hold anything, so compare what is not padding: the head, and each tensor.
		copied, err := read(again.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if copied.DataOffset() != file.DataOffset() {
			t.Fatalf("data at %d, was at %d", copied.DataOffset(), file.DataOffset())
		}
		for i, info := range file.Tensors() {
			was, _ := file.ReadTensor(info.Name)
			is, err := copied.ReadTensor(copied.Tensors()[i].Name)
			if err != nil || !bytes.Equal(was, is) {
				t.Fatalf("tensor %q differs (%v)", info.Name, err)
			}
		}
	})
}
