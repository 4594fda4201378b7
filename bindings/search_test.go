package bindings

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/internal/testutil"
)

// compile makes a shared library of C text, and returns its path.
func compile(t *testing.T, text string) string {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("there is no C compiler")
	}
	// A test under an emulator finds the compiler of the machine around it.
	target, err := exec.Command(cc, "-dumpmachine").Output()
	require.NoError(t, err)
	names := map[string][]string{"amd64": {"x86_64"}, "arm64": {"aarch64", "arm64"}}[runtime.GOARCH]
	if !slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(string(target), name) }) {
		t.Skipf("the C compiler is for %s", target)
	}
	dir := t.TempDir()
	source, library := filepath.Join(dir, "fake.c"), filepath.Join(dir, LibraryName())
	require.NoError(t, os.WriteFile(source, []byte(text), 0o600))
	out, err := exec.Command(cc, "-shared", "-fPIC", "-I", filepath.Join(testutil.Root(), "ggml", "include"), "-o", library, source).CombinedOutput()
	require.NoError(t, err, string(out))
	return library
}

// fake is an engine whose functions do nothing. without leaves one out; version and layout are C expressions of what the
// two functions return, layout having written to out.
func fake(without, version, layout string) string {
	var b strings.Builder
	b.WriteString("#include <stdint.h>\n#include <stddef.h>\n")
	fmt.Fprintf(&b, "int32_t clipgo_abi_version(void) { return %s; }\n", version)
	fmt.Fprintf(&b, "int32_t clipgo_layout(uint32_t *out, uint64_t n) { (void)out; (void)n; %s }\n", layout)
	for _, s := range new(functions).symbols()[2:] {
		if !strings.Contains(without, s.name) {
			fmt.Fprintf(&b, "int32_t %s(void) { return 1; }\n", s.name)
		}
	}
	return b.String()
}

func TestLibraryThatIsNotTheEngine(t *testing.T) {
	size, version := fmt.Sprint(mirrors[0].typ.Size()), fmt.Sprint(abiVersion)
	for _, c := range []struct{ name, text, want string }{
		{"no symbols", "int x;", "it lacks clipgo_abi_version, clipgo_layout, clipgo_isas, clipgo_device_create"},
		{"two missing", fake("clipgo_run clipgo_profile", version, "return 0;"), "it lacks clipgo_run, clipgo_profile: not a clipgo engine"},
		{"another version", fake("", "99", "return 0;"), fmt.Sprintf("its ABI version is 99, this program needs %d", abiVersion)},
		{"no layout", fake("", version, "return 0;"), "the size of clipgo_error is missing"},
		{"a size", fake("", version, "out[0] = 8; return 1;"), "the size of clipgo_error is 8 there, " + size + " in this program"},
		{"an offset", fake("", version, "out[0] = "+size+"; out[1] = 4; return 2;"), "the offset of clipgo_error Size is 4 there, 0 in this program"},
		{"negative", fake("", version, "return -1;"), "clipgo_layout says -1 numbers"},
		{"too many", fake("", version, "return 1000;"), "clipgo_layout says 1000 numbers"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := compile(t, c.text)
			_, err := Open(path)
			var failed *LoadError
			require.ErrorAs(t, err, &failed)
			require.Len(t, failed.Attempts, 1)
			assert.Equal(t, path, failed.Attempts[0].Path)
			assert.Contains(t, err.Error(), c.want)
			assert.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestLayoutWithMoreFields(t *testing.T) {
	var numbers []uint32
	for _, m := range mirrors {
		numbers = append(numbers, uint32(m.typ.Size()))
		for i := range m.typ.NumField() {
			numbers = append(numbers, uint32(m.typ.Field(i).Offset))
		}
	}
	assert.NoError(t, checkLayout(numbers))
	assert.ErrorContains(t, checkLayout(append(numbers, 0)), "numbers, this program knows")
	assert.ErrorContains(t, checkLayout(numbers[:len(numbers)-1]), "clipgo_ceilings Handover is missing")
}

// TestSymbolsAreTheHeaders has each function of clipgo.h, with as many parameters, exactly once.
func TestSymbolsAreTheHeaders(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testutil.Root(), "ggml", "include", "clipgo.h"))
	require.NoError(t, err)
	var want []string
	for _, m := range regexp.MustCompile(`(?s)CLIPGO_API \w+ (\w+)\(`).FindAllStringSubmatch(string(text), -1) {
		want = append(want, m[1])
	}
	var got []string
	for _, s := range new(functions).symbols() {
		got = append(got, s.name)
	}
	assert.Equal(t, want, got)
	assert.Contains(t, string(text), fmt.Sprintf("#define CLIPGO_ABI_VERSION %d\n", abiVersion))
}

func TestExplicitPathsAreBelieved(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "nothing.so")
	_, err := Open(missing)
	assert.EqualError(t, err, "load the clipgo engine: the path given, "+missing+
		": no such file; build it with `make build` and name the file in $CLIPGO_LIBRARY")
	t.Setenv(EnvLibrary, missing)
	_, err = Open("")
	assert.ErrorContains(t, err, "$CLIPGO_LIBRARY "+missing+": no such file")
	_, err = Open(t.TempDir())
	assert.ErrorContains(t, err, "is a folder, expected the file "+LibraryName())
	text := filepath.Join(t.TempDir(), "text.so")
	require.NoError(t, os.WriteFile(text, []byte("not a library"), 0o600))
	_, err = Open(text)
	assert.ErrorContains(t, err, text)
}

// TestSearchOrder has no library anywhere: the error lists every place.
func TestSearchOrder(t *testing.T) {
	if len(embedded) > 0 {
		t.Skip("this test binary has the library inside")
	}
	// In a process of its own: the system's loader gives a library of this name that is loaded already.
	const child = "CLIPGO_TEST_SEARCH_ORDER"
	if os.Getenv(child) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestSearchOrder$", "-test.v")
		cmd.Env = append(os.Environ(), child+"=1", EnvLibrary+"=", "LD_LIBRARY_PATH=")
		out, err := cmd.CombinedOutput()
		if errors.Is(err, syscall.ENOEXEC) {
			t.Skip("under an emulator")
		}
		require.NoError(t, err, string(out))
		if strings.Contains(string(out), "SKIP") {
			t.Skip(string(out))
		}
		return
	}
	t.Chdir(t.TempDir())
	// A library in the working directory is not looked at.
	require.NoError(t, os.WriteFile(LibraryName(), []byte("bait"), 0o600))
	_, err := Open("")
	var failed *LoadError
	if err == nil {
		t.Skip("libclipgo is installed in this system")
	}
	require.ErrorAs(t, err, &failed)
	exe, _ := os.Executable()
	exe, _ = filepath.EvalSymlinks(exe)
	var got [][2]string
	for _, a := range failed.Attempts {
		got = append(got, [2]string{a.Source, a.Path})
		assert.Error(t, a.Err)
	}
	assert.Equal(t, [][2]string{
		{"beside the executable", filepath.Join(filepath.Dir(exe), LibraryName())},
		{"in ../lib from the executable", filepath.Join(filepath.Dir(exe), "..", "lib", LibraryName())},
		{"by the system's loader", LibraryName()},
	}, got)
	assert.NotContains(t, err.Error(), "\n")
	assert.Len(t, failed.Unwrap(), 3)
}

// TestFailingLoadsInParallel has each goroutine be told of its own file.
func TestFailingLoadsInParallel(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for g := range 16 {
		path := filepath.Join(dir, fmt.Sprintf("broken-%d.so", g))
		require.NoError(t, os.WriteFile(path, []byte("not a library"), 0o600))
		wg.Go(func() {
			for range 200 {
				_, _, err := openLibrary(path, nil)
				if err == nil || !strings.Contains(err.Error(), path) {
					t.Errorf("%s: %v", path, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestExtract(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "clipgo")
	image := []byte("the library")
	path, err := extract(image, cache)
	require.NoError(t, err)
	assert.Equal(t, LibraryName(), filepath.Base(path))
	check := func() {
		t.Helper()
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, image, got)
		st, err := os.Stat(filepath.Dir(path))
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o700), st.Mode().Perm())
		files, err := os.ReadDir(filepath.Dir(path))
		require.NoError(t, err)
		assert.Len(t, files, 1)
	}
	check()
	before, err := os.Stat(path)
	require.NoError(t, err)
	_, err = extract(image, cache)
	require.NoError(t, err)
	after, err := os.Stat(path)
	require.NoError(t, err)
	assert.True(t, os.SameFile(before, after), "a good file is kept")

	// A file that was tampered with is replaced: same length, shorter, a link.
	require.NoError(t, os.WriteFile(path, []byte("the LIBRARY"), 0o700))
	_, err = extract(image, cache)
	require.NoError(t, err)
	check()
	require.NoError(t, os.Truncate(path, 3))
	_, err = extract(image, cache)
	require.NoError(t, err)
	check()
	other := filepath.Join(t.TempDir(), "other")
	require.NoError(t, os.WriteFile(other, image, 0o600))
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Symlink(other, path))
	_, err = extract(image, cache)
	require.NoError(t, err)
	st, err := os.Lstat(path)
	require.NoError(t, err)
	assert.True(t, st.Mode().IsRegular())

	require.NoError(t, os.Chmod(filepath.Dir(path), 0o777))
	_, err = extract(image, cache)
	assert.ErrorContains(t, err, "only its owner may write to")
	require.NoError(t, os.Chmod(filepath.Dir(path), 0o700))

	var wg sync.WaitGroup
	require.NoError(t, os.RemoveAll(cache))
	for range 8 {
		wg.Go(func() {
			_, err := extract(image, cache)
			assert.NoError(t, err)
		})
	}
	wg.Wait()
	check()
}

// TestExtractWithoutAPlace has a file where the cache's folder should be.
func TestExtractWithoutAPlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := extract([]byte("x"), file)
	assert.Error(t, err)
}

// TestMemoryFile loads the engine from a file in memory.
func TestMemoryFile(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has files in memory")
	}
	image, err := os.ReadFile(testutil.Engine(t))
	require.NoError(t, err)
	path, err := memoryFile(image)
	require.NoError(t, err)
	l, err := load(path)
	require.NoError(t, err)
	isas, err := l.ISAs()
	require.NoError(t, err)
	assert.Contains(t, isas, "scalar")
}

// TestOtherSystems builds this package for the systems that it must at least compile on.
func TestOtherSystems(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	for _, target := range []string{"linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64"} {
		system, processor, _ := strings.Cut(target, "/")
		cmd := exec.Command("go", "build", ".")
		cmd.Env = append(os.Environ(), "GOOS="+system, "GOARCH="+processor, "CGO_ENABLED=0")
		out, err := cmd.CombinedOutput()
		assert.NoError(t, err, "%s: %s", target, out)
	}
}
