// Package safetensors reads safetensors files.
//
// A file is the length of a header, eight bytes; the header, in JSON; and the data of the tensors, which must fill the
// rest without gap or overlap.
package safetensors

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/clipgo/clipgo/internal/checkpoint"
)

const (
	maxHeaderBytes = 100_000_000
	maxTensors     = 1 << 18 // far above any model's count
	maxDims        = 16      // of a tensor, likewise
)

// Open opens the file at path and reads its header.
func Open(path string) (*checkpoint.Set, error) { return checkpoint.Open(path, Read) }

// Read reads the header of a file of size bytes; name stands for it in errors.
func Read(r io.ReaderAt, size int64, name string) (*checkpoint.Set, error) {
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
	return place(r, entries, 8+int64(n), size, name)
}

// place checks that the entries fill the data section, which lies between start and size, and returns their tensors in
// the order of their data.
func place(r io.ReaderAt, entries []entry, start, size int64, name string) (*checkpoint.Set, error) {
	// An empty tensor lies before the one that begins at the same place.
	slices.SortStableFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end))
	})
	set := &checkpoint.Set{}
	total, end := uint64(size-start), uint64(0)
	for _, e := range entries {
		field := fmt.Sprintf("tensor %.80q", e.name)
		bytes, ok := checkpoint.Bytes(e.dtype, e.shape)
		switch {
		case !ok:
			return nil, checkpoint.Errorf(name, e.at, field, "size of shape %v of %s overflows", e.shape, e.dtype)
		case e.end < e.begin || e.end-e.begin != uint64(bytes):
			return nil, checkpoint.Errorf(name, e.at, field, "data_offsets [%d, %d], expected %d bytes for shape %v of %s", e.begin, e.end, bytes, e.shape, e.dtype)
		case e.end > total:
			return nil, checkpoint.Errorf(name, e.at, field, "data ends at byte %d of the data section, which has %d", e.end, total)
		case e.begin < end:
			return nil, checkpoint.Errorf(name, e.at, field, "data begins at byte %d of the data section, where another tensor lies up to %d", e.begin, end)
		case e.begin > end:
			return nil, checkpoint.Errorf(name, e.at, field, "data begins at byte %d of the data section, and nothing claims the bytes from %d on", e.begin, end)
		}
		end = e.end
		if err := set.Add(&checkpoint.Tensor{
			Name: e.name, File: name, DType: e.dtype, Shape: e.shape,
			Data: io.NewSectionReader(r, start+int64(e.begin), bytes),
		}); err != nil {
			return nil, err
		}
	}
	if end != total {
		return nil, checkpoint.Errorf(name, start+int64(end), "data section", "%d bytes at its end that no tensor claims", total-end)
	}
	return set, nil
}

func readAt(r io.ReaderAt, b []byte, at int64, name string) error {
	if n, err := r.ReadAt(b, at); n < len(b) {
		return fmt.Errorf("%s: at byte %d: reading the header: %w", name, at, err)
	}
	return nil
}
