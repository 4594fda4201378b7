// Package diskcache keeps in a folder what can be made again: entries under keys, each whole and checked or not there at
// all, the longest unused of which make room for new ones. Any number of processes may use a folder.
package diskcache

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// Key names an entry: a hash of everything that its data depends on.
type Key [sha256.Size]byte

// KeyOf hashes parts, each of which ends where it ends: ("a", "b") is not ("ab").
func KeyOf(parts ...string) (k Key) {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	h.Sum(k[:0])
	return k
}

// Cache is a folder, made when something is written to it, whose entries take up to MaxBytes together.
type Cache struct {
	Dir      string
	MaxBytes int64
}

const (
	newPrefix = ".new-"
	// What a writer that was killed left behind goes after so long.
	staleAfter = time.Hour
	// A use is noted this seldom: the time of an entry's last change is that of its last use, roughly.
	noteAfter = time.Hour
)

func (c Cache) path(k Key) string { return filepath.Join(c.Dir, hex.EncodeToString(k[:])) }

// Read returns a copy of an entry's data. An entry that is not there, or is not what was written, is not found.
func (c Cache) Read(k Key) (data []byte, found bool) {
	f, size := c.open(k)
	if f == nil {
		return nil, false
	}
	defer f.Close()
	blob := make([]byte, size)
	if _, err := f.ReadAt(blob, 0); err != nil {
		return nil, false
	}
	return unseal(blob, k)
}

// Mapping is an entry's data in memory that the system shares with its file.
type Mapping struct{ blob, data []byte }

// Bytes returns the data, aligned to 64 bytes, read-only: writing to it crashes the process. It dies with Close.
func (m *Mapping) Bytes() []byte { return m.data }

// Close ends the mapping.
func (m *Mapping) Close() error {
	blob := m.blob
	m.blob, m.data = nil, nil
	return unmapFile(blob)
}

// Map is Read without a copy. The entry may be dropped from the folder meanwhile.
func (c Cache) Map(k Key) (m *Mapping, found bool) {
	f, size := c.open(k)
	if f == nil {
		return nil, false
	}
	defer f.Close()
	blob := mapFile(f, size)
	if blob == nil {
		return nil, false
	}
	data, ok := unseal(blob, k)
	if !ok {
		_ = unmapFile(blob)
		return nil, false
	}
	return &Mapping{blob, data}, true
}

// open opens an entry and notes its use; nil where there is none.
func (c Cache) open(k Key) (f *os.File, size int64) {
	if c.trusted() != nil {
		return nil, 0
	}
	f, err := os.Open(c.path(k))
	if err != nil {
		return nil, 0
	}
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() || st.Size() > c.MaxBytes {
		f.Close()
		return nil, 0
	}
	if now := time.Now(); now.Sub(st.ModTime()) > noteAfter {
		_ = os.Chtimes(f.Name(), now, now) // else it goes sooner
	}
	return f, st.Size()
}

// trusted refuses a folder in which others may write: they could put any answer there.
func (c Cache) trusted() error {
	st, err := os.Lstat(c.Dir)
	if err != nil {
		return err
	}
	if !st.IsDir() || st.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s has mode %s, expected a folder that only its owner may write to", c.Dir, st.Mode())
	}
	return nil
}

// Write makes or replaces an entry, and drops the longest unused ones until the folder is within its bound. An entry that
// takes more than half of that is refused. Nothing is synced to the disk: a torn entry is not found.
func (c Cache) Write(k Key, data []byte) error {
	if sealedSize(len(data)) > c.MaxBytes/2 {
		return fmt.Errorf("an entry of %d bytes, expected at most half of the folder's %d", len(data), c.MaxBytes)
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	if err := c.trusted(); err != nil {
		return err
	}
	f, err := os.CreateTemp(c.Dir, newPrefix+"*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once renamed
	head, tail := seal(data, k)
	for _, part := range [][]byte{head, data, tail} {
		if err == nil {
			_, err = f.Write(part)
		}
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), c.path(k))
	}
	if err == nil {
		c.evict(k)
	}
	return err
}

// evict drops what is too much, but never kept. What can't be removed stays.
func (c Cache) evict(kept Key) {
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return
	}
	var all []fs.FileInfo
	var total int64
	for _, e := range entries {
		st, err := e.Info()
		if err != nil || !st.Mode().IsRegular() {
			continue
		}
		if strings.HasPrefix(e.Name(), newPrefix) {
			if time.Since(st.ModTime()) > staleAfter {
				_ = os.Remove(filepath.Join(c.Dir, e.Name()))
			}
			continue
		}
		if len(e.Name()) != 2*len(kept) {
			continue // not ours
		}
		all = append(all, st)
		total += st.Size()
	}
	sort.Slice(all, func(i, j int) bool { return all[i].ModTime().Before(all[j].ModTime()) })
	for _, st := range all {
		if total <= c.MaxBytes {
			return
		}
		if st.Name() == hex.EncodeToString(kept[:]) {
			continue
		}
		if os.Remove(filepath.Join(c.Dir, st.Name())) == nil {
			total -= st.Size()
		}
	}
}
