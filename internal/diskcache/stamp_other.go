//go:build !linux && !darwin

package diskcache

import (
	"errors"
	"io/fs"
	"time"
)

func identity(fs.FileInfo) (device, inode uint64, changed time.Time, ok bool) {
	return 0, 0, time.Time{}, false
}

// Executable is not known here: without stamps it has no use.
func Executable() (fs.FileInfo, error) { return nil, errors.ErrUnsupported }
