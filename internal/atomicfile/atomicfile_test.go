package atomicfile

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func writeString(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

// list returns the names in dir.
func list(t *testing.T, dir string) []string {
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestWriteReplacesWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out.gguf")
	for _, text := range []string{"a long first text", "short"} {
		require.NoError(t, Write(path, writeString(text)))
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, text, string(got))
		assert.Equal(t, []string{"out.gguf"}, list(t, dir))
	}
}

func TestErrorKeepsTheOldFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	require.NoError(t, Write(path, writeString("old")))
	boom := errors.New("boom")
	err := Write(path, func(w io.Writer) error {
		_, _ = io.WriteString(w, "half of the new")
		return boom
	})
	assert.ErrorIs(t, err, boom)
	got, _ := os.ReadFile(path)
	assert.Equal(t, "old", string(got))
	assert.Equal(t, []string{"out"}, list(t, dir))
}

func TestPanicLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	assert.Panics(t, func() {
		_ = Write(filepath.Join(dir, "out"), func(io.Writer) error { panic("boom") })
	})
	assert.Empty(t, list(t, dir))
}

func TestReaderOfTheOldFileKeepsIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	require.NoError(t, Write(path, writeString("old")))
	old, err := os.Open(path)
	require.NoError(t, err)
	defer old.Close()
	require.NoError(t, Write(path, writeString("new")))
	got, err := io.ReadAll(old)
	require.NoError(t, err)
	assert.Equal(t, "old", string(got))
}

func TestModeIsThatOfAUsualFile(t *testing.T) {
	dir := t.TempDir()
	usual := filepath.Join(dir, "usual")
	require.NoError(t, os.WriteFile(usual, nil, 0o666))
	path := filepath.Join(dir, "out")
	require.NoError(t, Write(path, writeString("x")))
	want, err := os.Stat(usual)
	require.NoError(t, err)
	got, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, want.Mode(), got.Mode())
}

func TestLinkStaysALink(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	require.NoError(t, os.WriteFile(target, []byte("old"), 0o600))
	if err := os.Symlink(target, link); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	require.NoError(t, Write(link, writeString("new")))
	got, _ := os.ReadFile(target)
	assert.Equal(t, "new", string(got))
	st, err := os.Lstat(link)
	require.NoError(t, err)
	assert.NotZero(t, st.Mode()&os.ModeSymlink)
}

func TestRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	assert.ErrorContains(t, Write(dir, writeString("x")), "is not a regular file")
	if runtime.GOOS != "windows" {
		assert.ErrorContains(t, Write("/dev/null", writeString("x")), "is not a regular file")
	}
	assert.ErrorIs(t, Write(filepath.Join(dir, "no", "such"), writeString("x")), os.ErrNotExist)
}

func TestLongName(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("ä", 120)) // 240 bytes
	require.NoError(t, Write(path, writeString("x")))
}

// A process that is killed while it writes leaves only its temporary file, and the next writer removes it. A live
// writer's file stays.
func TestKilledWriter(t *testing.T) {
	const env = "CLIPGO_TEST_WRITE_AND_HANG"
	if path := os.Getenv(env); path != "" {
		_ = Write(path, func(w io.Writer) error {
			_, _ = io.WriteString(w, "half")
			_, _ = os.Stdout.WriteString("writing\n")
			time.Sleep(time.Minute)
			return nil
		})
		return
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWriter$")
	cmd.Env = append(os.Environ(), env+"="+path)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	b := make([]byte, 64)
	n, err := stdout.Read(b)
	require.NoError(t, err)
	require.True(t, bytes.HasPrefix(b[:n], []byte("writing")))

	names := list(t, dir)
	require.Len(t, names, 1)
	left := names[0]
	assert.True(t, strings.HasPrefix(left, ".out."), "a hidden name, got %s", left)
	require.NoError(t, Write(path, writeString("beside a live writer")))
	assert.ElementsMatch(t, []string{left, "out"}, list(t, dir))

	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	assert.ElementsMatch(t, []string{left, "out"}, list(t, dir))
	require.NoError(t, Write(path, writeString("after it died")))
	assert.Equal(t, []string{"out"}, list(t, dir))
}

func TestLeavesOthersFiles(t *testing.T) {
	dir := t.TempDir()
	others := []string{".out.12345678", ".out.1234567.tmp", ".out.1234567g.tmp", ".out.more.12345678.tmp", "out.12345678.tmp"}
	for _, name := range others {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".out.0123abcd.tmp"), nil, 0o600))
	require.NoError(t, Write(filepath.Join(dir, "out"), writeString("x")))
	assert.ElementsMatch(t, append(others, "out"), list(t, dir))
}
