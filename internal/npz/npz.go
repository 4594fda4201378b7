// Package npz reads numpy's .npz files, zip archives of .npy arrays, as jax's checkpoints come.
package npz

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/clipgo/clipgo/internal/checkpoint"
	"github.com/clipgo/clipgo/internal/ziparchive"
)

// Open opens the file at path and reads the headers of its arrays.
func Open(path string) (*checkpoint.Set, error) { return checkpoint.Open(path, Read) }

// Read reads the headers of the arrays in a file of size bytes; name stands for it in errors. The arrays lose their ".npy".
func Read(r io.ReaderAt, size int64, name string) (*checkpoint.Set, error) {
	entries, err := ziparchive.Read(r, size, name)
	if err != nil {
		return nil, err
	}
	set := &checkpoint.Set{}
	for _, e := range entries {
		array, ok := strings.CutSuffix(e.Name, ".npy")
		if !ok {
			return nil, fmt.Errorf("%s: entry %.80q is no .npy array", name, e.Name)
		}
		t, err := readEntry(r, size, e, name)
		if err != nil {
			return nil, fmt.Errorf("%s: entry %.80q: %w", name, e.Name, err)
		}
		t.Name, t.File = array, name
		if err := set.Add(t); err != nil {
			return nil, err
		}
	}
	return set, nil
}

// readEntry reads the header of the array in e, an entry of the archive r of size bytes.
func readEntry(r io.ReaderAt, size int64, e *zip.File, name string) (*checkpoint.Tensor, error) {
	if e.Method == zip.Store {
		stored, err := ziparchive.OpenStored(r, size, e, name)
		if err != nil {
			return nil, err
		}
		// To compare all checksums here would be to read the whole file once more.
		return readArray(stored.Unchecked(), stored, e.UncompressedSize64)
	}
	s := &stream{entry: e}
	defer s.rewind() // one open decompressor per array would take much memory
	return readArray(s, s, e.UncompressedSize64)
}

// readArray reads the header of an array of size bytes, and checks that just the data follows that it announces.
func readArray(start, r io.ReaderAt, size uint64) (*checkpoint.Tensor, error) {
	h, err := readHeader(io.NewSectionReader(start, 0, int64(size)))
	if err != nil {
		return nil, err
	}
	bytes, ok := checkpoint.Bytes(h.dtype, h.shape)
	if !ok {
		return nil, fmt.Errorf("size of shape %v of %s overflows", h.shape, h.dtype)
	}
	if left := size - uint64(h.size); uint64(bytes) != left {
		return nil, fmt.Errorf("%d bytes of data, expected %d for shape %v of %s", left, bytes, h.shape, h.dtype)
	}
	data := io.NewSectionReader(r, h.size, bytes)
	n := uint64(bytes) / uint64(h.dtype.Size())
	view, err := checkpoint.View(data, n, h.dtype, 0, h.shape, h.strides())
	if err != nil {
		return nil, err
	}
	return &checkpoint.Tensor{DType: h.dtype, Shape: h.shape, Data: view}, nil
}

// stream unpacks a deflated entry from its start on. To go back is to begin again; those who read in order
// never do. The checksum is compared when the last byte has been read.
type stream struct {
	entry *zip.File

	mu  sync.Mutex
	r   io.ReadCloser // nil before the first byte and after the last
	pos int64         // of r
}

func (s *stream) ReadAt(b []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.read(b, off)
	if err != nil && !errors.Is(err, io.EOF) {
		s.rewind()
	}
	return n, err
}

func (s *stream) read(b []byte, off int64) (int, error) {
	if s.r == nil || off < s.pos {
		s.rewind()
		r, err := s.entry.Open()
		if err != nil {
			return 0, err
		}
		s.r = r
	}
	skipped, err := io.CopyN(io.Discard, s.r, off-s.pos)
	s.pos += skipped
	if err != nil {
		return 0, err
	}
	n, err := io.ReadFull(s.r, b)
	s.pos += int64(n)
	if err == nil && uint64(s.pos) == s.entry.UncompressedSize64 {
		// Only the end of the file makes the zip reader compare the checksum.
		if _, err := io.CopyN(io.Discard, s.r, 1); err == nil {
			return 0, errors.New("unpacks to more bytes than the directory says")
		} else if !errors.Is(err, io.EOF) {
			return 0, err
		}
		s.rewind()
	}
	return n, err
}

func (s *stream) rewind() {
	if s.r != nil {
		s.r.Close()
	}
	s.r, s.pos = nil, 0
}

// strides returns how many elements lie between neighbours along each dimension.
func (h header) strides() []uint64 {
	strides := make([]uint64, len(h.shape))
	order := make([]int, len(h.shape))
	for i := range order {
		order[i] = i
	}
	if !h.fortran {
		slices.Reverse(order)
	}
	step := uint64(1)
	for _, i := range order {
		strides[i] = step
		step *= h.shape[i]
	}
	return strides
}
