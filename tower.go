package clipgo

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/engine"
	"github.com/clipgo/clipgo/internal/program"
)

// Tower names one half of a model.
type Tower int

// The towers.
const (
	ImageTower Tower = iota
	TextTower
)

func (t Tower) String() string {
	switch t {
	case ImageTower:
		return "image tower"
	case TextTower:
		return "text tower"
	}
	return fmt.Sprintf("tower %d", int(t))
}

// tower is a tower that comes at its first use, and again at the next after it went.
type tower struct {
	mu     sync.RWMutex // held for reading while the runner is in use
	runner *engine.Runner
}

// use calls f with the runner, which can't go meanwhile. f must not use the same tower.
func (t *tower) use(prepare func() (*engine.Runner, error), f func(*engine.Runner) error) error {
	for {
		t.mu.RLock()
		if t.runner != nil {
			defer t.mu.RUnlock()
			return f(t.runner)
		}
		t.mu.RUnlock()
		if err := t.come(prepare); err != nil {
			return err
		}
	}
}

func (t *tower) come(prepare func() (*engine.Runner, error)) (err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.runner == nil {
		t.runner, err = prepare()
	}
	return err
}

// close frees the runner, if it is there, once nobody uses it.
func (t *tower) close() (there bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.runner == nil {
		return false, nil
	}
	err = t.runner.Close()
	t.runner = nil
	return true, err
}

// memory is what the runner has taken so far.
func (t *tower) memory() (int64, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.runner == nil {
		return 0, nil
	}
	need, err := t.runner.Memory()
	return need.Total(), err
}

// tower finds the tower that t names.
func (m *Model) tower(t Tower) (*tower, error) {
	switch t {
	case ImageTower:
		return &m.image, nil
	case TextTower:
		return &m.text, nil
	}
	return nil, fmt.Errorf("%v: expected the image tower or the text tower", t)
}

// useImages calls f with the image tower.
func (m *Model) useImages(f func(*engine.Runner) error) error {
	return m.image.use(func() (*engine.Runner, error) { return m.prepare(ImageTower, m.arch.ImageProgram, 1) }, f)
}

// prepareImages makes the image tower ready for its first use.
func (m *Model) prepareImages(ctx context.Context) error {
	return m.busy(ctx, func() error {
		if m.arch.Vision == nil {
			return fmt.Errorf("%s: the model has no image tower", m.file.Name())
		}
		return m.useImages(func(*engine.Runner) error { return nil })
	})
}

// useTexts calls f with the text tower.
func (m *Model) useTexts(f func(*engine.Runner) error) error {
	return m.text.use(func() (*engine.Runner, error) {
		return m.prepare(TextTower, m.arch.TextProgram, m.arch.Text.MaxTokens())
	}, f)
}

// prepare packs the weights of the tower that compile makes, if there is room for them and for one item of so many rows.
func (m *Model) prepare(t Tower, compile func(*gguf.File) (*program.Program, error), rows int) (*engine.Runner, error) {
	p, err := compile(m.file)
	if err != nil {
		return nil, err
	}
	return m.engine.Prepare(m.file, p, engine.PrepareOptions{
		Room:   func(n engine.Need) error { return m.ask("the "+t.String(), n) },
		Rows:   rows,
		Panels: m.panels(p),
	})
}

// Release gives back to the system what a tower takes while it isn't needed: packed weights, the memory that runs need, and
// of the text tower also the tokeniser. It waits for calls that use the tower. The next call that needs it prepares it
// again. Who encodes labels first and pictures then, and releases the text tower in between, never holds both.
func (m *Model) Release(t Tower) error {
	var there bool
	err := m.busy(context.Background(), func() error {
		at, err := m.tower(t)
		if err == nil {
			there, err = at.close()
		}
		return err
	})
	if err == nil && t == TextTower {
		// Not above: who makes the tokeniser waits for Close, and Close for whom is busy.
		there = m.tokenizerOnce.forget() || there
	}
	if there {
		debug.FreeOSMemory() // a tokeniser is 20 MB of Go's heap, which the runtime would keep for a while
	}
	return err
}
