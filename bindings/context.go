package bindings

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unsafe"
)

// Context is an arena in which a program runs. Runs on one Context take turns; use one Context for each goroutine that
// should not wait.
type Context struct {
	handle
	nOps int
	turn chan struct{} // holds one token: its taker may run
}

// ContextOptions are the limits of a context.
type ContextOptions struct {
	MaxBatch, MaxRows int
	Profile           bool // measure the time of each op, for Profile
}

// NewContext allocates all that runs within the limits will need.
func (p *Program) NewContext(o ContextOptions) (*Context, error) {
	const call = "create context"
	batch, err := toUint32(call, "batch", o.MaxBatch)
	if err != nil {
		return nil, err
	}
	rows, err := toUint32(call, "rows", o.MaxRows)
	if err != nil {
		return nil, err
	}
	opt := contextOptions{Size: uint32(unsafe.Sizeof(contextOptions{})), MaxBatch: batch, MaxRows: rows}
	if o.Profile {
		opt.Flags = 1
	}
	c := &Context{handle: handle{lib: p.lib, free: p.lib.fn.contextFree}, nOps: p.nOps, turn: make(chan struct{}, 1)}
	c.turn <- struct{}{}
	err = p.use(call, func(ptr uintptr) error {
		e := newErrorRecord()
		return e.result(call, p.lib.fn.contextCreate(ptr, &opt, &c.ptr, e))
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Run runs the program. in and out hold all inputs and all outputs, laid out as program.Layout says for batch and rows.
// When ctx is done the run ends soon and the error wraps ctx's cause; out is then undefined.
func (c *Context) Run(ctx context.Context, batch, rows int, in, out []byte) error {
	const call = "run program"
	b, err := toUint32(call, "batch", batch)
	if err != nil {
		return err
	}
	r, err := toUint32(call, "rows", rows)
	if err != nil {
		return err
	}
	if ctx.Err() != nil { // with a token there as well, select would toss a coin
		return fmt.Errorf("%s: %w", call, context.Cause(ctx))
	}
	select {
	case <-c.turn:
		defer func() { c.turn <- struct{}{} }()
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", call, context.Cause(ctx))
	}
	args := runArgs{Size: uint32(unsafe.Sizeof(runArgs{})), Batch: b, Rows: r}
	e := newErrorRecord()
	err = c.use(call, func(ptr uintptr) error {
		said := make(chan struct{})
		stop := context.AfterFunc(ctx, func() {
			c.lib.fn.cancel(ptr, 1)
			close(said)
		})
		status := c.lib.fn.run(ptr, &args, unsafe.Pointer(unsafe.SliceData(in)), uint64(len(in)),
			unsafe.Pointer(unsafe.SliceData(out)), uint64(len(out)), e)
		if !stop() {
			// The cancel is on its way, maybe too late for this run: take it back before the next one.
			<-said
			c.lib.fn.cancel(ptr, 0)
		}
		return e.result(call, status)
	})
	var refused *Error
	if errors.As(err, &refused) && refused.Code == CodeCancelled && ctx.Err() != nil {
		return fmt.Errorf("%s: %w", call, context.Cause(ctx))
	}
	return err
}

// Memory returns the number of bytes of the arena.
func (c *Context) Memory() (arena uint64, err error) {
	const call = "ask a context's memory"
	err = c.use(call, func(ptr uintptr) error {
		m := memoryRecord{Size: uint32(unsafe.Sizeof(memoryRecord{}))}
		e := newErrorRecord()
		if err := e.result(call, c.lib.fn.contextMemory(ptr, &m, e)); err != nil {
			return err
		}
		arena = m.ArenaBytes
		return nil
	})
	return arena, err
}

// Profile returns the time spent in each op, summed over the runs so far of a context made with ContextOptions.Profile.
func (c *Context) Profile() (times []time.Duration, err error) {
	const call = "ask a context's profile"
	err = c.use(call, func(ptr uintptr) error {
		nanoseconds := make([]uint64, c.nOps)
		e := newErrorRecord()
		if err := e.result(call, c.lib.fn.profile(ptr, unsafe.SliceData(nanoseconds), uint64(len(nanoseconds)), e)); err != nil {
			return err
		}
		times = make([]time.Duration, c.nOps)
		for i, n := range nanoseconds {
			times[i] = time.Duration(n)
		}
		return nil
	})
	return times, err
}
