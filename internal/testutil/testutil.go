// Package testutil finds test material that lies outside the repository.
package testutil

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Root returns the repository's root folder.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Shared returns the path of elem inside the folder of shared test material: $CLIPGO_SHARED, else the folder `shared`
// beside the repository. The test is skipped, saying so, where that is missing.
func Shared(t testing.TB, elem ...string) string {
	t.Helper()
	dir := os.Getenv("CLIPGO_SHARED")
	if dir == "" {
		dir = filepath.Join(Root(), "..", "shared")
	}
	path := filepath.Join(append([]string{dir}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("shared test material is not here: %v (set CLIPGO_SHARED)", err)
	}
	return path
}
