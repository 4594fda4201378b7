//go:build !linux

package main

import (
	"os"
	"os/exec"
)

// scratchFile is a temporary file.
type scratchFile struct{ *os.File }

func newScratchFile() (*scratchFile, error) {
	f, err := os.CreateTemp("", "clipgo-bench-*.gguf")
	if err != nil {
		return nil, err
	}
	return &scratchFile{f}, nil
}

// share returns the path that a process finds the file by.
func (f *scratchFile) share(*exec.Cmd) string { return f.Name() }

func (f *scratchFile) remove() {
	f.Close()
	os.Remove(f.Name())
}
