package safetensors

import (
	"strings"
	"testing"
)

// FuzzReader checks that a file is refused, or that every tensor can be read to its end.
func FuzzReader(f *testing.F) {
	f.Add(file(`{}`, 0))
	f.Add(file(`{"__metadata__":{"format":"pt"},`+one("a", "F16", "[2,3]", 0, 12)+`,`+one("b", "F64", "[]", 12, 20)+`}`, 20))
	f.Add(file(`{`+one("a", "U8", "[4]", 0, 4)+`,`+one("\U0001f431", "BF16", "[0]", 4, 4)+`}  `, 4))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := read(b)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("error of several lines: %v", err)
			}
			return
		}
		claimed := uint64(0)
		for _, name := range file.Names() {
			tensor, ok := file.Tensor(name)
			if !ok {
				t.Fatalf("no tensor %q", name)
			}
			n := tensor.Elements()
			claimed += n * uint64(tensor.DType.Size())
			if claimed > uint64(len(b)) {
				t.Fatalf("%d bytes of tensors in a file of %d", claimed, len(b))
			}
			if err := tensor.ReadFloat32(make([]float32, n), 0); err != nil && tensor.DType.Float() {
				t.Fatal(err)
			}
		}
	})
}
