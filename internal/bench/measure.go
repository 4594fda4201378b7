package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/clipgo/clipgo/bindings"
	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/arch"
	"github.com/clipgo/clipgo/internal/engine"
	"github.com/clipgo/clipgo/internal/program"
)

// Job is one thing to measure: a tower in a file, run with so many items at a time.
type Job struct {
	File        string
	Tower       Tower
	Batch       int
	Threads     int // 0: as many as the processors that this process may use
	Tokens      int // of a text; 0: as many as the model's context
	ISA         string
	Activations bindings.Activations
	Ops         bool // measure the time of each op
}

// Sample is what was measured.
type Sample struct {
	ISA      string
	Threads  int
	Rows     int     // of an item: patches and class token, or tokens
	MS       float64 // per item: the median of the faster half of the runs
	GFLOP    float64 // of an item in the whole tower
	Computed float64 // of these, GFLOP that are computed
	Ceilings Ceilings
	Ops      []OpTime
}

// OpTime is the time of all ops of one kind and size.
type OpTime struct {
	Op    string  `json:"op"`
	Count int     `json:"count"`
	MS    float64 `json:"ms"`    // per item
	GFLOP float64 `json:"gflop"` // per item
}

// How long a job is repeated: for the time, but at least five times, or three if even these take more than twice as long.
const (
	leastRuns = 5
	fewRuns   = 3
	mostRuns  = 400
	leastTime = 1500 * time.Millisecond
)

// Measure does a job, in this process. first is called when the first result is there.
func Measure(ctx context.Context, j Job, first func() error) (*Sample, error) {
	e, err := engine.Open(engine.Options{Threads: j.Threads, ISA: j.ISA, Activations: j.Activations, Profile: j.Ops})
	if err != nil {
		return nil, err
	}
	defer e.Close()
	f, err := gguf.Open(j.File)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, p, whole, err := compile(f, j.Tower)
	if err != nil {
		return nil, err
	}
	rows, inputs := randomInputs(m, j)
	runner, err := e.Prepare(f, p, engine.PrepareOptions{})
	if err != nil {
		return nil, err
	}
	defer runner.Close()
	run := func() error {
		_, err := runner.Run(ctx, j.Batch, rows, inputs...)
		return err
	}
	if err := run(); err != nil {
		return nil, err
	}
	if err := first(); err != nil {
		return nil, err
	}

	s := &Sample{ISA: e.ISA, Threads: e.Threads, Rows: rows, GFLOP: totalFLOP(whole, rows) / 1e9, Computed: totalFLOP(p, rows) / 1e9}
	if j.Tower == Image {
		s.Rows = towerRows(p)
	}
	before, err := e.Ceilings(0)
	if err != nil {
		return nil, err
	}
	if err := run(); err != nil { // the ceilings left the caches cold
		return nil, err
	}
	opsBefore, err := runner.Profile()
	if err != nil {
		return nil, err
	}
	times, err := repeat(leastTime, run)
	if err != nil {
		return nil, err
	}
	s.MS = fastMedian(times).Seconds() * 1e3 / float64(j.Batch)
	opsAfter, err := runner.Profile()
	if err != nil {
		return nil, err
	}
	s.Ops = opTimes(p, rows, opsBefore, opsAfter, float64(len(times)*j.Batch))
	after, err := e.Ceilings(0)
	s.Ceilings = Best(before, after)
	return s, err
}

// Ceilings are what no product can exceed.
type Ceilings = bindings.Ceilings

// Best returns the better of each two measurements, but the longer handover: how far apart the cores are that threads run on may
// change meanwhile.
func Best(a, b Ceilings) Ceilings {
	return Ceilings{F32: max(a.F32, b.F32), BF16: max(a.BF16, b.BF16), Int8: max(a.Int8, b.Int8), Read: max(a.Read, b.Read),
		Handover: max(a.Handover, b.Handover)}
}

// repeat runs for at least a while and returns the time of each run.
func repeat(least time.Duration, run func() error) (times []time.Duration, err error) {
	begin := time.Now()
	for {
		start := time.Now()
		if err := run(); err != nil {
			return nil, err
		}
		times = append(times, time.Since(start))
		n, spent := len(times), time.Since(begin)
		if n >= leastRuns && spent >= least || n >= fewRuns && spent >= 2*least || n >= mostRuns {
			return times, nil
		}
	}
}

// fastMedian returns the median of the faster half: what other programs didn't disturb.
func fastMedian(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	fast := sorted[:(len(sorted)+1)/2]
	return (fast[(len(fast)-1)/2] + fast[len(fast)/2]) / 2
}

// randomInputs are pixels, or texts of as many tokens as asked for, the last one their end.
func randomInputs(m *arch.Model, j Job) (rows int, inputs []engine.Input) {
	random := rand.New(rand.NewPCG(3, 4))
	if j.Tower == Image {
		pixels := make([]float32, j.Batch*3*m.Vision.Image.Area())
		for i := range pixels {
			pixels[i] = float32(random.NormFloat64())
		}
		return 1, []engine.Input{{Name: arch.InputPixels, F32: pixels}}
	}
	t := m.Text
	if rows = j.Tokens; rows == 0 {
		rows = t.Context
	}
	ids, places := make([]int32, j.Batch*rows), make([]int32, j.Batch*rows)
	for i := range ids {
		ids[i], places[i] = random.Int32N(int32(t.Vocab-1)), int32(i%rows)
	}
	var index, lengths, keys []int32
	for i := range j.Batch {
		ids[(i+1)*rows-1] = t.EOS
		index, lengths, keys = append(index, int32(rows-1)), append(lengths, int32(rows)), append(keys, int32(rows), 0)
	}
	return rows, []engine.Input{
		{Name: arch.InputIDs, I32: ids}, {Name: arch.InputPlaces, I32: places}, {Name: arch.InputIndex, I32: index},
		{Name: arch.InputLengths, I32: lengths}, {Name: arch.InputKeys, I32: keys}}
}

// towerRows is the number of rows of the blocks: that of the first attention.
func towerRows(p *program.Program) int {
	for _, op := range p.Ops {
		if op.Kind == program.Attention {
			return p.Values[op.Src[1]].Rows.At(1)
		}
	}
	return 0
}

// opTimes sums the times of like ops, in the order in which they come first.
func opTimes(p *program.Program, rows int, before, after []time.Duration, items float64) (list []OpTime) {
	for i := range after {
		op := &p.Ops[i]
		name := opName(p, op)
		at := slices.IndexFunc(list, func(o OpTime) bool { return o.Op == name })
		if at < 0 {
			at = len(list)
			list = append(list, OpTime{Op: name})
		}
		list[at].Count++
		list[at].MS += (after[i] - before[i]).Seconds() * 1e3 / items
		list[at].GFLOP += opFLOP(p, op, rows) / 1e9
	}
	return list
}

// opName is an op's kind, of a product the tensors' names without their block's, with the columns before and after.
func opName(p *program.Program, op *program.Op) string {
	if op.Kind != program.Linear {
		return op.Kind.String()
	}
	var names []string
	for _, w := range op.W[:op.I[1]] {
		name := strings.TrimSuffix(p.Tensors[w].Name, ".weight")
		names = append(names, name[strings.LastIndexByte(name, '.')+1:])
	}
	return fmt.Sprintf("%s %s %d>%d", op.Kind, strings.Join(names, "+"), p.Values[op.Src[0]].Width, p.Values[op.Dst].Width)
}

// Machine is what computes.
type Machine struct {
	CPU, ISA string
	Threads  int
	Ceilings Ceilings
}

// readBytes is more than caches hold.
const readBytes = 256 << 20

// Describe measures the machine with as many threads, 0 meaning one for each processor.
func Describe(threads int, isa string) (*Machine, error) {
	e, err := engine.Open(engine.Options{Threads: threads, ISA: isa})
	if err != nil {
		return nil, err
	}
	defer e.Close()
	c, err := e.Ceilings(readBytes)
	return &Machine{CPU: e.CPU, ISA: e.ISA, Threads: e.Threads, Ceilings: c}, err
}
