package diskcache

import (
	"fmt"
	"io/fs"
	"time"
)

// minAge is how long ago a file must have changed for its stamp to be believed. Times of files have the grain of the
// system's clock tick, up to 10 ms: of two changes within it, the second may leave the stamp as it was.
const minAge = 100 * time.Millisecond

// Stamp tells the states of a file apart: its place, size, and the times of the last change of its contents and of anything
// about it, which no program can set back. ok is false where the system has no such times, or the last change is so recent
// that another could go unseen. Who reads a file between two equal stamps, the first of them ok, has read one state of it.
func Stamp(st fs.FileInfo, now time.Time) (stamp string, ok bool) {
	if st == nil {
		return "", false
	}
	device, inode, changed, ok := identity(st)
	if !ok || now.Sub(changed) < minAge {
		return "", false
	}
	return fmt.Sprintf("%d %d %d %d %d", device, inode, st.Size(), st.ModTime().UnixNano(), changed.UnixNano()), true
}
