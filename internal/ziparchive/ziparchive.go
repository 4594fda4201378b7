// Package ziparchive opens zip archives from untrusted sources for reading in place. Nothing is ever extracted.
package ziparchive

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

const (
	maxEntries = 1 << 17

	// Weights hardly compress. An archive that promises a hundred times its size, small ones aside, is a bomb.
	bombRatio = 100
	bombFloor = 64 << 20
)

// Read reads the directory of the archive of size bytes; name stands for it in errors. It refuses duplicate names and
// those that lead elsewhere, encrypted entries, methods other than stored and deflated, and bombs. The checksums of
// entries are for those who read them.
func Read(r io.ReaderAt, size int64, name string) ([]*zip.File, error) {
	z, err := zip.NewReader(r, size)
	if errors.Is(err, zip.ErrFormat) {
		return nil, fmt.Errorf("%s: no zip directory at the end of the file: it is truncated, or no zip archive", name)
	}
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // checkName says which
		return nil, fmt.Errorf("%s: reading the zip directory: %w", name, err)
	}
	if len(z.File) > maxEntries {
		return nil, fmt.Errorf("%s: %d entries, expected %d at most", name, len(z.File), maxEntries)
	}
	left := uint64(bombFloor) + bombRatio*uint64(size)
	seen := make(map[string]bool, len(z.File))
	for _, f := range z.File {
		if err := check(f, uint64(size), left); err != nil {
			return nil, fmt.Errorf("%s: entry %.80q %w", name, f.Name, err)
		}
		if seen[f.Name] {
			return nil, fmt.Errorf("%s: entry %.80q appears twice", name, f.Name)
		}
		seen[f.Name] = true
		left -= f.UncompressedSize64
	}
	return z.File, nil
}

func check(f *zip.File, size, left uint64) error {
	const encrypted = 1
	switch {
	case !cleanName(f.Name):
		return errors.New("has a name that could lead out of a folder")
	case f.Flags&encrypted != 0:
		return errors.New("is encrypted")
	case f.Method != zip.Store && f.Method != zip.Deflate:
		return fmt.Errorf("is compressed by method %d, expected stored or deflated", f.Method)
	case f.CompressedSize64 > size:
		return fmt.Errorf("takes %d bytes in a file of %d", f.CompressedSize64, size)
	case f.Method == zip.Store && f.CompressedSize64 != f.UncompressedSize64:
		return fmt.Errorf("is stored, but its sizes differ: %d and %d", f.CompressedSize64, f.UncompressedSize64)
	case f.UncompressedSize64 > left:
		return fmt.Errorf("unpacks to %d bytes: the archive looks like a zip bomb", f.UncompressedSize64)
	}
	return nil
}

// cleanName accepts what path.Clean would leave as it is: no "..", no empty element, nothing absolute. Folders have a
// slash at the end.
func cleanName(name string) bool {
	file := strings.TrimSuffix(name, "/")
	return file != "" && path.Clean(file) == file && file[0] != '/' && file != "." && file != ".." &&
		!strings.HasPrefix(file, "../") && !strings.ContainsAny(file, "\\:\x00")
}
