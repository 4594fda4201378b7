package sysmem

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// wholeLargePages is that part of b that consists of large pages, so that no more memory is taken than b has.
func wholeLargePages(b []byte) []byte {
	before := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (largePage - 1)
	if before >= len(b) {
		return nil
	}
	return b[before : before+(len(b)-before)&^(largePage-1)]
}

// adviseLargePages is no more than advice: a kernel without large pages, or with none to spare, gives others.
func adviseLargePages(b []byte) {
	if pages := wholeLargePages(b); len(pages) > 0 {
		_ = unix.Madvise(pages, unix.MADV_HUGEPAGE)
	}
}

// fetchPages gets pages from the system as writing to them would, and leaves what is in them. Kernels before 5.14 can't.
func fetchPages(b []byte) bool { return unix.Madvise(b, unix.MADV_POPULATE_WRITE) == nil }
