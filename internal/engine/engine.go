// Package engine runs programs over the weights of a GGUF file: in the native library, or in the interpreter where there
// is none.
package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
	"unsafe"

	"github.com/clipgo/clipgo/bindings"
	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/program"
)

// Options choose an engine.
type Options struct {
	Library     string // path of the native library; "": looked for
	Interpreter bool   // don't look for one
	Threads     int    // 0: as many as the processors that this process may use
	ISA         string // "": the best
	Activations bindings.Activations
	Profile     bool // measure the time of each op, for Runner.Profile; native only
}

// Info describes an engine.
type Info struct {
	Native  bool
	Library string // path of the native library
	ISA     string // "go" for the interpreter
	Threads int
	CPU     string

	Activations bindings.Activations
}

// Engine prepares programs. It is safe for concurrent use.
type Engine struct {
	Info
	options Options
	device  *bindings.Device // nil: the interpreter
}

// Open finds the engine. The error of a library that isn't found is a *bindings.LoadError.
func Open(o Options) (*Engine, error) {
	if o.Interpreter {
		return openInterpreter(o), nil
	}
	library, err := bindings.Open(o.Library)
	if err != nil {
		return nil, err
	}
	device, err := library.NewDevice(bindings.DeviceOptions{Threads: o.Threads, ISA: o.ISA})
	if err != nil {
		return nil, err
	}
	info, err := device.Describe()
	if err != nil {
		device.Close()
		return nil, err
	}
	return &Engine{
		Info: Info{Native: true, Library: library.Path(), ISA: info.ISA, Threads: info.Threads, CPU: info.CPU,
			Activations: o.Activations},
		options: o,
		device:  device,
	}, nil
}

// Close frees the engine; its runners must be closed before.
func (e *Engine) Close() error {
	if e.device == nil {
		return nil
	}
	return e.device.Close()
}

// Pictures returns the device that works on pictures, nil where there is no native library.
func (e *Engine) Pictures() *bindings.Device { return e.device }

// Ceilings measures what no product on the engine's threads can exceed; see bindings.Device.
func (e *Engine) Ceilings(readBytes int) (bindings.Ceilings, error) {
	if e.device == nil {
		return bindings.Ceilings{}, errors.New("measure ceilings: the interpreter has none")
	}
	return e.device.Ceilings(readBytes)
}

// Input is the data of one input of a run; exactly one of the slices is not nil.
type Input struct {
	Name string
	F32  []float32
	I32  []int32
}

func (in Input) bytes() []byte {
	if in.I32 != nil {
		return asBytes(in.I32)
	}
	return asBytes(in.F32)
}

// machine is what runs a prepared program.
type machine interface {
	// run has the buffers of program.Layout.
	run(ctx context.Context, batch, rows int, in, out []byte) error
	profile() ([]time.Duration, error)
	memory() (Need, error)
	close() error
}

// Need is memory that the native engine takes, in bytes.
type Need struct {
	Packed int64 // weights, in the order in which products read them
	Arena  int64 // what runs compute in
}

// Total is all of it.
func (n Need) Total() int64 { return n.Packed + n.Arena }

// Panels keeps the packed weights of one program between processes.
type Panels interface {
	// Load returns what was saved, mapped until it is closed; nil where there is nothing.
	Load() (panels []byte, mapping io.Closer)
	Save(panels []byte)
}

// PrepareOptions say how a program is prepared. The interpreter has no use for them.
type PrepareOptions struct {
	// Room is asked before memory is taken: at first for the weights and a run of one item of Rows rows, then whenever
	// a larger run needs a larger arena. Its error ends the call. nil: everything is granted.
	Room func(Need) error
	Rows int
	// Panels, if not nil, spares the packing, or is given the packed weights when the runner is closed.
	Panels Panels
}

// Runner runs one program. It is safe for concurrent use; runs take turns.
type Runner struct {
	program *program.Program
	machine machine
	turn    chan struct{}
	in, out []float32
}

// Prepare packs the weights of f that p needs.
func (e *Engine) Prepare(f *gguf.File, p *program.Program, o PrepareOptions) (*Runner, error) {
	var m machine
	var err error
	if e.device == nil {
		m, err = e.prepareInterpreter(f, p)
	} else {
		m, err = e.prepareNative(f, p, o)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return &Runner{program: p, machine: m, turn: make(chan struct{}, 1)}, nil
}

// Run runs the program and returns its outputs in the order of the program's values, each [batch, rows, width]. Inputs are
// [batch, rows, width] as well. A batch that would outgrow the caches is computed in parts.
func (r *Runner) Run(ctx context.Context, batch, rows int, inputs ...Input) ([][]float32, error) {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if batch < 1 {
		return nil, fmt.Errorf("run a batch of %d items, expected 1 or more", batch)
	}
	items, err := r.items(batch, rows, inputs)
	if err != nil {
		return nil, err
	}
	var outputs [][]float32
	for _, v := range r.program.Values {
		if v.Role == program.Output {
			outputs = append(outputs, make([]float32, batch*v.Rows.At(rows)*v.Width))
		}
	}
	size := partSize(r.program, batch, rows)
	for at := 0; at < batch; at += size {
		if err := r.runPart(ctx, at, min(size, batch-at), batch, rows, items, outputs); err != nil {
			return nil, err
		}
	}
	return outputs, nil
}

// items returns the bytes of each of the program's inputs, [batch, rows, width].
func (r *Runner) items(batch, rows int, inputs []Input) (items [][]byte, err error) {
	for _, v := range r.program.Values {
		if v.Role != program.Input {
			continue
		}
		i := slices.IndexFunc(inputs, func(in Input) bool { return in.Name == v.Name })
		if i < 0 {
			return nil, fmt.Errorf("input %s is missing", v.Name)
		}
		data, want := inputs[i].bytes(), 4*batch*v.Rows.At(rows)*v.Width
		if len(data) != want {
			return nil, fmt.Errorf("input %s has %d elements, expected %d", v.Name, len(data)/4, want/4)
		}
		items = append(items, data)
	}
	return items, nil
}

// runPart runs n of the batch's items, from the at-th on, and puts what comes out into its place in outputs.
func (r *Runner) runPart(ctx context.Context, at, n, batch, rows int, items [][]byte, outputs [][]float32) error {
	offsets, size := r.program.Layout(program.Input, n, rows)
	r.in = grow(r.in, (size+3)/4)
	in := asBytes(r.in)
	for i, data := range items {
		item := len(data) / batch
		copy(in[offsets[i]:], data[at*item:(at+n)*item])
	}
	offsets, size = r.program.Layout(program.Output, n, rows)
	r.out = grow(r.out, size/4)
	if err := r.machine.run(ctx, n, rows, in, asBytes(r.out)); err != nil {
		return err
	}
	for i, out := range outputs {
		item := len(out) / batch
		copy(out[at*item:(at+n)*item], r.out[offsets[i]/4:])
	}
	return nil
}

// Profile returns the time spent in each of the program's ops by the runs of the greatest batch and rows so far, all nil
// unless the engine was opened with Options.Profile.
func (r *Runner) Profile() ([]time.Duration, error) {
	r.turn <- struct{}{}
	defer func() { <-r.turn }()
	return r.machine.profile()
}

// Memory returns what the runner has taken so far; of the interpreter nothing is known.
func (r *Runner) Memory() (Need, error) {
	r.turn <- struct{}{}
	defer func() { <-r.turn }()
	return r.machine.memory()
}

// Close frees the runner after the run in progress.
func (r *Runner) Close() error {
	r.turn <- struct{}{}
	defer func() { <-r.turn }()
	return r.machine.close()
}

func grow(s []float32, n int) []float32 {
	if cap(s) < n {
		return make([]float32, n)
	}
	return s[:n]
}

func asBytes[T float32 | int32](s []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), 4*len(s))
}
