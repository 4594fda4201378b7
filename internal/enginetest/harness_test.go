// Package enginetest compares the native engine with the interpreter of internal/refvm: every op on every instruction set
// that the library has and this processor runs, with one thread and with several. It has tests only.
//
// # Tolerances
//
// The interpreter adds in float64. The engine adds n products in float32, in several chains that are added at the end, so
// its error is that of a random walk: about sqrt(n) * 2^-24 of what a typical partial sum is, which for n up to 1000
// random terms is 2e-6 of the root mean square (rms) of the row of results. The worst of some 10^5 elements lies 4 to 5
// deviations out: 1e-5 of (rms + |result|) is what an element may differ by, unless a test says otherwise. Products of
// 8-bit codes are exact integers, and only n/32 of them are added: 3e-6 would do. But where the processor has dot products of
// bytes, these few sums pass through some 10^7 times a weight's scale (ggml/src/cpu/gemm_dot.inc): 5e-4, where the scales of a
// group are as different as those of random K blocks are. Q8_0 and Q4_0 stay within 2e-5. That the activations were rounded to 8
// bits costs 4e-3.
package enginetest

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/clipgo/clipgo/bindings"
	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/program"
	"github.com/clipgo/clipgo/internal/refvm"
	"github.com/clipgo/clipgo/internal/testutil"
	"github.com/clipgo/clipgo/quantize"
)

const (
	tolerance     = 1e-5
	toleranceInt8 = 5e-4
)

// toleranceOf products of weights of these types with activations that are rounded where the weights are quantised.
func toleranceOf(types ...gguf.Type) float64 {
	if slices.ContainsFunc(types, gguf.Type.Quantized) {
		return toleranceInt8
	}
	return tolerance
}

// device is one instruction set with a number of threads.
type device struct {
	*bindings.Device
	isa     string
	threads int
}

// tested counts the comparisons of each op on each instruction set; TestMain demands all.
var tested = struct {
	sync.Mutex
	isas  []string
	count map[string]map[program.OpKind]int
}{count: map[string]map[program.OpKind]int{}}

func TestMain(m *testing.M) {
	code := m.Run()
	everything := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == ""
	if list := flag.Lookup("test.list"); list.Value.String() != "" {
		everything = false
	}
	if code == 0 && everything {
		for _, isa := range tested.isas {
			for kind := program.Embed; kind <= program.Select; kind++ {
				if tested.count[isa][kind] == 0 {
					fmt.Printf("no test compared %s on %s\n", kind, isa)
					code = 1
				}
			}
		}
	}
	os.Exit(code)
}

var openDevices = sync.OnceValues(func() (devices []device, err error) {
	library, err := bindings.Open(os.Getenv("CLIPGO_TEST_LIBRARY_PATH"))
	if err != nil {
		return nil, err
	}
	isas, err := library.ISAs()
	if err != nil {
		return nil, err
	}
	tested.isas = isas
	for _, isa := range isas {
		for _, threads := range []int{1, 3} {
			d, err := library.NewDevice(bindings.DeviceOptions{ISA: isa, Threads: threads})
			if err != nil {
				return nil, err
			}
			info, err := d.Describe()
			if err != nil {
				return nil, err
			}
			if info.ISA != isa || info.Threads != threads {
				return nil, fmt.Errorf("asked for %s with %d threads, got %+v", isa, threads, info)
			}
			devices = append(devices, device{d, isa, threads})
		}
	}
	return devices, nil
})

func devices(t testing.TB) []device {
	t.Helper()
	path := testutil.Engine(t)
	os.Setenv("CLIPGO_TEST_LIBRARY_PATH", path)
	all, err := openDevices()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// fixture is a program under construction with the data that it runs on. All that is random comes from its seed.
type fixture struct {
	*program.Builder
	t           testing.TB
	rng         *rand.Rand
	bytes       map[string][]byte // of each tensor, as stored
	batch, rows int
	activations bindings.Activations
	inputs      []func(n int) []byte // of each input, made for the number of elements
	spread      float64              // what inputs and tensors are multiples of
	floor       float64              // the least rms that a row of results is taken for
}

func newFixture(t testing.TB, seed uint64, batch, rows int) *fixture {
	return &fixture{Builder: program.NewBuilder(), t: t, rng: rand.New(rand.NewPCG(seed, 1)), bytes: map[string][]byte{},
		batch: batch, rows: rows, spread: 1, floor: 1e-30}
}

func (f *fixture) normals(n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(f.rng.NormFloat64() * f.spread)
	}
	return out
}

// floats declares an input of random numbers.
func (f *fixture) floats(rows program.Rows, width int) int32 {
	return f.given(rows, width, f.normals)
}

// given declares an input of floats that make gives.
func (f *fixture) given(rows program.Rows, width int, make func(n int) []float32) int32 {
	f.inputs = append(f.inputs, func(n int) []byte { return floatBytes(make(n)) })
	return f.Input(fmt.Sprint("x", len(f.Values)), program.F32, rows, width)
}

// ints declares an input of random integers in [0, most].
func (f *fixture) ints(rows program.Rows, most int) int32 {
	f.inputs = append(f.inputs, func(n int) []byte {
		var b []byte
		for range n {
			b = binary.LittleEndian.AppendUint32(b, uint32(f.rng.IntN(most+1)))
		}
		return b
	})
	return f.Input(fmt.Sprint("i", len(f.Values)), program.I32, rows, 1)
}

// exactInts declares an input of the integers given.
func (f *fixture) exactInts(rows program.Rows, values ...int32) int32 {
	return f.exactIntRows(rows, 1, values...)
}

// exactIntRows is exactInts for rows of `width` integers.
func (f *fixture) exactIntRows(rows program.Rows, width int, values ...int32) int32 {
	f.inputs = append(f.inputs, func(n int) []byte {
		if n != len(values) {
			f.t.Fatalf("%d integers are given, the input has %d", len(values), n)
		}
		var b []byte
		for _, v := range values {
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		}
		return b
	})
	return f.Input(fmt.Sprint("i", len(f.Values)), program.I32, rows, width)
}

// weight adds a random tensor.
func (f *fixture) weight(typ gguf.Type, rows, cols int) int32 {
	f.t.Helper()
	t := program.Tensor{Name: fmt.Sprint("w", len(f.Tensors)), Type: typ, Rows: rows, Cols: cols}
	size, err := t.Bytes()
	if err != nil {
		f.t.Fatal(err)
	}
	data := make([]byte, size)
	if quantize.CanQuantize(typ) {
		if err := quantize.Quantize(data, f.normals(rows*cols), typ, cols, nil); err != nil {
			f.t.Fatal(err)
		}
	} else {
		f.randomBlocks(data, typ)
	}
	f.bytes[t.Name] = data
	return f.Weight(t)
}

// randomBlocks fills data with blocks of a type that has no encoder: any bytes that decode to numbers of a usual size.
func (f *fixture) randomBlocks(data []byte, typ gguf.Type) {
	n := typ.BlockBytes()
	values := make([]float32, typ.BlockSize())
	for at := 0; at < len(data); {
		for i := range n {
			data[at+i] = byte(f.rng.Uint32())
		}
		if err := quantize.Dequantize(values, data[at:at+n], typ); err != nil {
			f.t.Fatal(err)
		}
		var most float64
		for _, v := range values {
			most = math.Max(most, math.Abs(float64(v)))
		}
		if most > 0.5 && most < 8 { // false for NaN
			at += n
		}
	}
}

// linear is Linear with one weight and no extras.
func (f *fixture) linear(x, w int32) int32 {
	return f.Linear(x, program.LinearArgs{Weights: []int32{w}, Biases: []int32{program.None}, Gate: program.None,
		Scale: program.None, Residual: program.None})
}

func (f *fixture) input() []byte {
	offsets, size := f.Layout(program.Input, f.batch, f.rows)
	in := make([]byte, size)
	i := 0
	for _, v := range f.Values {
		if v.Role == program.Input {
			copy(in[offsets[i]:], f.inputs[i](f.batch*v.Rows.At(f.rows)*v.Width))
			i++
		}
	}
	return in
}

func (f *fixture) outputBytes() int {
	_, size := f.Layout(program.Output, f.batch, f.rows)
	return size
}

// stored returns the tensors' bytes in table order.
func (f *fixture) stored() [][]byte {
	all := make([][]byte, len(f.Tensors))
	for i, t := range f.Tensors {
		all[i] = f.bytes[t.Name]
	}
	return all
}

// oracle runs the program in the interpreter.
func (f *fixture) oracle(in []byte, o refvm.Options) ([]byte, error) {
	f.t.Helper()
	weights, err := refvm.Stored(&f.Program, f.stored())
	if err != nil {
		f.t.Fatal(err)
	}
	vm, err := refvm.New(&f.Program, weights, o)
	if err != nil {
		f.t.Fatal(err)
	}
	out := make([]byte, f.outputBytes())
	return out, vm.Run(context.Background(), f.batch, f.rows, in, out)
}

// loaded is a program in the engine.
type loaded struct {
	*bindings.Program
	weights *bindings.Weights
	memory  *bindings.Memory
}

// load gives the tensors to the engine, at odd places, as a file may have them.
func (f *fixture) load(d device) (*loaded, error) {
	f.t.Helper()
	var data []byte
	var places []program.Place
	for _, b := range f.stored() {
		data = append(data, 0)
		places = append(places, program.Place{Offset: uint64(len(data)), Bytes: uint64(len(b))})
		data = append(data, b...)
	}
	memory, err := bindings.AllocMemory(len(data) + 1)
	if err != nil {
		f.t.Fatal(err)
	}
	copy(memory.Bytes(), data)
	l := &loaded{memory: memory}
	if l.weights, err = d.NewWeights(memory.Bytes(), f.EncodeTensors(places), 0); err == nil {
		l.Program, err = l.weights.NewProgram(f.activations, f.EncodeValues(), f.EncodeOps())
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *loaded) close() {
	if l.Program != nil {
		l.Program.Close()
	}
	if l.weights != nil {
		l.weights.Close()
	}
	l.memory.Close()
}

// run runs the program on a device, in a context that is larger than it needs.
func (f *fixture) run(d device, in []byte) ([]byte, error) {
	f.t.Helper()
	l, err := f.load(d)
	if err != nil {
		f.t.Fatalf("%s: %v\n%s", d.isa, err, f.String())
	}
	defer l.close()
	c, err := l.NewContext(bindings.ContextOptions{MaxBatch: f.batch + 1, MaxRows: f.rows + 2})
	if err != nil {
		f.t.Fatal(err)
	}
	defer c.Close()
	out := make([]byte, f.outputBytes())
	for i := range out {
		out[i] = 0xff // NaN: whatever isn't written shows
	}
	return out, c.Run(context.Background(), f.batch, f.rows, in, out)
}

// compare runs the program everywhere, and demands equal results but for tol.
func (f *fixture) compare(tol float64) {
	f.t.Helper()
	in := f.input()
	wants := map[refvm.Options][]byte{}
	for _, d := range devices(f.t) {
		o := roundings(f.activations, d.isa)
		if wants[o] == nil {
			want, err := f.oracle(in, o)
			if err != nil {
				f.t.Fatalf("interpreter: %v\n%s", err, f.String())
			}
			wants[o] = want
		}
		got, err := f.run(d, in)
		if err != nil {
			f.t.Fatalf("%s, %d threads: %v\n%s", d.isa, d.threads, err, f.String())
		}
		if err := f.difference(got, wants[o], tol); err != nil {
			f.t.Errorf("%s, %d threads, activations %d, %d items of %d rows: %v\n%s", d.isa, d.threads, f.activations, f.batch,
				f.rows, err, f.String())
		}
		tested.Lock()
		if tested.count[d.isa] == nil {
			tested.count[d.isa] = map[program.OpKind]int{}
		}
		for i := range f.Ops {
			tested.count[d.isa][f.Ops[i].Kind]++
		}
		tested.Unlock()
	}
}

// roundings are what an instruction set makes of a kind of activations, as clipgo.h allows: not all multiply bfloat16, and
// one multiplies it instead of bytes.
func roundings(a bindings.Activations, isa string) refvm.Options {
	if a == bindings.ActivationsBF16 && isa != "avx512bf16" && isa != "i8mm" && isa != "amx" {
		a = bindings.ActivationsInt8
	}
	return refvm.Options{Activations: refvm.Activations(a), Tiles: isa == "amx" && a != bindings.ActivationsF32}
}

// difference compares outputs element by element with tol * (rms of the row + |want|).
func (f *fixture) difference(got, want []byte, tol float64) error {
	offsets, _ := f.Layout(program.Output, f.batch, f.rows)
	next := 0
	for i, v := range f.Values {
		if v.Role != program.Output {
			continue
		}
		rows := f.batch * v.Rows.At(f.rows)
		g, w := floatsOf(got[offsets[next]:], rows*v.Width), floatsOf(want[offsets[next]:], rows*v.Width)
		next++
		for r := range rows {
			a, b := g[r*v.Width:(r+1)*v.Width], w[r*v.Width:(r+1)*v.Width]
			var squares float64
			for _, x := range b {
				if x-x == 0 { // finite
					squares += float64(x) * float64(x)
				}
			}
			rms := max(f.floor, math.Sqrt(squares/float64(v.Width)))
			for c := range a {
				x, y := float64(a[c]), float64(b[c])
				if x == y || math.IsNaN(x) && math.IsNaN(y) {
					continue
				}
				if d := math.Abs(x - y); !(d <= tol*(rms+math.Abs(y))) || math.IsInf(y, 0) {
					return fmt.Errorf("value %d, row %d, column %d is %v, the interpreter's is %v (off by %.3g of rms %.3g)", i, r, c, x, y, d/rms, rms)
				}
			}
		}
	}
	return nil
}

func floatBytes(x []float32) []byte {
	b := make([]byte, 0, 4*len(x))
	for _, v := range x {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

func floatsOf(b []byte, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return x
}
