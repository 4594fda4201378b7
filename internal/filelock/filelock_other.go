//go:build (!unix && !windows) || aix || solaris

package filelock

import (
	"errors"
	"os"
)

func tryLock(*os.File) error { return errors.ErrUnsupported }
