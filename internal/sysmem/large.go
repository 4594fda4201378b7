package sysmem

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Large returns n zero bytes that are about to be filled, if they are many in large pages: clearing 36 MB that the system hands
// over 4 KiB at a time takes a quarter as long as decoding a picture into them.
func Large(n int) []byte {
	const worthwhile = 4 << 20
	b := make([]byte, n)
	if n >= worthwhile {
		adviseLargePages(b)
	}
	return b
}

// FetchAhead lets another processor, if there is one, get large pages of b from the system while the caller begins to fill them. The
// caller ends that with stop before it lets go of b.
func FetchAhead(b []byte) (stop func()) {
	rest := wholeLargePages(b)
	if len(rest) == 0 || runtime.GOMAXPROCS(0) == 1 {
		return func() {}
	}
	var fetching sync.WaitGroup
	var enough atomic.Bool
	fetching.Go(func() {
		for len(rest) > 0 && !enough.Load() && fetchPages(rest[:largePage]) {
			rest = rest[largePage:]
		}
	})
	return func() {
		enough.Store(true)
		fetching.Wait()
	}
}

// largePage is what large pages have nearly everywhere; where they are larger, the advice is only less exact.
const largePage = 2 << 20
