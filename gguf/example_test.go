package gguf_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"github.com/clipgo/clipgo/gguf"
)

func Example() {
	dir, err := os.MkdirTemp("", "gguf")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "small.gguf")

	w := gguf.NewWriter()
	if err := w.Set("general.architecture", "clip"); err != nil {
		log.Fatal(err)
	}
	// A matrix of [2, 3], rows first as in Python: the row length, 3, comes first here.
	if err := w.AddTensor("m.weight", gguf.F32, []uint64{3, 2}); err != nil {
		log.Fatal(err)
	}
	err = w.WriteFile(path, func(t gguf.TensorInfo, w io.Writer) error {
		return binary.Write(w, binary.LittleEndian, []float32{1, 2, 3, 4, 5, 6})
	})
	if err != nil {
		log.Fatal(err)
	}

	f, err := gguf.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	architecture, err := f.String("general.architecture")
	if err != nil {
		log.Fatal(err)
	}
	eps, err := f.FloatOr("clip.text.attention.layer_norm_epsilon", 1e-5)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(architecture, eps)
	for _, t := range f.Tensors() {
		fmt.Println(t.Name, t.Dims, t.Type, t.Bytes)
	}
	// Output:
	// clip 1e-05
	// m.weight [3 2] F32 24
}
