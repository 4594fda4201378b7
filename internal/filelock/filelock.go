// Package filelock keeps processes out of each other's way with a lock on a file.
package filelock

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"
)

// Lock is a lock that this process holds, nil where the file system has none to give.
type Lock struct{ file *os.File }

// errHeld says that another process has the lock.
var errHeld = errors.New("another process holds the lock")

// Acquire locks the file at path, which it makes with its folder where they are missing, and waits for whoever holds the
// lock; waiting, if not nil, is called once when it must. The lock ends with Release, or with the process, however it dies.
// The file stays: who removed it could have two processes lock two files of one name. Python's filelock does the same on
// the same file, so its users and we keep each other out.
//
// A file system without locks is no error, as nothing may depend on the lock but that work isn't done twice.
func Acquire(ctx context.Context, path string, waiting func()) (*Lock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o664)
	if err != nil {
		return nil, err
	}
	// A blocking call could not be interrupted.
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := tryLock(f)
		if err == nil {
			return &Lock{f}, nil
		}
		if !errors.Is(err, errHeld) {
			f.Close()
			return nil, nil
		}
		if waiting != nil {
			waiting()
			waiting = nil
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

// Release gives the lock up.
func (l *Lock) Release() {
	if l != nil {
		l.file.Close() // which unlocks it
	}
}
