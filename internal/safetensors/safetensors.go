// Package safetensors reads safetensors files, alone or sharded under an index.
//
// A file is the length of a header, eight bytes; the header, in JSON; and the data of the tensors, which must fill the
// rest without gap or overlap.
package safetensors

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/clipgo/clipgo/internal/checkpoint"
)

const (
	maxHeaderBytes = 100_000_000
	maxTensors     = 1 << 18 // far above any model's count
	maxDims        = 16      // of a tensor, likewise
)

// File is an open safetensors file.
type File struct {
	name    string
	file    *os.File // nil for NewReader
	names   []string
	tensors map[string]*checkpoint.Tensor
}

// Open opens the file at path and reads its header.
func Open(path string) (*File, error) {
	file, size, err := checkpoint.OpenFile(path)
	if err != nil {
		return nil, err
	}
	f, err := NewReader(file, size, path)
	if err != nil {
		file.Close()
		return nil, err
	}
	f.file = file
	return f, nil
}

// NewReader reads the header of a file of size bytes; name stands for it in errors.
func NewReader(r io.ReaderAt, size int64, name string) (*File, error) {
	var length [8]byte
	if size < int64(len(length)) {
		return nil, checkpoint.Errorf(name, 0, "header length", "the file has %d bytes, expected 8 at least", size)
	}
	if err := readAt(r, length[:], 0, name); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint64(length[:])
	if n > maxHeaderBytes {
		return nil, checkpoint.Errorf(name, 0, "header length", "%d, expected %d at most: is this a safetensors file?", n, maxHeaderBytes)
	}
	if n > uint64(size-8) {
		return nil, checkpoint.Errorf(name, 0, "header length", "%d, but only %d bytes are left in the file", n, size-8)
	}
	header := make([]byte, n)
	if err := readAt(r, header, 8, name); err != nil {
		return nil, err
	}
	entries, err := parseHeader(header, name)
	if err != nil {
		return nil, err
	}
	f := &File{name: name, tensors: make(map[string]*checkpoint.Tensor, len(entries))}
	if err := f.place(r, entries, 8+int64(n), size); err != nil {
		return nil, err
	}
	return f, nil
}

// place checks that the entries fill the data section, which lies between start and size, and adds their tensors in
// the order of their data.
func (f *File) place(r io.ReaderAt, entries []entry, start, size int64) error {
	// An empty tensor lies before the one that begins at the same place.
	slices.SortStableFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end))
	})
	total, end := uint64(size-start), uint64(0)
	for _, e := range entries {
		field := fmt.Sprintf("tensor %.80q", e.name)
		bytes, ok := checkpoint.Bytes(e.dtype, e.shape)
		switch {
		case !ok:
			return checkpoint.Errorf(f.name, e.at, field, "size of shape %v of %s overflows", e.shape, e.dtype)
		case e.end < e.begin || e.end-e.begin != uint64(bytes):
			return checkpoint.Errorf(f.name, e.at, field, "data_offsets [%d, %d], expected %d bytes for shape %v of %s", e.begin, e.end, bytes, e.shape, e.dtype)
		case e.end > total:
			return checkpoint.Errorf(f.name, e.at, field, "data ends at byte %d of the data section, which has %d", e.end, total)
		case e.begin < end:
			return checkpoint.Errorf(f.name, e.at, field, "data begins at byte %d of the data section, where another tensor lies up to %d", e.begin, end)
		case e.begin > end:
			return checkpoint.Errorf(f.name, e.at, field, "data begins at byte %d of the data section, and nothing claims the bytes from %d on", e.begin, end)
		}
		end = e.end
		f.names = append(f.names, e.name)
		f.tensors[e.name] = &checkpoint.Tensor{
			Name: e.name, File: f.name, DType: e.dtype, Shape: e.shape,
			Data: io.NewSectionReader(r, start+int64(e.begin), bytes),
		}
	}
	if end != total {
		return checkpoint.Errorf(f.name, start+int64(end), "data section", "%d bytes at its end that no tensor claims", total-end)
	}
	return nil
}

func readAt(r io.ReaderAt, b []byte, at int64, name string) error {
	if n, err := r.ReadAt(b, at); n < len(b) {
		return fmt.Errorf("%s: at byte %d: reading the header: %w", name, at, err)
	}
	return nil
}

// Names returns the names of the tensors in the order of their data.
func (f *File) Names() []string { return f.names }

// Tensor finds a tensor by name.
func (f *File) Tensor(name string) (*checkpoint.Tensor, bool) {
	t, ok := f.tensors[name]
	return t, ok
}

// Close closes the file. Closing twice is harmless.
func (f *File) Close() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}
