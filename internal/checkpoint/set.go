package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// Set is the tensors of one file, or of several that belong together. The zero value is an empty one.
type Set struct {
	names   []string
	tensors map[string]*Tensor
	files   []io.Closer
}

// Open opens the file at path, whose tensors read finds; its arguments are the file, its size in bytes, and its name for errors.
func Open(path string, read func(r io.ReaderAt, size int64, name string) (*Set, error)) (*Set, error) {
	file, size, err := OpenFile(path)
	if err != nil {
		return nil, err
	}
	s, err := read(file, size, path)
	if err != nil {
		file.Close()
		return nil, err
	}
	s.files = append(s.files, file)
	return s, nil
}

// Add adds a tensor behind the others. That a name comes twice is an error.
func (s *Set) Add(t *Tensor) error {
	if other, ok := s.tensors[t.Name]; ok {
		return fmt.Errorf("%s: tensor %.80q appears twice, also in %s", t.File, t.Name, other.File)
	}
	if s.tensors == nil {
		s.tensors = map[string]*Tensor{}
	}
	s.names = append(s.names, t.Name)
	s.tensors[t.Name] = t
	return nil
}

// Names returns the names of the tensors in the order in which they were added.
func (s *Set) Names() []string { return s.names }

// Tensor finds a tensor by name.
func (s *Set) Tensor(name string) (*Tensor, bool) {
	t, ok := s.tensors[name]
	return t, ok
}

// Close closes the files. Closing twice is harmless.
func (s *Set) Close() error {
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.Close())
	}
	s.files = nil
	return errors.Join(errs...)
}

// Split replaces a tensor by the parts of its first dimension, limit at most; part names the i-th.
func (s *Set) Split(name string, limit int, part func(i int) string) error {
	t, ok := s.tensors[name]
	if !ok {
		return fmt.Errorf("tensor %.80q is missing", name)
	}
	if len(t.Shape) == 0 || t.Shape[0] < 1 || t.Shape[0] > uint64(limit) {
		return fmt.Errorf("%s: tensor %.80q has shape %v, expected 1 to %d parts along its first dimension", t.File, name, t.Shape, limit)
	}
	at := slices.Index(s.names, name)
	s.names = slices.Delete(s.names, at, at+1)
	delete(s.tensors, name)
	n := int(t.Shape[0])
	size := int64(t.Elements()) * int64(t.DType.Size()) / int64(n) // the whole fits into a file
	for i := range n {
		err := s.Add(&Tensor{
			Name: part(i), File: t.File, DType: t.DType, Shape: t.Shape[1:], Data: io.NewSectionReader(t.Data, int64(i)*size, size),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Own makes Close close a file too.
func (s *Set) Own(f io.Closer) { s.files = append(s.files, f) }
