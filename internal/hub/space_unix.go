//go:build linux || darwin

package hub

import (
	"math"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// freeSpace returns how many bytes the disk that dir is on, or will be, has left; ok is false where that isn't known.
func freeSpace(dir string) (free int64, ok bool) {
	for {
		var fs unix.Statfs_t
		err := unix.Statfs(dir, &fs)
		if err == nil {
			size := uint64(fs.Bsize)
			return int64(min(fs.Bavail, math.MaxInt64/max(size, 1)) * size), true
		}
		parent := filepath.Dir(dir)
		if !os.IsNotExist(err) || parent == dir {
			return 0, false
		}
		dir = parent
	}
}
