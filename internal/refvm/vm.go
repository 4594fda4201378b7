// Package refvm interprets programs in plain Go. It is the oracle that the engine is compared with, and the engine of last
// resort where there is no native library.
//
// Values are float32, as the engine's are. Within an op all arithmetic is float64, rounded to float32 once when an element
// is stored: sums over a thousand products err by less than the rounding of their result. Only the rounding of activations
// to 8 bits is done in float32, in the engine's own steps, so that both get the same integers.
package refvm

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/clipgo/clipgo/internal/program"
)

// Activations says how the left sides of matrix products are kept, with the numbers of clipgo.h.
type Activations uint32

// The kinds of activations.
const (
	F32       Activations = iota // as they are
	Int8                         // against quantised weights: 8 bits, a scale per 128 columns
	Int8Block                    // against quantised weights: 8 bits, a scale per 32 columns
	BF16                         // against F16 and BF16 weights: both sides rounded to bfloat16; otherwise Int8
)

// Options change how a program is run.
type Options struct {
	Activations Activations
	Tiles       bool // what would be rounded to 8 bits is rounded to bfloat16, and so are the weights: Intel's AMX
	Threads     int  // 0: GOMAXPROCS
}

// VM runs one program. It is immutable and may be used by several goroutines.
type VM struct {
	program *program.Program
	weights Weights
	options Options
	lastUse []int // of each value: the last op that reads it
}

// New verifies a program. weights must give the rows of the program's tensors for as long as the VM is used.
func New(p *program.Program, weights Weights, o Options) (*VM, error) {
	if err := p.Verify(); err != nil {
		return nil, err
	}
	if o.Activations > BF16 {
		return nil, fmt.Errorf("activations are %d, expected %d to %d", o.Activations, F32, BF16)
	}
	if o.Threads < 0 {
		return nil, fmt.Errorf("threads are %d, expected 0 or more", o.Threads)
	}
	if o.Threads == 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	vm := &VM{program: p, weights: weights, options: o, lastUse: make([]int, len(p.Values))}
	for i := range p.Ops {
		for _, v := range p.Ops[i].Src {
			if v != program.None {
				vm.lastUse[v] = i
			}
		}
	}
	return vm, nil
}

// maxElements of a value: 8 GiB. Beyond that a make would end the process rather than fail.
const maxElements = 1 << 31

// run is one run of a program.
type run struct {
	*VM
	ctx         context.Context
	batch, rows int
	floats      [][]float32 // of each value [batch, rows, width], nil before it is written and after its last use
	ints        [][]int32
	op          *program.Op
}

// Run runs the program. in and out hold all inputs and all outputs, laid out as program.Layout says, little-endian. When
// ctx is done the run ends soon with ctx's cause.
func (vm *VM) Run(ctx context.Context, batch, rows int, in, out []byte) error {
	p := vm.program
	r := &run{VM: vm, ctx: ctx, batch: batch, rows: rows,
		floats: make([][]float32, len(p.Values)), ints: make([][]int32, len(p.Values))}
	if err := r.checkSizes(len(in), len(out)); err != nil {
		return err
	}
	r.readInputs(in)
	for i := range p.Ops {
		if r.ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r.op = &p.Ops[i]
		if err := r.step(); err != nil {
			return fmt.Errorf("op %d (%s): %w", i, r.op.Kind, err)
		}
		for _, v := range r.op.Src {
			if v != program.None && vm.lastUse[v] == i && p.Values[v].Role == program.Temporary {
				r.floats[v] = nil
			}
		}
	}
	r.writeOutputs(out)
	return nil
}

func (r *run) checkSizes(in, out int) error {
	if r.batch < 1 || r.batch > math.MaxInt32 || r.rows < 1 || r.rows > math.MaxInt32 {
		return fmt.Errorf("%d items of %d rows, expected 1 or more", r.batch, r.rows)
	}
	for i, v := range r.program.Values {
		if rows := uint64(r.batch) * uint64(v.Rows.At(r.rows)); rows > maxElements/uint64(v.Width) {
			return fmt.Errorf("value %d of %d items of %d rows is too large", i, r.batch, r.rows)
		}
	}
	if _, size := r.program.Layout(program.Input, r.batch, r.rows); in < size {
		return fmt.Errorf("the input has %d bytes, expected %d", in, size)
	}
	if _, size := r.program.Layout(program.Output, r.batch, r.rows); out < size {
		return fmt.Errorf("the output has %d bytes, expected %d", out, size)
	}
	return nil
}

func (r *run) readInputs(in []byte) {
	offsets, _ := r.program.Layout(program.Input, r.batch, r.rows)
	for i, v := range r.program.Values {
		if v.Role != program.Input {
			continue
		}
		data := in[offsets[0]:]
		offsets = offsets[1:]
		n := r.batch * v.Rows.At(r.rows) * v.Width
		if v.Kind == program.I32 {
			r.ints[i] = make([]int32, n)
			for k := range r.ints[i] {
				r.ints[i][k] = int32(binary.LittleEndian.Uint32(data[4*k:]))
			}
			continue
		}
		r.floats[i] = make([]float32, n)
		for k := range r.floats[i] {
			r.floats[i][k] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*k:]))
		}
	}
}

func (r *run) writeOutputs(out []byte) {
	offsets, _ := r.program.Layout(program.Output, r.batch, r.rows)
	for i, v := range r.program.Values {
		if v.Role != program.Output {
			continue
		}
		data := out[offsets[0]:]
		offsets = offsets[1:]
		for k, x := range r.floats[i] {
			binary.LittleEndian.PutUint32(data[4*k:], math.Float32bits(x))
		}
	}
}

// step runs the op r.op.
func (r *run) step() error {
	dst := r.program.Values[r.op.Dst]
	r.floats[r.op.Dst] = make([]float32, r.batch*dst.Rows.At(r.rows)*dst.Width)
	switch r.op.Kind {
	case program.Embed:
		return r.embed()
	case program.Im2Col:
		return r.im2col()
	case program.DWConv:
		return r.dwconv()
	case program.Concat:
		return r.concat()
	case program.Add:
		return r.add()
	case program.Mul:
		return r.mul()
	case program.Act:
		return r.act()
	case program.Norm:
		return r.norm()
	case program.L2Norm:
		return r.l2norm()
	case program.Linear:
		return r.linear()
	case program.Attention:
		return r.attention()
	case program.Select:
		return r.selects()
	}
	return fmt.Errorf("the interpreter doesn't know this op")
}

// matrix is a value with the items' rows one under another: [items*rows, width].
type matrix struct {
	data        []float32
	rows, width int // rows of one item
}

func (m matrix) row(i int) []float32 { return m.data[i*m.width : (i+1)*m.width] }

// value returns a value that is there, as verified.
func (r *run) value(id int32) matrix {
	v := r.program.Values[id]
	return matrix{r.floats[id], v.Rows.At(r.rows), v.Width}
}

func (r *run) dst() matrix { return r.value(r.op.Dst) }

// tensor returns a whole tensor, nil for None. It is for those that are small: norms, biases, positions.
func (r *run) tensor(slot int) (matrix, error) {
	id := r.op.W[slot]
	if id == program.None {
		return matrix{}, nil
	}
	t := r.program.Tensors[id]
	m := matrix{make([]float32, t.Rows*t.Cols), t.Rows, t.Cols}
	for i := range t.Rows {
		if err := r.weights.Row(id, i, m.row(i)); err != nil {
			return m, err
		}
	}
	return m, nil
}

// vector returns a tensor of one row, nil for None.
func (r *run) vector(slot int) ([]float32, error) {
	m, err := r.tensor(slot)
	return m.data, err
}

// parallel calls f for 0..n-1 from several goroutines, until one fails or the run is cancelled.
func (r *run) parallel(n int, f func(i int) error) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	work := func() {
		for failed.Load() == nil {
			i := int(next.Add(1)) - 1
			if i >= n {
				return
			}
			err := context.Cause(r.ctx)
			if err == nil {
				err = f(i)
			}
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		}
	}
	var wg sync.WaitGroup
	for range min(r.options.Threads, n) - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// eachRow calls f for every row of dst, of all items.
func (r *run) eachRow(f func(i int, dst []float32)) error {
	dst := r.dst()
	const chunk = 16
	total := r.batch * dst.rows
	return r.parallel((total+chunk-1)/chunk, func(c int) error {
		for i := c * chunk; i < min(total, (c+1)*chunk); i++ {
			f(i, dst.row(i))
		}
		return nil
	})
}
