package imageio

import (
	"slices"
	"sync"
	"weak"

	"github.com/clipgo/clipgo/internal/sysmem"
)

// spares is memory that was large pictures and files, for the next ones: to get it anew from the system, or cleared by the collector,
// takes a tenth of the time that decoding into it takes. The collector takes what it finds unused.
type spares struct {
	mu   sync.Mutex
	list []weak.Pointer[[]byte]
}

var spare spares

// worthSparing is the least number of bytes that are worth it.
const worthSparing = 1 << 20

// put keeps b, at which nobody looks any more.
func (s *spares) put(b []byte) {
	if cap(b) < worthSparing {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(slices.DeleteFunc(s.list, collected), weak.Make(&b))
}

func collected(p weak.Pointer[[]byte]) bool { return p.Value() == nil }

// take returns n bytes with anything in them, or nil.
func (s *spares) take(n int) []byte {
	if n < worthSparing {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, p := range s.list {
		if b := p.Value(); b != nil && cap(*b) >= n && cap(*b)/2 <= n {
			s.list = slices.Delete(s.list, i, i+1)
			return (*b)[:n]
		}
	}
	return nil
}

// Recycle gives the memory of the pixels to another picture. Nobody may look at them afterwards, nor at what methods of the
// picture returned.
func (p *Picture) Recycle() {
	spare.put(p.Pix)
	p.Pix = nil
}

// newFullPicture is newPicture for one who writes every pixel: it may find an old picture there. ready is to be called when all are
// written.
func newFullPicture(mode Mode, w, h int) (p *Picture, ready func()) {
	if old := spare.take(w * h * mode.bytesPerPixel()); old != nil {
		return &Picture{Mode: mode, W: w, H: h, Pix: old}, func() {}
	}
	p = newPicture(mode, w, h)
	return p, sysmem.FetchAhead(p.Pix)
}
