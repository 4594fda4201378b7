package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/clipgo/clipgo/internal/testutil"
)

// onTerminal runs a command line whose output goes to a terminal of some columns, and returns what appeared there.
func onTerminal(t *testing.T, columns uint16, args ...string) (shown string, code int) {
	t.Helper()
	t.Setenv("CLIPGO_LIBRARY", testutil.Engine(t))
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("this system has no terminals: %v", err)
	}
	defer screen.Close()
	require.NoError(t, unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("this system has no terminals: %v", err)
	}
	require.NoError(t, unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}))

	var all bytes.Buffer
	read := make(chan struct{})
	go func() {
		defer close(read)
		io.Copy(&all, screen) // ends with an error once the terminal is closed
	}()
	code = run(t.Context(), append([]string{"clipgo"}, args...), streams{strings.NewReader(""), terminal, terminal})
	require.NoError(t, terminal.Close())
	<-read
	return strings.ReplaceAll(all.String(), "\r\n", "\n"), code
}

// TestTableOnTerminal wants bars that begin in one column and fit into the line.
func TestTableOnTerminal(t *testing.T) {
	for _, width := range []uint16{80, 30, 10} {
		shown, code := onTerminal(t, width, "classify", model, "--template", "{}", "-l", "owl", "-l", "猫", "-l", "a car", demo("owl.png"))
		require.Zero(t, code, shown)
		lines := strings.Split(strings.TrimSuffix(shown, "\n"), "\n")
		require.Len(t, lines, 3, shown)
		require.Contains(t, lines[0], "%  owl")
		if width == 10 {
			require.NotContains(t, shown, "█", "there is no room")
			continue
		}
		before, bar, found := strings.Cut(lines[0], "█")
		require.True(t, found, shown)
		require.Equal(t, len("100.000%  a car  "), len(before), shown)
		require.Less(t, len(before)+1+len([]rune(bar)), int(width))
	}
	require.Equal(t, 4, columns("猫 a"))
}

// TestProgressOnTerminal wants a bar on the standard error for many pictures, and whole lines beside it.
func TestProgressOnTerminal(t *testing.T) {
	args := []string{"classify", model, "-l", "owl", "--csv"}
	for range 12 {
		args = append(args, demo("owl.png"))
	}
	shown, code := onTerminal(t, 80, append(args, "/nonexistent.png")...)
	require.Equal(t, exitPartial, code, shown)
	require.Contains(t, shown, "pictures [")
	require.Contains(t, shown, "] 13 of 13")
	require.Contains(t, shown, "\r\x1b[Kclipgo: image /nonexistent.png")
	require.Equal(t, 12, strings.Count(shown, "owl.png,owl,1\n"))
	few, _ := onTerminal(t, 80, args[:8]...)
	require.NotContains(t, few, "pictures [")
}

// TestDownloadOnTerminal wants a bar with speed and time left, unless the user wants none.
func TestDownloadOnTerminal(t *testing.T) {
	server := fakeHub(t)
	data := addDemo(t, server, "org/one", "demo.gguf").Files["demo.gguf"]
	addDemo(t, server, "org/two", "demo.gguf")
	server.Break(slowly(data, 150*time.Millisecond))
	shown, code := onTerminal(t, 100, "pull", "org/one")
	require.Zero(t, code, shown)
	require.Contains(t, shown, "clipgo: org/one: downloading 1 of its 2 files, 3.9 MB, from "+server.Host)
	require.Regexp(t, `download \[=+ +\] \d\.\d MB of 3\.9 MB  \d+\.\d [kM]B/s  \d+s left`, shown)
	require.True(t, strings.HasSuffix(shown, "one.gguf\n"), shown)
	t.Setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
	shown, code = onTerminal(t, 100, "pull", "org/two")
	require.Zero(t, code, shown)
	require.NotContains(t, shown, "download [")
}
