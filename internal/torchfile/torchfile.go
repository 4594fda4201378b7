// Package torchfile reads the tensors of files written by torch.save, and of TorchScript archives, without Python and
// without running anything.
//
// Such a file is a zip archive: ROOT/data.pkl is a pickle, a program for a small stack machine that builds the state
// dict, and ROOT/data/KEY are the flat arrays that its tensors are views of. The pickle is run by a machine that knows
// the few opcodes and names which state dicts need, and refuses all others.
package torchfile

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/clipgo/clipgo/internal/checkpoint"
	"github.com/clipgo/clipgo/internal/ziparchive"
)

const (
	maxDims    = 16      // of a tensor
	maxDepth   = 64      // of dicts or modules within each other
	maxVisits  = 1 << 18 // of values on the way to the tensors: shared ones are met again on every path
	resaveHint = "load it with torch and save its state dict again, best as safetensors"
)

// Open opens the file at path and reads its state dict.
func Open(path string) (*checkpoint.Set, error) { return checkpoint.Open(path, Read) }

// Read reads the state dict of a file of size bytes; name stands for it in errors.
//
// The tensors are those of the outermost dict, or of what it holds under state_dict, model_state_dict or model. Dicts
// in dicts and modules in modules join their names with dots. The prefix "module." goes where all names have it.
func Read(r io.ReaderAt, size int64, name string) (*checkpoint.Set, error) {
	f := &file{name: name, r: r, size: size, entries: map[string]*zip.File{}, storages: map[string]*ziparchive.Stored{}}
	if err := f.checkMagic(); err != nil {
		return nil, err
	}
	if err := f.readDirectory(); err != nil {
		return nil, err
	}
	if err := f.checkByteOrder(); err != nil {
		return nil, err
	}
	pickle := f.root + "data.pkl"
	code, err := f.readEntry(pickle, maxPickleBytes)
	if err != nil {
		return nil, err
	}
	top, err := unpickle(code)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", name, pickle, err)
	}
	if err := f.collect("", stateDict(top), 0); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", name, pickle, err)
	}
	if len(f.tensors) == 0 {
		return nil, fmt.Errorf("%s: %s: found %s without tensors, expected a state dict", name, pickle, describe(top))
	}
	f.stripModule()
	set := &checkpoint.Set{}
	for _, t := range f.tensors {
		if err := set.Add(t); err != nil {
			return nil, err
		}
	}
	return set, nil
}

// file is a torch file while its state dict is read.
type file struct {
	name     string
	r        io.ReaderAt
	size     int64
	root     string // the archive's one folder, with a slash
	entries  map[string]*zip.File
	storages map[string]*ziparchive.Stored
	tensors  []*checkpoint.Tensor // in the order of the state dict
	visits   int
}

// checkMagic tells what isn't a zip archive by its first bytes.
func (f *file) checkMagic() error {
	const (
		zipMagic    = "PK\x03\x04"
		legacyMagic = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
	)
	head := make([]byte, len(legacyMagic))
	n, err := f.r.ReadAt(head, 0)
	if n < len(head) && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: reading its start: %w", f.name, err)
	}
	head = head[:n]
	switch {
	case bytes.HasPrefix(head, []byte(zipMagic)):
		return nil
	case string(head) == legacyMagic:
		return fmt.Errorf("%s: is in the format of torch before 1.6, which isn't read: %s", f.name, resaveHint)
	case n > 0 && head[0] == opProto:
		return fmt.Errorf("%s: is a bare pickle, which isn't read: %s", f.name, resaveHint)
	}
	return fmt.Errorf("%s: starts with %q, expected the zip archive that torch.save writes", f.name, head[:min(n, 4)])
}

func (f *file) readDirectory() error {
	entries, err := ziparchive.Read(f.r, f.size, f.name)
	if err != nil {
		return err
	}
	for _, e := range entries {
		root, rest, _ := strings.Cut(e.Name, "/")
		if f.root == "" {
			f.root = root + "/"
		}
		if root+"/" != f.root {
			return fmt.Errorf("%s: entry %.80q lies outside of the folder %.80q, expected one folder", f.name, e.Name, f.root)
		}
		f.entries[rest] = e
	}
	return nil
}

func (f *file) checkByteOrder() error {
	if f.entries["byteorder"] == nil {
		return nil // old files, which are little-endian
	}
	order, err := f.readEntry(f.root+"byteorder", 16)
	if err != nil {
		return err
	}
	if string(order) != "little" {
		return fmt.Errorf("%s: byte order is %q, expected \"little\"", f.name, order)
	}
	return nil
}

// readEntry reads a whole entry of at most limit bytes.
func (f *file) readEntry(name string, limit uint64) ([]byte, error) {
	e := f.entries[strings.TrimPrefix(name, f.root)]
	if e == nil {
		return nil, fmt.Errorf("%s: entry %.80q is missing: this is no file of torch.save", f.name, name)
	}
	if e.UncompressedSize64 > limit {
		return nil, fmt.Errorf("%s: entry %.80q has %d bytes, expected %d at most", f.name, name, e.UncompressedSize64, limit)
	}
	r, err := ziparchive.OpenStored(f.r, f.size, e, f.name)
	if err != nil {
		return nil, fmt.Errorf("%s: entry %.80q %w", f.name, name, err)
	}
	b := make([]byte, e.UncompressedSize64)
	if _, err := r.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b, nil
}

// stateDict finds the dict of tensors in what was saved.
func stateDict(top any) any {
	d, ok := top.(*dict)
	if !ok {
		return top
	}
	for _, v := range d.values {
		if _, ok := v.(tensor); ok {
			return top
		}
	}
	for _, key := range []string{"state_dict", "model_state_dict", "model"} {
		for i := range d.keys {
			if inner, ok := d.values[i].(*dict); ok && d.keys[i] == any(key) {
				return inner
			}
		}
	}
	return top
}

// collect adds the tensors in v, which is called name. What isn't a tensor and holds none is of no use here.
func (f *file) collect(name string, v any, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%.80q nests deeper than %d", name, maxDepth)
	}
	if f.visits++; f.visits > maxVisits {
		return fmt.Errorf("more than %d values", maxVisits)
	}
	var d *dict
	switch v := v.(type) {
	case tensor:
		return f.add(name, v)
	case *dict:
		d = v
	case *bag:
		d = &v.attributes
	default:
		return nil
	}
	for i, key := range d.keys {
		s, ok := key.(string)
		if !ok {
			continue // an optimizer's state has numbers for names
		}
		if name != "" {
			s = name + "." + s
		}
		if err := f.collect(s, d.values[i], depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (f *file) add(name string, t tensor) error {
	s, err := f.storage(t.storage)
	if err != nil {
		return fmt.Errorf("tensor %.80q: %w", name, err)
	}
	view, err := checkpoint.View(s, t.storage.n, t.storage.dtype, t.offset, t.shape, t.strides)
	if err != nil {
		return fmt.Errorf("tensor %.80q: %w", name, err)
	}
	f.tensors = append(f.tensors, &checkpoint.Tensor{Name: name, File: f.name, DType: t.storage.dtype, Shape: t.shape, Data: view})
	return nil
}

// storage returns the reader of a storage, the same for all tensors that share it.
func (f *file) storage(s storage) (*ziparchive.Stored, error) {
	r := f.storages[s.key]
	if r == nil {
		e := f.entries["data/"+s.key]
		if e == nil {
			return nil, fmt.Errorf("entry %.80q is missing", f.root+"data/"+s.key)
		}
		var err error
		if r, err = ziparchive.OpenStored(f.r, f.size, e, f.name); err != nil {
			return nil, fmt.Errorf("entry %.80q %w", e.Name, err)
		}
		f.storages[s.key] = r
	}
	if size := int64(s.dtype.Size()); r.Size()%size != 0 || uint64(r.Size()/size) != s.n {
		return nil, fmt.Errorf("entry %.80q has %d bytes, expected %d elements of %s", r.Name(), r.Size(), s.n, s.dtype)
	}
	return r, nil
}

// stripModule removes the prefix that DataParallel puts before every name.
func (f *file) stripModule() {
	const prefix = "module."
	for _, t := range f.tensors {
		if !strings.HasPrefix(t.Name, prefix) || t.Name == prefix {
			return
		}
	}
	for _, t := range f.tensors {
		t.Name = strings.TrimPrefix(t.Name, prefix)
	}
}
