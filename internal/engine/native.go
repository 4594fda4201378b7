package engine

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/clipgo/clipgo/bindings"
	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/program"
)

// native is a program in the native engine. Its context grows with what is asked of it. Runner lets one caller in at a time.
type native struct {
	program  *bindings.Program
	profiled bool
	under    []io.Closer // program, weights and their memory, in the order in which they are closed
	room     func(Need) error
	save     func(panels []byte) // wants the packed weights in the end; nil: nobody does

	context           *bindings.Context
	maxBatch, maxRows int
}

func (e *Engine) prepareNative(f *gguf.File, p *program.Program, o PrepareOptions) (m machine, err error) {
	n := &native{profiled: e.options.Profile, room: o.Room}
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	data, places, flags := f.Mapped(), make([]program.Place, len(p.Tensors)), bindings.DiscardPages
	if data == nil {
		memory, err := load(f, p, places)
		if err != nil {
			return nil, err
		}
		n.own(memory)
		data, flags = memory.Bytes(), 0
	} else {
		for i, t := range p.Tensors {
			info, ok := f.Tensor(t.Name)
			if !ok {
				return nil, fmt.Errorf("tensor %q is missing", t.Name)
			}
			places[i] = program.Place{Offset: uint64(info.Offset), Bytes: uint64(info.Bytes)}
		}
	}
	weights, err := e.device.NewWeights(data, p.EncodeTensors(places), flags)
	if err != nil {
		return nil, err
	}
	n.own(weights)
	values, ops := p.EncodeValues(), p.EncodeOps()
	if o.Room != nil {
		need, err := e.plan(weights, values, ops, o.Rows)
		if err == nil {
			err = o.Room(need)
		}
		if err != nil {
			return nil, err
		}
	}
	if o.Panels != nil {
		if n.restore(e, weights, values, ops, o.Panels) {
			return n, nil
		}
		n.save = o.Panels.Save
	}
	if n.program, err = weights.NewProgram(e.Activations, values, ops); err != nil {
		return nil, err
	}
	n.own(n.program)
	return n, nil
}

// plan asks what a program and a run of one item of so many rows take.
func (e *Engine) plan(weights *bindings.Weights, values, ops []byte, rows int) (need Need, err error) {
	p, err := weights.PlanProgram(e.Activations, values, ops)
	if err != nil {
		return need, err
	}
	defer p.Close()
	c, err := p.NewContext(bindings.ContextOptions{MaxBatch: 1, MaxRows: max(1, rows)})
	if err != nil {
		return need, err
	}
	defer c.Close()
	return memoryOf(p, c)
}

// restore takes panels that were packed before; false where there are none that fit.
func (n *native) restore(e *Engine, weights *bindings.Weights, values, ops []byte, from Panels) bool {
	panels, mapping := from.Load()
	if panels == nil {
		return false
	}
	p, err := weights.RestoreProgram(e.Activations, values, ops, panels)
	if err != nil {
		mapping.Close()
		return false
	}
	n.program = p
	n.own(mapping)
	n.own(p)
	return true
}

func memoryOf(p *bindings.Program, c *bindings.Context) (need Need, err error) {
	packed, err := p.Memory()
	if err != nil || c == nil {
		return Need{Packed: int64(packed)}, err
	}
	arena, err := c.Memory()
	return Need{int64(packed), int64(arena)}, err
}

func (n *native) memory() (Need, error) { return memoryOf(n.program, n.context) }

// load copies the tensors of p out of a file that is not mapped, each to a multiple of 64 bytes.
func load(f *gguf.File, p *program.Program, places []program.Place) (*bindings.Memory, error) {
	var size uint64
	for i, t := range p.Tensors {
		info, ok := f.Tensor(t.Name)
		if !ok {
			return nil, fmt.Errorf("tensor %q is missing", t.Name)
		}
		places[i] = program.Place{Offset: size, Bytes: uint64(info.Bytes)}
		size += (uint64(info.Bytes) + 63) &^ 63
	}
	memory, err := bindings.AllocMemory(int(size))
	if err != nil {
		return nil, err
	}
	for i, t := range p.Tensors {
		r, err := f.TensorReader(t.Name)
		if err == nil {
			at := places[i]
			_, err = io.ReadFull(r, memory.Bytes()[at.Offset:at.Offset+at.Bytes])
		}
		if err != nil {
			memory.Close()
			return nil, fmt.Errorf("reading tensor %q: %w", t.Name, err)
		}
	}
	return memory, nil
}

// own makes close close h before what it already owns.
func (n *native) own(h io.Closer) { n.under = append([]io.Closer{h}, n.under...) }

func (n *native) run(ctx context.Context, batch, rows int, in, out []byte) error {
	c, err := n.contextFor(batch, rows)
	if err != nil {
		return err
	}
	return c.Run(ctx, batch, rows, in, out)
}

func (n *native) contextFor(batch, rows int) (*bindings.Context, error) {
	if n.context != nil {
		if batch <= n.maxBatch && rows <= n.maxRows {
			return n.context, nil
		}
		if err := n.context.Close(); err != nil {
			return nil, err
		}
		n.context = nil
	}
	maxBatch, maxRows := max(batch, n.maxBatch), max(rows, n.maxRows)
	c, err := n.program.NewContext(bindings.ContextOptions{MaxBatch: maxBatch, MaxRows: maxRows, Profile: n.profiled})
	if err != nil {
		return nil, err
	}
	if n.room != nil {
		// It has only addresses so far: memory comes with the first run.
		arena, err := c.Memory()
		if err == nil {
			err = n.room(Need{Arena: int64(arena)})
		}
		if err != nil {
			c.Close()
			return nil, err
		}
	}
	n.context, n.maxBatch, n.maxRows = c, maxBatch, maxRows
	return c, nil
}

func (n *native) profile() ([]time.Duration, error) {
	if n.context == nil || !n.profiled {
		return nil, nil
	}
	return n.context.Profile()
}

func (n *native) close() error {
	var first error
	if n.context != nil {
		first = n.context.Close()
		n.context = nil
	}
	if n.save != nil && n.program != nil {
		if panels, err := n.program.Panels(); err == nil && panels != nil {
			n.save(panels)
		}
	}
	for _, h := range n.under {
		if err := h.Close(); err != nil && first == nil {
			first = err
		}
	}
	n.under = nil
	return first
}
