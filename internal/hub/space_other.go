//go:build !linux && !darwin

package hub

// freeSpace would return how many bytes a disk has left.
func freeSpace(string) (free int64, ok bool) { return 0, false }
