package main

import (
	"path/filepath"
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
