package imageio

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/bindings"
	"github.com/clipgo/clipgo/internal/testutil"
)

func turbo(t testing.TB) Options {
	t.Helper()
	library, err := bindings.FindTurboJPEG()
	if err != nil {
		t.Skipf("libjpeg-turbo is not here (Debian: libturbojpeg0): %v", err)
	}
	return Options{JPEG: library.Decode}
}

// sameWithTurbo decodes data with libjpeg-turbo and without. It reports whether libjpeg-turbo did it.
func sameWithTurbo(t *testing.T, data []byte, o Options, name string, exactly bool) bool {
	used := false
	library := o.JPEG
	o.JPEG = func(dst, data []byte, w, h, channels int) error {
		err := library(dst, data, w, h, channels)
		used = err == nil
		return err
	}
	got, gotErr := Decode(data, o)
	want, wantErr := Decode(data, Options{MaxPixels: o.MaxPixels})
	if !used {
		require.Equal(t, wantErr, gotErr, name)
	}
	if gotErr != nil || wantErr != nil {
		return used
	}
	require.Equal(t, []int{want.W, want.H, int(want.Orientation)}, []int{got.W, got.H, int(got.Orientation)}, name)
	require.Equal(t, want.Mode, got.Mode, name)
	if exactly {
		require.True(t, bytes.Equal(want.Pix, got.Pix), "%s: the pixels of libjpeg-turbo are others", name)
	}
	return used
}

// jpegs are all JPEG files at hand.
func jpegs(t testing.TB) map[string][]byte {
	all := map[string][]byte{}
	for name, data := range samples(t) {
		if bytes.HasPrefix(data, []byte("\xff\xd8\xff")) {
			all[name] = data
		}
	}
	root := os.Getenv("CLIPGO_SHARED")
	if root == "" {
		root = filepath.Join(testutil.Root(), "..", "shared")
	}
	_ = filepath.WalkDir(filepath.Join(root, "data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if data, err := os.ReadFile(path); err == nil && bytes.HasPrefix(data, []byte("\xff\xd8\xff")) {
			all[path] = data
		}
		return nil
	})
	return all
}

func TestTurboJPEGEqualsGo(t *testing.T) {
	o := turbo(t)
	used := 0
	for name, data := range jpegs(t) {
		if sameWithTurbo(t, data, o, name, true) {
			used++
		}
	}
	require.Greater(t, used, 5)
	t.Logf("%d files", used)
}

// Broken files: libjpeg-turbo may complain, and then the result is ours, error or not; else it is of the same kind and size. The
// pixels may differ: where a file says coefficients that no picture has, 16-bit lanes overflow, each instruction set's in its way.
func TestTurboJPEGOnBrokenFiles(t *testing.T) {
	o := turbo(t)
	o.MaxPixels = 1 << 20
	random := rand.New(rand.NewPCG(3, 4))
	used, rounds := 0, 10
	if testing.Short() {
		rounds = 2
	}
	files := jpegs(t)
	for _, name := range slices.Sorted(maps.Keys(files)) { // so that a run is like the one before
		whole := files[name]
		if len(whole) > 50_000 {
			continue
		}
		for range rounds {
			data := bytes.Clone(whole)
			for range 1 + random.IntN(4) {
				data[random.IntN(len(data))] = byte(random.Uint32())
			}
			if random.IntN(4) == 0 {
				data = data[:random.IntN(len(data))]
			}
			if sameWithTurbo(t, data, o, name, false) {
				used++
			}
		}
	}
	t.Logf("%d files decoded by libjpeg-turbo", used)
}

// A file may say anything in any order: the decoder outside of Go is asked only about a picture whose frame header is known.
func TestScanBeforeFrame(t *testing.T) {
	asked := func(_, _ []byte, _, _, _ int) error {
		t.Error("asked to decode a picture of unknown size")
		return errors.New("no")
	}
	for _, o := range []Options{{}, {JPEG: asked}} {
		_, err := Decode([]byte("\xff\xd8\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\xff\xd9"), o)
		require.EqualError(t, err, "decoding JPEG: a scan before the frame header")
	}
}

func FuzzTurboJPEG(f *testing.F) {
	o := turbo(f)
	o.MaxPixels = 1 << 14
	for _, data := range jpegs(f) {
		if len(data) < 5000 {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) { sameWithTurbo(t, data, o, "", false) })
}
