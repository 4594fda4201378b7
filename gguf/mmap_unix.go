//go:build unix

package gguf

import (
	"os"

	"golang.org/x/sys/unix"
)

// mapFile returns nil where the file can't be mapped, as on some network file systems: everything but Mapped works
// without.
func mapFile(f *os.File, size int64) []byte {
	if int64(int(size)) != size {
		return nil
	}
	b, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil
	}
	return b
}

func unmapFile(b []byte) {
	if b != nil {
		_ = unix.Munmap(b)
	}
}
