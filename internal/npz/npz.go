// Package npz reads numpy's .npz files, zip archives of .npy arrays, as jax's checkpoints come.
package npz

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/clipgo/clipgo/internal/checkpoint"
	"github.com/clipgo/clipgo/internal/ziparchive"
)

// File is an open .npz file.
type File struct {
	name    string
	file    *os.File // nil for NewReader
	names   []string
	tensors map[string]*checkpoint.Tensor
}

// Open opens the file at path and reads the headers of its arrays.
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

// NewReader reads the headers of the arrays in a file of size bytes; name stands for it in errors.
func NewReader(r io.ReaderAt, size int64, name string) (*File, error) {
	entries, err := ziparchive.Read(r, size, name)
	if err != nil {
		return nil, err
	}
	f := &File{name: name, tensors: make(map[string]*checkpoint.Tensor, len(entries))}
	for _, e := range entries {
		array, ok := strings.CutSuffix(e.Name, ".npy")
		if !ok {
			return nil, fmt.Errorf("%s: entry %.80q is no .npy array", name, e.Name)
		}
		t, err := readArray(e)
		if err != nil {
			return nil, fmt.Errorf("%s: entry %.80q: %w", name, e.Name, err)
		}
		t.Name, t.File = array, name
		f.names = append(f.names, array)
		f.tensors[array] = t
	}
	return f, nil
}

// readArray reads the header of the array in e, and checks that the entry has just the data that it announces.
func readArray(e *zip.File) (*checkpoint.Tensor, error) {
	s := &stream{entry: e}
	defer s.rewind() // one open decompressor per array would take much memory
	h, err := readHeader(io.NewSectionReader(s, 0, int64(e.UncompressedSize64)))
	if err != nil {
		return nil, err
	}
	bytes, ok := checkpoint.Bytes(h.dtype, h.shape)
	if !ok {
		return nil, fmt.Errorf("size of shape %v of %s overflows", h.shape, h.dtype)
	}
	if left := e.UncompressedSize64 - uint64(h.size); uint64(bytes) != left {
		return nil, fmt.Errorf("%d bytes of data, expected %d for shape %v of %s", left, bytes, h.shape, h.dtype)
	}
	data := io.NewSectionReader(s, h.size, bytes)
	n := uint64(bytes) / uint64(h.dtype.Size())
	view, err := checkpoint.View(data, n, h.dtype, 0, h.shape, h.strides())
	if err != nil {
		return nil, err
	}
	return &checkpoint.Tensor{DType: h.dtype, Shape: h.shape, Data: view}, nil
}

// stream reads an entry, stored or deflated, from its start on. To go back is to begin again; those who read in order
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

// Names returns the names of the arrays in file order, without ".npy".
func (f *File) Names() []string { return f.names }

// Tensor finds an array by name.
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
