package bindings

import (
	"fmt"
	"sync"
)

// handle guards an object of the engine: calls share it, Close waits for them.
type handle struct {
	lib  *Library
	mu   sync.RWMutex
	ptr  uintptr // 0 once closed
	free func(uintptr)
}

// use calls f with the object, which can't be closed meanwhile. f must not call use on the same handle again: with a Close
// waiting in between, both would wait for ever.
func (h *handle) use(call string, f func(ptr uintptr) error) error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.ptr == 0 {
		return fmt.Errorf("%s: %w", call, ErrClosed)
	}
	return f(h.ptr)
}

// Close frees the object once the calls in flight have returned. Closing twice is harmless.
func (h *handle) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ptr != 0 {
		h.free(h.ptr)
		h.ptr = 0
	}
	return nil
}
