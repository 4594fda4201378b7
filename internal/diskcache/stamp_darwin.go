package diskcache

import (
	"io/fs"
	"os"
	"syscall"
	"time"
)

func identity(st fs.FileInfo) (device, inode uint64, changed time.Time, ok bool) {
	s, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, time.Time{}, false
	}
	return uint64(s.Dev), s.Ino, time.Unix(s.Ctimespec.Sec, s.Ctimespec.Nsec), true
}

// Executable describes the file that this process runs.
func Executable() (fs.FileInfo, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return os.Stat(path)
}
