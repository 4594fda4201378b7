package bindings

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// memoryFile returns a path to a file in memory with the bytes of image. It stays open while the process lives.
func memoryFile(image []byte) (string, error) {
	fd, err := unix.MemfdCreate(LibraryName(), unix.MFD_CLOEXEC)
	if err != nil {
		return "", fmt.Errorf("create a file in memory: %w", err)
	}
	path := fmt.Sprintf("/proc/self/fd/%d", fd)
	f := os.NewFile(uintptr(fd), path)
	if _, err := f.Write(image); err != nil {
		f.Close()
		return path, fmt.Errorf("write a file in memory: %w", err)
	}
	memoryFiles = append(memoryFiles, f)
	return path, nil
}

// memoryFiles keeps the files from being collected and closed: debuggers and profilers read them by path.
var memoryFiles []*os.File
