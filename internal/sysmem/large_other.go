//go:build !linux

package sysmem

func wholeLargePages([]byte) []byte { return nil }

func adviseLargePages([]byte) {}

func fetchPages([]byte) bool { return false }
