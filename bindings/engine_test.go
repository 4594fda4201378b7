package bindings

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/internal/testutil"
)

func openEngine(t testing.TB) *Library {
	t.Helper()
	l, err := Open(testutil.Engine(t))
	require.NoError(t, err)
	return l
}

func uint32s(n ...uint32) (b []byte) {
	for _, v := range n {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

const none = math.MaxUint32 // -1

// value is a float value of R rows of the width.
func value(role, width uint32) []byte { return uint32s(0, role, 1, 0, width, 0) }

// linear is the op dst = src W^T, W the only tensor.
func linear(dst, src uint32) []byte {
	return uint32s(10, 0, dst, 0, src, none, none, none, 0, none, none, none, none, none, none, none,
		0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
}

// chain is a loaded program of n products with a matrix of size by size, which is 0.5 times the unit matrix.
type chain struct {
	values, ops []byte
	device      *Device
	memory      *Memory
	weights     *Weights
	program     *Program
	size        int
}

func newChain(t testing.TB, n, size int) *chain {
	t.Helper()
	c := &chain{size: size}
	var err error
	c.device, err = openEngine(t).NewDevice(DeviceOptions{Threads: 2})
	require.NoError(t, err)
	c.memory, err = AllocMemory(4 * size * size)
	require.NoError(t, err)
	for i := range size {
		binary.LittleEndian.PutUint32(c.memory.Bytes()[4*(i*size+i):], math.Float32bits(0.5))
	}
	tensors := binary.LittleEndian.AppendUint64(nil, 0)
	for _, v := range []int{4 * size * size, size, size, 0} {
		tensors = binary.LittleEndian.AppendUint64(tensors, uint64(v))
	}
	c.weights, err = c.device.NewWeights(c.memory.Bytes(), tensors, 0)
	require.NoError(t, err)
	values, ops := value(1, uint32(size)), []byte(nil)
	for i := range n {
		role := uint32(0)
		if i == n-1 {
			role = 2
		}
		values = append(values, value(role, uint32(size))...)
		ops = append(ops, linear(uint32(i+1), uint32(i))...)
	}
	c.values, c.ops = values, ops
	c.program, err = c.weights.NewProgram(ActivationsF32, values, ops)
	require.NoError(t, err)
	t.Cleanup(func() {
		for _, h := range []interface{ Close() error }{c.program, c.weights, c.device, c.memory} {
			assert.NoError(t, h.Close())
		}
	})
	return c
}

func (c *chain) context(t testing.TB, rows int) *Context {
	t.Helper()
	ctx, err := c.program.NewContext(ContextOptions{MaxBatch: 1, MaxRows: rows, Profile: true})
	require.NoError(t, err)
	t.Cleanup(func() { ctx.Close() })
	return ctx
}

// buffers returns an input of ones and an output.
func (c *chain) buffers(rows int) (in, out []byte) {
	in = make([]byte, 4*rows*c.size)
	for i := range rows * c.size {
		binary.LittleEndian.PutUint32(in[4*i:], math.Float32bits(1))
	}
	return in, make([]byte, len(in))
}

func first(out []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(out)) }

func TestEngine(t *testing.T) {
	l := openEngine(t)
	assert.NotEmpty(t, l.Path())
	assert.NotEmpty(t, l.Source())
	isas, err := l.ISAs()
	require.NoError(t, err)
	assert.Contains(t, isas, "scalar")
	for _, isa := range isas {
		d, err := l.NewDevice(DeviceOptions{ISA: isa, Threads: 2, SpinMicros: 1})
		require.NoError(t, err)
		info, err := d.Describe()
		require.NoError(t, err)
		assert.Equal(t, isa, info.ISA)
		assert.Equal(t, 2, info.Threads)
		assert.NotEmpty(t, info.CPU)
		require.NoError(t, d.Close())
	}
	d, err := l.NewDevice(DeviceOptions{})
	require.NoError(t, err)
	info, err := d.Describe()
	require.NoError(t, err)
	assert.Equal(t, isas[0], info.ISA)
	assert.LessOrEqual(t, info.Threads, runtime.NumCPU())
	require.NoError(t, d.Close())
}

func TestRun(t *testing.T) {
	c := newChain(t, 3, 40)
	ctx := c.context(t, 5)
	in, out := c.buffers(5)
	require.NoError(t, ctx.Run(t.Context(), 1, 5, in, out))
	assert.Equal(t, float32(0.125), first(out))
	packed, err := c.program.Memory()
	require.NoError(t, err)
	assert.GreaterOrEqual(t, packed, uint64(4*40*40))
	arena, err := ctx.Memory()
	require.NoError(t, err)
	assert.GreaterOrEqual(t, arena, uint64(2*4*40*5))
	times, err := ctx.Profile()
	require.NoError(t, err)
	assert.Len(t, times, 3)
	for _, d := range times {
		assert.True(t, d > 0 && d < time.Minute)
	}
}

func TestPlan(t *testing.T) {
	c := newChain(t, 3, 40)
	require.NoError(t, c.program.Close()) // else its panels serve the plan
	plan, err := c.weights.PlanProgram(ActivationsF32, c.values, c.ops)
	require.NoError(t, err)
	defer plan.Close()
	packed, err := plan.Memory()
	require.NoError(t, err)
	assert.GreaterOrEqual(t, packed, uint64(4*40*40))
	panels, err := plan.Panels()
	require.NoError(t, err)
	assert.Nil(t, panels)
	ctx, err := plan.NewContext(ContextOptions{MaxBatch: 1, MaxRows: 5})
	require.NoError(t, err)
	defer ctx.Close()
	arena, err := ctx.Memory()
	require.NoError(t, err)
	assert.GreaterOrEqual(t, arena, uint64(2*4*40*5))
	in, out := c.buffers(5)
	require.ErrorContains(t, ctx.Run(t.Context(), 1, 5, in, out), "only planned")
}

func TestRestore(t *testing.T) {
	c := newChain(t, 3, 40)
	in, want := c.buffers(5)
	require.NoError(t, c.context(t, 5).Run(t.Context(), 1, 5, in, want))
	panels, err := c.program.Panels()
	require.NoError(t, err)
	kept, err := AllocMemory(len(panels))
	require.NoError(t, err)
	defer kept.Close()
	copy(kept.Bytes(), panels)

	other := newChain(t, 3, 40)
	require.NoError(t, other.program.Close())
	clear(other.memory.Bytes()) // the panels come from elsewhere
	_, err = other.weights.RestoreProgram(ActivationsF32, c.values, c.ops, nil)
	require.ErrorContains(t, err, "no panels")
	_, err = other.weights.RestoreProgram(ActivationsF32, c.values, c.ops, kept.Bytes()[:len(panels)-64])
	require.ErrorContains(t, err, fmt.Sprintf("%d bytes of panels to restore, expected %d", len(panels)-64, len(panels)))
	restored, err := other.weights.RestoreProgram(ActivationsF32, c.values, c.ops, kept.Bytes())
	require.NoError(t, err)
	defer restored.Close()
	ctx, err := restored.NewContext(ContextOptions{MaxBatch: 1, MaxRows: 5})
	require.NoError(t, err)
	defer ctx.Close()
	_, got := c.buffers(5)
	require.NoError(t, ctx.Run(t.Context(), 1, 5, in, got))
	assert.Equal(t, want, got)
}

func TestErrorsAreTyped(t *testing.T) {
	l := openEngine(t)
	_, err := l.NewDevice(DeviceOptions{ISA: "abacus"})
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, CodeUnsupported, e.Code)
	assert.Equal(t, "create device", e.Call)
	assert.Contains(t, err.Error(), `"abacus"`)

	for _, o := range []DeviceOptions{{Threads: -1}, {SpinMicros: -1}, {Threads: 1 << 40}, {Threads: 1 << 20},
		{ISA: "an instruction set with a long name"}} {
		_, err := l.NewDevice(o)
		assert.Error(t, err, o)
	}

	c := newChain(t, 1, 8)
	_, err = c.device.NewWeights(c.memory.Bytes(), make([]byte, 39), 0)
	assert.ErrorContains(t, err, "39 bytes, expected a multiple of 40")
	_, err = c.device.NewWeights(c.memory.Bytes()[:8], make([]byte, 40), 0)
	require.ErrorAs(t, err, &e)
	assert.Equal(t, CodeTensor, e.Code)
	_, err = c.device.NewWeights(c.memory.Bytes(), nil, 1<<40)
	require.ErrorAs(t, err, &e)
	assert.Equal(t, CodeArgument, e.Code)
	_, err = c.weights.NewProgram(ActivationsF32, value(1, 8), nil)
	require.ErrorAs(t, err, &e)
	assert.Equal(t, CodeProgram, e.Code)
	_, err = c.weights.NewProgram(9, value(1, 8), linear(0, 0))
	require.ErrorAs(t, err, &e)
	assert.Equal(t, CodeArgument, e.Code)
	for _, o := range []ContextOptions{{}, {MaxBatch: 1}, {MaxBatch: -1, MaxRows: 1}, {MaxBatch: 1, MaxRows: -1}} {
		_, err = c.program.NewContext(o)
		assert.Error(t, err, o)
	}
	_, err = c.program.NewContext(ContextOptions{MaxBatch: math.MaxInt32, MaxRows: math.MaxInt32})
	require.ErrorAs(t, err, &e)

	unmeasured, err := c.program.NewContext(ContextOptions{MaxBatch: 1, MaxRows: 1})
	require.NoError(t, err)
	_, err = unmeasured.Profile()
	require.ErrorAs(t, err, &e)
	require.NoError(t, unmeasured.Close())
	assert.Equal(t, "status 99", Code(99).String())
	assert.Equal(t, "run: input error (detail 3)", (&Error{Call: "run", Code: CodeInput, Detail: 3}).Error())
}

func TestCloseTwiceThenUse(t *testing.T) {
	c := newChain(t, 1, 8)
	ctx := c.context(t, 1)
	in, out := c.buffers(1)
	// Parents first: what was made from them lives on.
	for range 2 {
		require.NoError(t, c.device.Close())
		require.NoError(t, c.weights.Close())
		require.NoError(t, c.program.Close())
	}
	require.NoError(t, ctx.Run(t.Context(), 1, 1, in, out))
	assert.Equal(t, float32(0.5), first(out))
	require.NoError(t, ctx.Close())
	require.NoError(t, ctx.Close())

	_, err := c.device.Describe()
	assert.ErrorIs(t, err, ErrClosed)
	assert.EqualError(t, err, "describe device: already closed")
	_, err = c.device.NewWeights(nil, nil, 0)
	assert.ErrorIs(t, err, ErrClosed)
	_, err = c.weights.NewProgram(0, nil, nil)
	assert.ErrorIs(t, err, ErrClosed)
	_, err = c.program.NewContext(ContextOptions{MaxBatch: 1, MaxRows: 1})
	assert.ErrorIs(t, err, ErrClosed)
	_, err = c.program.Memory()
	assert.ErrorIs(t, err, ErrClosed)
	_, err = ctx.Memory()
	assert.ErrorIs(t, err, ErrClosed)
	_, err = ctx.Profile()
	assert.ErrorIs(t, err, ErrClosed)
	assert.ErrorIs(t, ctx.Run(t.Context(), 1, 1, in, out), ErrClosed)
}

// TestCloseWaits closes a context while others run in it: each run either ends well or finds it closed.
func TestCloseWaits(t *testing.T) {
	c := newChain(t, 20, 128)
	for range 10 {
		ctx := c.context(t, 16)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				in, out := c.buffers(16)
				for {
					err := ctx.Run(t.Context(), 1, 16, in, out)
					if errors.Is(err, ErrClosed) {
						return
					}
					if !assert.NoError(t, err) || !assert.Equal(t, float32(math.Pow(0.5, 20)), first(out)) {
						return
					}
				}
			})
		}
		for range 3 {
			wg.Go(func() {
				time.Sleep(2 * time.Millisecond)
				assert.NoError(t, ctx.Close())
			})
		}
		wg.Wait()
	}
}

// TestContextsInParallel runs one program in a context for each goroutine.
func TestContextsInParallel(t *testing.T) {
	c := newChain(t, 4, 96)
	var wg sync.WaitGroup
	for range 8 {
		ctx := c.context(t, 9)
		wg.Go(func() {
			in, out := c.buffers(9)
			for range 20 {
				if !assert.NoError(t, ctx.Run(t.Context(), 1, 9, in, out)) || !assert.Equal(t, float32(1./16), first(out)) {
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestCancelBefore(t *testing.T) {
	c := newChain(t, 1, 8)
	ctx := c.context(t, 1)
	in, out := c.buffers(1)
	cause := errors.New("enough")
	cancelled, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	assert.ErrorIs(t, ctx.Run(cancelled, 1, 1, in, out), cause)
	assert.NoError(t, ctx.Run(t.Context(), 1, 1, in, out))
}

// TestLateCancel cancels at about the time a run ends, again and again: a run that can't be cancelled, right after, must
// never feel it.
func TestLateCancel(t *testing.T) {
	c := newChain(t, 4, 64)
	ctx := c.context(t, 16)
	in, out := c.buffers(16)
	start := time.Now()
	for range 50 {
		require.NoError(t, ctx.Run(t.Context(), 1, 16, in, out))
	}
	usual := time.Since(start) / 50
	var ended, cancelled int
	for i := range 2000 {
		soon, cancel := context.WithTimeout(t.Context(), usual*time.Duration(i%40)/20)
		switch err := ctx.Run(soon, 1, 16, in, out); {
		case err == nil:
			ended++
		case errors.Is(err, context.DeadlineExceeded):
			cancelled++
		default:
			t.Fatal(err)
		}
		cancel()
		require.NoError(t, ctx.Run(t.Context(), 1, 16, in, out), "the run after, %d", i)
	}
	t.Logf("%d ended, %d were cancelled, a run takes %v", ended, cancelled, usual)
}

// TestCancelWhileWaiting gives up waiting for a context that another runs in.
func TestCancelWhileWaiting(t *testing.T) {
	c := newChain(t, 1, 8)
	ctx := c.context(t, 1)
	in, out := c.buffers(1)
	<-ctx.turn // as a run in progress would
	soon, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	assert.ErrorIs(t, ctx.Run(soon, 1, 1, in, out), context.DeadlineExceeded)
	ctx.turn <- struct{}{}
	assert.NoError(t, ctx.Run(t.Context(), 1, 1, in, out))
}

func TestMemory(t *testing.T) {
	for _, n := range []int{0, -1} {
		_, err := AllocMemory(n)
		assert.Error(t, err)
	}
	_, err := AllocMemory(math.MaxInt)
	assert.Error(t, err)
	m, err := AllocMemory(10)
	require.NoError(t, err)
	assert.Equal(t, make([]byte, 10), m.Bytes())
	require.NoError(t, m.Close())
	require.NoError(t, m.Close())
	assert.Nil(t, m.Bytes())
}

// BenchmarkCall measures the cost of a call into the engine.
func BenchmarkCall(b *testing.B) {
	c := newChain(b, 1, 8)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = c.program.Memory()
	}
}

func TestCeilings(t *testing.T) {
	l := openEngine(t)
	isas, err := l.ISAs()
	require.NoError(t, err)
	for _, isa := range isas {
		d, err := l.NewDevice(DeviceOptions{Threads: 2, ISA: isa})
		require.NoError(t, err)
		c, err := d.Ceilings(1 << 20)
		require.NoError(t, err)
		t.Logf("%s: %.3g", isa, c)
		assert.Positive(t, c.Read)
		assert.Positive(t, c.Handover)
		assert.Less(t, c.Handover, 1.0)
		if isa == "scalar" {
			assert.Zero(t, c.F32+c.BF16+c.Int8, "no instructions of its own")
		} else {
			assert.Greater(t, c.F32, 1e9)
			assert.Greater(t, c.Int8, c.F32, "four times as many numbers fit a register")
		}
		_, err = d.Ceilings(-1)
		assert.ErrorContains(t, err, "-1 bytes")
		require.NoError(t, d.Close())
		_, err = d.Ceilings(0)
		assert.ErrorIs(t, err, ErrClosed)
	}
}
