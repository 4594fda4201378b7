package main

import (
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// scratchFile is a file in memory: gigabytes that are gone in a minute needn't go to a disk.
type scratchFile struct{ *os.File }

func newScratchFile() (*scratchFile, error) {
	fd, err := unix.MemfdCreate("clipgo-bench", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return &scratchFile{os.NewFile(uintptr(fd), "clipgo-bench")}, nil
}

// share hands the file on to a process and returns its path there.
func (f *scratchFile) share(cmd *exec.Cmd) string {
	cmd.ExtraFiles = []*os.File{f.File}
	return "/proc/self/fd/3"
}

func (f *scratchFile) remove() { f.Close() }
