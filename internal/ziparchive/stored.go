package ziparchive

import (
	"archive/zip"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
)

// Stored reads an entry that isn't compressed in place, at any offset and by many goroutines. The first read compares the
// checksum of the whole.
type Stored struct {
	file, name string
	crc        uint32
	section    *io.SectionReader
	once       sync.Once
	err        error
}

// OpenStored returns a reader of an entry that Read found in the archive r of size bytes; file
// stands for it in errors of reading. An error of opening goes on from the entry's name.
func OpenStored(r io.ReaderAt, size int64, e *zip.File, file string) (*Stored, error) {
	if e.Method != zip.Store {
		return nil, errors.New("is compressed, expected it stored")
	}
	offset, err := e.DataOffset()
	if err != nil {
		return nil, fmt.Errorf("has no data: %w", err)
	}
	n := int64(e.CompressedSize64) // Read compared it with the file's
	if offset > size-n {
		return nil, fmt.Errorf("has %d bytes at byte %d, which reach beyond the file of %d", n, offset, size)
	}
	return &Stored{file: file, name: e.Name, crc: e.CRC32, section: io.NewSectionReader(r, offset, n)}, nil
}

// Name returns the entry's.
func (s *Stored) Name() string { return s.name }

// Size returns the number of bytes.
func (s *Stored) Size() int64 { return s.section.Size() }

// Unchecked returns the bytes without a look at the checksum, for a start of which little is believed.
func (s *Stored) Unchecked() io.ReaderAt { return s.section }

// ReadAt implements io.ReaderAt.
func (s *Stored) ReadAt(b []byte, off int64) (int, error) {
	s.once.Do(func() { s.err = s.check() })
	if s.err != nil {
		return 0, s.err
	}
	return s.section.ReadAt(b, off)
}

func (s *Stored) check() error {
	h := crc32.NewIEEE()
	if _, err := io.Copy(h, io.NewSectionReader(s.section, 0, s.section.Size())); err != nil {
		return fmt.Errorf("%s: reading entry %.80q: %w", s.file, s.name, err)
	}
	if h.Sum32() != s.crc {
		return fmt.Errorf("%s: entry %.80q has checksum %08x, expected %08x: the file is damaged", s.file, s.name, h.Sum32(), s.crc)
	}
	return nil
}
