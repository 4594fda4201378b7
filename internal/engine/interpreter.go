package engine

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/program"
	"github.com/clipgo/clipgo/internal/refvm"
)

// openInterpreter makes an engine that computes in Go. Its products are in floating point unless asked otherwise: there is
// no speed to be had from 8 bits here.
func openInterpreter(o Options) *Engine {
	threads := o.Threads
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	return &Engine{Info: Info{ISA: "go", Threads: threads, Activations: o.Activations}, options: o}
}

type interpreted struct{ vm *refvm.VM }

func (e *Engine) prepareInterpreter(f *gguf.File, p *program.Program) (machine, error) {
	tensors := make([][]byte, len(p.Tensors))
	for i, t := range p.Tensors {
		info, ok := f.Tensor(t.Name)
		if !ok {
			return nil, fmt.Errorf("tensor %q is missing", t.Name)
		}
		if data := f.Mapped(); data != nil {
			tensors[i] = data[info.Offset : info.Offset+info.Bytes]
			continue
		}
		var err error
		if tensors[i], err = f.ReadTensor(t.Name); err != nil {
			return nil, err
		}
	}
	weights, err := refvm.Stored(p, tensors)
	if err != nil {
		return nil, err
	}
	vm, err := refvm.New(p, weights, refvm.Options{Activations: refvm.Activations(e.options.Activations), Threads: e.Threads})
	if err != nil {
		return nil, err
	}
	return &interpreted{vm}, nil
}

func (m *interpreted) run(ctx context.Context, batch, rows int, in, out []byte) error {
	return m.vm.Run(ctx, batch, rows, in, out)
}

func (m *interpreted) profile() ([]time.Duration, error) { return nil, nil }

func (m *interpreted) memory() (Need, error) { return Need{}, nil }

func (m *interpreted) close() error { return nil }
