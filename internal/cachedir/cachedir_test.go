package cachedir_test

import (
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/internal/cachedir"
)

func TestRoot(t *testing.T) {
	t.Run("named", func(t *testing.T) {
		dir := t.TempDir()
		t.Setenv(cachedir.Env, dir)
		got, err := cachedir.Root()
		require.NoError(t, err)
		require.Equal(t, dir, got)
	})
	t.Run("named relatively", func(t *testing.T) {
		dir := t.TempDir()
		t.Chdir(dir)
		t.Setenv(cachedir.Env, "caches")
		got, err := cachedir.Root()
		require.NoError(t, err)
		want, err := filepath.Abs("caches")
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
	t.Run("off", func(t *testing.T) {
		t.Setenv(cachedir.Env, "off")
		_, err := cachedir.Root()
		require.ErrorIs(t, err, cachedir.ErrOff)
	})
	t.Run("default", func(t *testing.T) {
		if runtime.GOOS != "linux" {
			t.Skip("the variables are Linux's")
		}
		dir := t.TempDir()
		t.Setenv(cachedir.Env, "")
		t.Setenv("XDG_CACHE_HOME", dir)
		got, err := cachedir.Root()
		require.NoError(t, err)
		require.Equal(t, filepath.Join(dir, "clipgo"), got)
		t.Setenv("XDG_CACHE_HOME", "")
		t.Setenv("HOME", "")
		_, err = cachedir.Root()
		require.ErrorContains(t, err, "$CLIPGO_CACHE")
	})
}
