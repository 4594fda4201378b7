package checkpoint

import (
	"errors"
	"fmt"
	"io"
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
