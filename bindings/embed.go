package bindings

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/clipgo/clipgo/internal/cachedir"
)

// embeddedFile puts the embedded library into a file of its own, once in a process, and returns its path.
var embeddedFile = sync.OnceValues(func() (string, error) {
	if len(embedded) == 0 {
		return "", errNotApplicable
	}
	cache, err := cachedir.Root()
	if err != nil {
		return "", err
	}
	return extract(embedded, cache)
})

// embeddedMemory is for a cache folder that is off, can't be written, or from which nothing may be executed.
var embeddedMemory = sync.OnceValues(func() (string, error) {
	if len(embedded) == 0 {
		return "", errNotApplicable
	}
	return memoryFile(embedded)
})

// extract returns the path dir/<sha256 of image>/libclipgo.so, a file with the bytes of image. A file that is there
// already is believed only after its bytes were compared; a new one appears whole, by a rename.
func extract(image []byte, dir string) (string, error) {
	sum := sha256.Sum256(image)
	dir = filepath.Join(dir, hex.EncodeToString(sum[:]))
	path := filepath.Join(dir, LibraryName())
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return path, err
	}
	// Who may write here may have us run anything.
	st, err := os.Lstat(dir)
	if err != nil {
		return path, err
	}
	if !st.IsDir() || st.Mode().Perm()&0o022 != 0 {
		return path, fmt.Errorf("%s has mode %s, expected a folder that only its owner may write to", dir, st.Mode())
	}
	if same(path, image) {
		return path, nil
	}
	f, err := os.CreateTemp(dir, "new-*")
	if err != nil {
		return path, err
	}
	defer os.Remove(f.Name()) // fails once renamed
	_, err = f.Write(image)
	if e := f.Chmod(0o700); err == nil {
		err = e
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return path, err
}

// same reports whether path is a regular file with the bytes of image.
func same(path string, image []byte) bool {
	st, err := os.Lstat(path)
	if err != nil || !st.Mode().IsRegular() || st.Size() != int64(len(image)) {
		return false
	}
	got, err := os.ReadFile(path)
	return err == nil && bytes.Equal(got, image)
}
