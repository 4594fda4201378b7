package filelock

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMain lets the test binary be a process that takes a lock and keeps it until its input ends.
func TestMain(m *testing.M) {
	if path := os.Getenv("CLIPGO_TEST_LOCK"); path != "" {
		if _, err := Acquire(context.Background(), path, nil); err != nil {
			os.Exit(1)
		}
		os.Stdout.WriteString("locked\n")
		bufio.NewReader(os.Stdin).ReadByte()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestOneProcessWaitsForAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "folder", "x.lock")
	other := exec.Command(os.Args[0])
	other.Env = append(os.Environ(), "CLIPGO_TEST_LOCK="+path)
	stdin, err := other.StdinPipe()
	require.NoError(t, err)
	stdout, err := other.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, other.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "locked\n", line)

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = Acquire(ctx, path, nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)

	waited := 0
	lock, err := Acquire(t.Context(), path, func() { waited++; stdin.Close() })
	require.NoError(t, err)
	require.Equal(t, 1, waited)
	require.NoError(t, other.Wait())
	lock.Release()
	again, err := Acquire(t.Context(), path, func() { t.Error("the lock is free") })
	require.NoError(t, err)
	again.Release()
}
