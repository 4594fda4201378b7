//go:build unix && !aix && !solaris

package atomicfile

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lock marks f as in use until it is closed, however the process ends. Where the file system can't lock, nobody can
// tell a dead writer's file from a live one's, and removeIfDead leaves all of them.
func lock(f *os.File) {
	_ = unix.Flock(int(f.Fd()), unix.LOCK_EX)
}

func removeIfDead(name string) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) == nil && same(f) {
		os.Remove(name)
	}
}

func renameAndClose(tmp *os.File, path string) error {
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return tmp.Close()
}

func syncDir(name string) error {
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	// Some file systems can't sync a folder, and say so.
	if err := dir.Sync(); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOTSUP) {
		return err
	}
	return nil
}
