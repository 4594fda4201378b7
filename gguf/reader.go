// Package gguf reads and writes GGUF files: ordered keys with values, and named tensors.
//
// A reader trusts nothing in a file: every length is compared with the file's size before it is used. What is wrong is
// told by a [FormatError] with the file, the place and the field.
package gguf

import (
	"fmt"
	"io"
	"io/fs"
	"os"
)

// File is an open GGUF file. Its methods may be called from several goroutines, Close excepted.
type File struct {
	name      string
	size      int64
	r         io.ReaderAt
	file      *os.File // nil for NewReader
	info      fs.FileInfo
	mapped    []byte
	version   uint32
	alignment int64
	dataStart int64
	keys      []string
	values    map[string]value
	tensors   []TensorInfo
	byName    map[string]int // index in tensors
}

// Open opens the file at path, reads its keys and its list of tensors, and maps it into memory where the system can.
func Open(path string) (*File, error) {
	// A pipe or a device would block or lie about its size; ask before opening.
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, &FormatError{path, -1, "file", fmt.Sprintf("is not a regular file (%s)", st.Mode().Type())}
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if st, err = file.Stat(); err != nil {
		file.Close()
		return nil, err
	}
	f, err := NewReader(file, st.Size(), path)
	if err != nil {
		file.Close()
		return nil, err
	}
	f.file, f.info = file, st
	f.mapped = mapFile(file, f.size)
	return f, nil
}

// NewReader reads the keys and the list of tensors of a file of size bytes; name stands for it in errors. r must stay
// readable for as long as the File is used.
func NewReader(r io.ReaderAt, size int64, name string) (*File, error) {
	f := &File{name: name, size: size, r: r, values: map[string]value{}, byName: map[string]int{}}
	if err := f.parse(); err != nil {
		return nil, err
	}
	return f, nil
}

// Close unmaps and closes the file. What Mapped returned must no longer be used. Closing twice is harmless.
func (f *File) Close() error {
	unmapFile(f.mapped)
	f.mapped = nil
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}

// Name returns the name given to Open or NewReader.
func (f *File) Name() string { return f.name }

// Info describes the file as it was before anything in it was read; nil for NewReader.
func (f *File) Info() fs.FileInfo { return f.info }

// Stat describes the file that was opened as it is now; nil for NewReader.
func (f *File) Stat() (fs.FileInfo, error) {
	if f.file == nil {
		return nil, nil
	}
	return f.file.Stat()
}

// Size returns the file's size in bytes.
func (f *File) Size() int64 { return f.size }

// Version returns the version of the format: 2 or 3, which are alike.
func (f *File) Version() int { return int(f.version) }

// Alignment returns the multiple in bytes, counted from DataOffset, at which every tensor starts.
func (f *File) Alignment() int64 { return f.alignment }

// DataOffset returns the offset of the first tensor's data from the start of the file.
func (f *File) DataOffset() int64 { return f.dataStart }

// Keys returns the keys in file order. The slice belongs to the File.
func (f *File) Keys() []string { return f.keys }

// Tensors returns the tensors in file order. The slice belongs to the File.
func (f *File) Tensors() []TensorInfo { return f.tensors }

// Tensor finds a tensor by name.
func (f *File) Tensor(name string) (TensorInfo, bool) {
	i, ok := f.byName[name]
	if !ok {
		return TensorInfo{}, false
	}
	return f.tensors[i], true
}

// TensorReader returns a reader of the data of the named tensor.
func (f *File) TensorReader(name string) (*io.SectionReader, error) {
	t, ok := f.Tensor(name)
	if !ok {
		return nil, &FormatError{f.name, -1, "tensor " + quote(name), "is missing"}
	}
	return io.NewSectionReader(f.r, t.Offset, t.Bytes), nil
}

// ReadTensor returns a copy of the data of the named tensor.
func (f *File) ReadTensor(name string) ([]byte, error) {
	r, err := f.TensorReader(name)
	if err != nil {
		return nil, err
	}
	data := make([]byte, r.Size())
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, fmt.Errorf("%s: reading tensor %s: %w", f.name, quote(name), err)
	}
	return data, nil
}

// Mapped returns the whole file as mapped into memory, or nil where it isn't. It is read-only: writing to it crashes
// the process. It dies with Close.
func (f *File) Mapped() []byte { return f.mapped }
