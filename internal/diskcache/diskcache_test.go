package diskcache_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/internal/diskcache"
)

func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return b
}

// only returns the file of a folder's one entry.
func only(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	return filepath.Join(dir, entries[0].Name())
}

func TestReadBack(t *testing.T) {
	c := diskcache.Cache{Dir: filepath.Join(t.TempDir(), "made", "when needed"), MaxBytes: 64 << 20}
	key := diskcache.KeyOf("a", "b")
	_, found := c.Read(key)
	require.False(t, found)
	for _, n := range []int{0, 1, 64, 1<<20 - 1, 1 << 20, 3<<20 + 5} {
		want := noise(n)
		require.NoError(t, c.Write(key, want))
		got, found := c.Read(key)
		require.True(t, found, n)
		require.True(t, bytes.Equal(want, got), n)
		m, found := c.Map(key)
		require.True(t, found, n)
		require.True(t, bytes.Equal(want, m.Bytes()), n)
		require.NoError(t, m.Close())
		require.NoError(t, m.Close())
	}
	_, found = c.Read(diskcache.KeyOf("ab"))
	require.False(t, found, "of another key")
}

// TestDamage changes, cuts and lengthens an entry everywhere: it is never found.
func TestDamage(t *testing.T) {
	c := diskcache.Cache{Dir: t.TempDir(), MaxBytes: 64 << 20}
	key := diskcache.KeyOf("k")
	require.NoError(t, os.Chmod(c.Dir, 0o700))
	require.NoError(t, c.Write(key, noise(1000)))
	path := only(t, c.Dir)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	lost := func(b []byte, what string, at int) {
		require.NoError(t, os.WriteFile(path, b, 0o600))
		_, found := c.Read(key)
		require.False(t, found, "%s at %d", what, at)
		_, found = c.Map(key)
		require.False(t, found, "%s at %d, mapped", what, at)
	}
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 1 << (i % 8)
		lost(b, "a changed bit", i)
		lost(whole[:i], "cut", i)
	}
	lost(append(bytes.Clone(whole), 0), "longer", len(whole))
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Mkdir(path, 0o700))
	_, found := c.Read(key)
	require.False(t, found, "a folder")
}

// TestForeignKey puts a whole entry in another's place.
func TestForeignKey(t *testing.T) {
	c := diskcache.Cache{Dir: t.TempDir(), MaxBytes: 1 << 20}
	require.NoError(t, os.Chmod(c.Dir, 0o700))
	a, b := diskcache.KeyOf("a"), diskcache.KeyOf("b")
	require.NoError(t, c.Write(a, noise(10)))
	require.NoError(t, os.Rename(only(t, c.Dir), filepath.Join(c.Dir, fmt.Sprintf("%x", b))))
	_, found := c.Read(b)
	require.False(t, found)
}

func TestEviction(t *testing.T) {
	c := diskcache.Cache{Dir: t.TempDir(), MaxBytes: 10_000}
	require.NoError(t, os.Chmod(c.Dir, 0o700))
	require.ErrorContains(t, c.Write(diskcache.KeyOf("big"), noise(6000)), "at most half")
	foreign := filepath.Join(c.Dir, "notes.txt")
	require.NoError(t, os.WriteFile(foreign, noise(20_000), 0o600))
	stale := filepath.Join(c.Dir, ".new-1")
	require.NoError(t, os.WriteFile(stale, nil, 0o600))
	key := func(i int) diskcache.Key { return diskcache.KeyOf("entry", fmt.Sprint(i)) }
	age := func(path string, d time.Duration) {
		then := time.Now().Add(-d)
		require.NoError(t, os.Chtimes(path, then, then))
	}
	age(stale, 2*time.Hour)
	for i := range 5 {
		require.NoError(t, c.Write(key(i), noise(1800)))
		age(filepath.Join(c.Dir, fmt.Sprintf("%x", key(i))), time.Duration(10-i)*24*time.Hour)
	}
	_, found := c.Read(key(0)) // the oldest is used, so that the next is the longest unused
	require.True(t, found)
	require.NoError(t, c.Write(key(5), noise(1800)))
	for i := range 6 {
		_, found := c.Read(key(i))
		require.Equal(t, i != 1, found, "entry %d", i)
	}
	require.FileExists(t, foreign)
	require.NoFileExists(t, stale)
}

// TestOpenFolder refuses a folder where others may write.
func TestOpenFolder(t *testing.T) {
	c := diskcache.Cache{Dir: t.TempDir(), MaxBytes: 1 << 20}
	require.NoError(t, os.Chmod(c.Dir, 0o700))
	key := diskcache.KeyOf("k")
	require.NoError(t, c.Write(key, noise(10)))
	require.NoError(t, os.Chmod(c.Dir, 0o777))
	_, found := c.Read(key)
	require.False(t, found)
	require.ErrorContains(t, c.Write(key, noise(10)), "only its owner")
}

// TestConcurrentUse writes and reads the same entries from many goroutines: what is found is whole.
func TestConcurrentUse(t *testing.T) {
	c := diskcache.Cache{Dir: filepath.Join(t.TempDir(), "c"), MaxBytes: 8_000}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 100 {
				key := diskcache.KeyOf(fmt.Sprint(i % 7))
				want := noise(1000 + i%7)
				if err := c.Write(key, want); err != nil {
					t.Error(err)
				}
				if got, found := c.Read(key); found && !bytes.Equal(got, want) {
					t.Errorf("entry %d is another", i%7)
				}
			}
		})
	}
	all.Wait()
}

func TestStamp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(path, []byte("one"), 0o600))
	stamp := func(later time.Duration) (string, bool) {
		st, err := os.Stat(path)
		require.NoError(t, err)
		return diskcache.Stamp(st, time.Now().Add(later))
	}
	_, ok := stamp(0)
	require.False(t, ok, "just changed")
	first, ok := stamp(time.Minute)
	if !ok {
		t.Skip("this system doesn't tell when a file changed")
	}
	again, _ := stamp(time.Minute)
	require.Equal(t, first, again)

	// The same size, the same time of its contents: only the change itself can't be hidden.
	st, err := os.Stat(path)
	require.NoError(t, err)
	time.Sleep(20 * time.Millisecond)
	require.NoError(t, os.WriteFile(path, []byte("two"), 0o600))
	require.NoError(t, os.Chtimes(path, st.ModTime(), st.ModTime()))
	changed, _ := stamp(time.Minute)
	require.NotEqual(t, first, changed)

	_, ok = diskcache.Stamp(nil, time.Now())
	require.False(t, ok)
	_, err = diskcache.Executable()
	require.NoError(t, err)
}

// FuzzRead gives Read any file under a key.
func FuzzRead(f *testing.F) {
	dir := f.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		f.Fatal(err)
	}
	c := diskcache.Cache{Dir: dir, MaxBytes: 1 << 20}
	key := diskcache.KeyOf("k")
	path := filepath.Join(dir, fmt.Sprintf("%x", key))
	for _, n := range []int{0, 5, 100} {
		if err := c.Write(key, noise(n)); err != nil {
			f.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		require.NoError(t, os.WriteFile(path, b, 0o600))
		data, found := c.Read(key)
		if !found {
			return
		}
		require.NoError(t, c.Write(key, data))
		again, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, b, again, "there is one form of an entry")
	})
}
