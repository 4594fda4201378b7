package main

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
)

// resetPeakMemory begins a new peak of the process's resident memory and returns what is resident now, in bytes. The peak
// of getrusage can't be reset, and of a child it begins at its parent's. See proc_pid_clear_refs(5).
func resetPeakMemory() (now int64, ok bool) {
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		return 0, false
	}
	return statusBytes("VmRSS:")
}

// peakMemory returns the greatest resident memory since resetPeakMemory, in bytes.
func peakMemory() (int64, bool) { return statusBytes("VmHWM:") }

// statusBytes reads a line such as "VmRSS:   1960 kB".
func statusBytes(field string) (int64, bool) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, false
	}
	lines := bufio.NewScanner(bytes.NewReader(status))
	for lines.Scan() {
		words := bytes.Fields(lines.Bytes())
		if len(words) == 3 && string(words[0]) == field && string(words[2]) == "kB" {
			n, err := strconv.ParseInt(string(words[1]), 10, 64)
			return n * 1024, err == nil
		}
	}
	return 0, false
}
