package clipgo

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/clipgo/clipgo/internal/engine"
	"github.com/clipgo/clipgo/internal/sysmem"
)

// WithMaxMemory refuses, with a *MemoryError, what would make the process's resident memory exceed so many bytes: a tower whose
// packed weights don't fit, and a run that doesn't even with one picture or text at a time. Before that, fewer are
// computed at a time. What the caller and Go's heap take counts as far as it is there when a tower comes; pictures that are
// decoded later come on top: see MaxPixels.
//
// Without this option too a tower is refused that takes more than the system, or the process's control group, has left.
func WithMaxMemory(bytes int64) Option { return func(o *options) { o.maxMemory = bytes } }

// MemoryError says that something would take more memory than there is. Numbers are bytes.
type MemoryError struct {
	What     string // needs the memory
	Need     int64
	Resident int64  // what the process has already, which counts only against WithMaxMemory's limit
	Limit    int64  // of the process, or what is left of who gives
	Giver    string // "the system", "the control group", or "" for WithMaxMemory
}

// Error says what was needed, what there is, and what to do.
func (e *MemoryError) Error() string {
	const mb = 1e6
	need := fmt.Sprintf("%s needs %.1f MB", e.What, float64(e.Need)/mb)
	if e.Giver != "" {
		need += fmt.Sprintf(", but %s has only %.1f MB left", e.Giver, float64(e.Limit)/mb)
	} else {
		need += fmt.Sprintf(" beside the %.1f MB that the process has, which makes %.1f MB, over the limit of %.1f MB",
			float64(e.Resident)/mb, float64(e.Need+e.Resident)/mb, float64(e.Limit)/mb)
	}
	return need + "; take a model with smaller weights (clipgo quantize), or give it more memory"
}

// transient is what comes and goes beside weights and arena: pages of the file while they are packed, Go's heap.
const transient = 8 << 20

// pixelBytes is what a picture takes at most for each pixel while it is decoded and prepared: planes and RGB, 3 bytes each, and
// as much again of the picture before it, until Go collects it.
const pixelBytes = 16

// MaxPixels returns how many pixels a picture may have so that decoding it (ImageOptions.MaxPixels) beside the image tower,
// which it prepares, stays within WithMaxMemory's limit; 0: there is none. It holds for one picture at a time, as
// EncodeEach loads them under a limit.
func (m *Model) MaxPixels(ctx context.Context) (int, error) {
	limit := m.options.maxMemory
	if limit == 0 {
		return 0, nil
	}
	if err := m.prepareImages(ctx); err != nil {
		return 0, err
	}
	// The tower was let in with this much to spare.
	return int(max(transient, limit-sysmem.Resident()-transient) / pixelBytes), nil
}

// room grants or refuses memory for what.
func (m *Model) room(what string, need engine.Need) error {
	n := need.Total() + transient
	if limit := m.options.maxMemory; limit > 0 {
		if sysmem.Resident()+n > limit {
			debug.FreeOSMemory() // what is garbage doesn't count
		}
		if r := sysmem.Resident(); r+n > limit {
			return &MemoryError{What: what, Need: n, Resident: r, Limit: limit}
		}
	}
	if left, who, ok := sysmem.Available(); ok && n > left {
		return &MemoryError{What: what, Need: n, Limit: left, Giver: who}
	}
	return nil
}

// tooLarge reports whether a run was refused for its memory.
func tooLarge(err error) bool {
	var refused *MemoryError
	return errors.As(err, &refused)
}

// Memory tells what the engine holds for a tower now, in bytes: packed weights and the memory of runs. It is 0 before
// the tower's first use, after its release, and in the interpreter.
func (m *Model) Memory(t Tower) (int64, error) {
	if err := m.enter(); err != nil {
		return 0, err
	}
	defer m.leave()
	at, err := m.tower(t)
	if err != nil {
		return 0, err
	}
	return at.memory()
}
