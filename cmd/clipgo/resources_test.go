package main

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/internal/cachedir"
)

// TestCacheSwitches wants one answer with the cache, without, and where it can't be had.
func TestCacheSwitches(t *testing.T) {
	time.Sleep(150 * time.Millisecond) // the test's executable may just have been built: too young to be told from another
	dir := filepath.Join(t.TempDir(), "cache")
	kept := func() []string {
		found, err := filepath.Glob(filepath.Join(dir, "labels", "*"))
		require.NoError(t, err)
		return found
	}
	ask := func(setting string, args ...string) string {
		t.Setenv(cachedir.Env, setting)
		return classified(t, append(args, "--json", demo("owl.png"))...).done(t)
	}
	want := ask("off")
	require.Equal(t, want, ask(dir, "--no-cache"))
	require.Empty(t, kept())
	require.Equal(t, want, ask(dir))
	require.Len(t, kept(), 1)
	require.Equal(t, want, ask(dir))
	require.Equal(t, want, ask("/dev/null/nowhere"))
}

// TestMaxMemory holds the whole process to a limit: it stays below, or says in a line why not.
func TestMaxMemory(t *testing.T) {
	classified(t, demo("owl.png")).done(t) // what is loaded once is there
	debug.FreeOSMemory()
	now, ok := resetPeakMemory()
	if !ok {
		t.Skip("this system doesn't tell how much memory a process had at most")
	}
	limit := now + 30<<20
	want := classified(t, "--json", demo("owl.png"), demo("car.png")).done(t)
	got := classified(t, "--json", "--max-memory", fmt.Sprint(limit), demo("owl.png"), demo("car.png")).done(t)
	require.Equal(t, want, got)
	peak, ok := peakMemory()
	require.True(t, ok)
	require.LessOrEqual(t, peak, limit)

	classified(t, "--max-memory", "3M", demo("owl.png")).refused(t, "text tower needs", "over the limit of 3.0 MB", "clipgo quantize")
	clip(t, "embed", model, "--max-memory", "3M", "--image", demo("owl.png")).refused(t, "image tower needs", "over the limit of 3.0 MB")
	classified(t, "--max-memory", "much", demo("owl.png")).refused(t, "--max-memory", `"much" is no size`)

	// A picture that is small as a file, and large when it is decoded.
	wide := filepath.Join(t.TempDir(), "wide.png")
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, 8000, 8000))))
	require.NoError(t, os.WriteFile(wide, b.Bytes(), 0o600))
	debug.FreeOSMemory()
	now, _ = resetPeakMemory()
	limit = now + 40<<20
	r := classified(t, "--max-memory", fmt.Sprint(limit), wide)
	require.Equal(t, exitUsage, r.code)
	require.Contains(t, r.err, "8000 x 8000 pixels")
	peak, _ = peakMemory()
	require.LessOrEqual(t, peak, limit)
}
