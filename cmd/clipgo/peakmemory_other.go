//go:build !linux

package main

// Other systems keep one peak for the whole life of a process, in which two models can't be told apart.
func resetPeakMemory() (now int64, ok bool) { return 0, false }

func peakMemory() (int64, bool) { return 0, false }
