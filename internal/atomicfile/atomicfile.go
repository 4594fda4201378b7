// Package atomicfile writes files that appear whole or not at all.
//
// The data goes to a hidden temporary file in the folder of the destination, which is synced and then renamed. A reader
// that has the old file open or mapped keeps it. A process that is killed leaves at most the temporary file, which the
// next writer of the same destination removes.
package atomicfile

import (
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Write makes the file at path of what write writes. On an error nothing changes at path.
func Write(path string, write func(w io.Writer) error) error {
	return WriteFile(path, func(f *os.File) error { return write(f) })
}

// WriteFile is Write for those who must seek or read back. They must not close the file.
func WriteFile(path string, write func(f *os.File) error) error {
	path, err := destination(path)
	if err != nil {
		return err
	}
	removeStale(path)
	tmp, err := create(path)
	if err != nil {
		return err
	}
	done := false
	defer func() {
		if !done { // an error, or a panic in write
			tmp.Close()
			os.Remove(tmp.Name())
		}
	}()
	if err := write(tmp); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	// Renamed before it is closed, where the system lets us: the lock on tmp tells other writers that it is in use.
	if err := renameAndClose(tmp, path); err != nil {
		return err
	}
	done = true
	return syncDir(filepath.Dir(path))
}

// destination follows links, so that the file they lead to is replaced and not the link, and refuses what can't be
// replaced by a file, such as /dev/null.
func destination(path string) (string, error) {
	if _, err := os.Lstat(path); err != nil {
		return path, nil // create will tell if it isn't just that there is no such file
	}
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	st, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !st.Mode().IsRegular() {
		return "", &fs.PathError{Op: "write", Path: path, Err: fmt.Errorf("is not a regular file (%s)", st.Mode().Type())}
	}
	return path, nil
}

const suffix = ".tmp"

// prefix begins the names of all temporary files for path. They must fit the 255 bytes that a name may have.
func prefix(path string) string {
	base := filepath.Base(path)
	if len(base) > 200 {
		base = strings.ToValidUTF8(base[:200], "")
	}
	return "." + base + "."
}

// create makes and locks a temporary file.
func create(path string) (*os.File, error) {
	for {
		name := fmt.Sprintf("%s%08x%s", prefix(path), rand.Uint32(), suffix)
		f, err := os.OpenFile(filepath.Join(filepath.Dir(path), name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if os.IsExist(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		lock(f)
		// Another writer may have taken it for stale before it was locked.
		if !same(f) {
			f.Close()
			continue
		}
		return f, nil
	}
}

// same reports whether the file at f's name is still f.
func same(f *os.File) bool {
	open, err1 := f.Stat()
	named, err2 := os.Lstat(f.Name())
	return err1 == nil && err2 == nil && os.SameFile(open, named)
}

var random = regexp.MustCompile(`^[0-9a-f]{8}$`)

// removeStale removes the temporary files that dead writers of path left behind. What can't be removed stays.
func removeStale(path string) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		rest, ok := strings.CutPrefix(name, prefix(path))
		if !ok {
			continue
		}
		if rest, ok = strings.CutSuffix(rest, suffix); !ok || !random.MatchString(rest) {
			continue
		}
		removeIfDead(filepath.Join(dir.Name(), name))
	}
}
