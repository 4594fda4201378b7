package testutil

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Engine returns the path of the native library: $CLIPGO_LIBRARY, else the newest in build/*. Without one the test is
// skipped, or fails if $CLIPGO_REQUIRE, a list separated by commas, names "engine".
func Engine(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("CLIPGO_LIBRARY"); path != "" {
		return path
	}
	var newest string
	var when int64
	for _, name := range []string{"libclipgo.so", "libclipgo.dylib"} {
		found, _ := filepath.Glob(filepath.Join(Root(), "build", "*", name))
		for _, path := range found {
			// A library of another processor or with sanitizers inside doesn't load into this test.
			if base := filepath.Base(filepath.Dir(path)); slices.Contains([]string{"asan", "tsan", "aarch64"}, base) {
				continue
			}
			if st, err := os.Stat(path); err == nil && st.ModTime().UnixNano() > when {
				newest, when = path, st.ModTime().UnixNano()
			}
		}
	}
	if newest != "" {
		return newest
	}
	const missing = "there is no native library: run `make library`, or set CLIPGO_LIBRARY"
	if slices.Contains(strings.Split(os.Getenv("CLIPGO_REQUIRE"), ","), "engine") {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}
