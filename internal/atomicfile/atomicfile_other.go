//go:build !unix || aix || solaris

package atomicfile

import (
	"os"
	"runtime"
)

func lock(*os.File) {}

// removeIfDead relies on Windows to remove no file that a live writer has open.
func removeIfDead(name string) {
	if runtime.GOOS == "windows" {
		os.Remove(name)
	}
}

func renameAndClose(tmp *os.File, path string) error {
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

func syncDir(string) error { return nil }
