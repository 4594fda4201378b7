package quantize

import (
	"context"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"runtime"

	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/ordered"
)

// Options of File. Policy is needed, and unless TargetSize is set its mix is what the tensors get.
type Options struct {
	Policy *Policy
	// Imatrix, if not nil, weighs the columns; ImatrixFile is its name, for the keys of the output.
	Imatrix     *Imatrix
	ImatrixFile string
	// AllowRequantize admits tensors that are quantised already, at the price of two losses.
	AllowRequantize bool
	// TargetSize, if not 0, is the greatest size in bytes of the output file. Each tensor gets the type that makes the
	// sum of errors least; of the policy, only what stays wide and the overrides count.
	TargetSize int64
	// Measure computes the errors in the report. Decoding everything again costs some time.
	Measure bool
	// Progress, if not nil, is told how many of the output's bytes are done. Calls come one at a time.
	Progress func(done, total int64)
}

// Report says what becomes of a file.
type Report struct {
	Policy            string // the mix's name, or "target size"
	FileType          uint32 // value of general.file_type
	Tensors           []TensorReport
	BytesIn, BytesOut int64 // of all tensors' data
}

// TensorReport says what becomes of a tensor.
type TensorReport struct {
	Name              string
	Dims              []uint64 // row length first
	From, To          gguf.Type
	BytesIn, BytesOut int64
	Why               string // "" for the mix's base type
	Fallback          bool   // the wanted type's blocks don't divide the rows
	Weighted          bool   // quantised with weights from the importance matrix
	// SquaredError is sum(w*(x-y)^2) and Energy sum(w*x^2) over the tensor, w from the importance matrix or 1: both 0 for
	// a copy, and NaN where they weren't measured.
	SquaredError, Energy float64
}

// RelativeError returns the root of the squared error by the energy: the length of the error by that of the tensor.
func (t *TensorReport) RelativeError() float64 {
	if t.SquaredError == 0 {
		return 0
	}
	return math.Sqrt(t.SquaredError / t.Energy)
}

// Fallbacks returns how many tensors kept a wider type because their rows are no whole number of blocks.
func (r *Report) Fallbacks() int { return r.count(func(t *TensorReport) bool { return t.Fallback }) }

// Weighted returns how many tensors are quantised with weights from the importance matrix.
func (r *Report) Weighted() int { return r.count(func(t *TensorReport) bool { return t.Weighted }) }

func (r *Report) count(is func(t *TensorReport) bool) (n int) {
	for i := range r.Tensors {
		if is(&r.Tensors[i]) {
			n++
		}
	}
	return n
}

const (
	// chunkElements is how much is read, quantised and written at a time, in whole rows.
	chunkElements = 1 << 18
	// maxRow is the longest row that is quantised. Rows of models have thousands of elements.
	maxRow = 1 << 22
	// memory bounds the chunks that are being worked on, in bytes.
	memory = 200 << 20
	// quantizationVersion numbers GGML's block layouts.
	quantizationVersion = 2
)

// File quantises the GGUF file at path in and writes the result to out: whole or not at all. It goes tensor by tensor, on
// all cores, in memory that doesn't grow with the file. Errors name the file and the tensor.
func File(ctx context.Context, in, out string, o Options) (*Report, error) {
	j, err := open(ctx, in, o)
	if err != nil {
		return nil, err
	}
	defer j.in.Close()
	w := gguf.NewWriter()
	if err := j.setKeys(w); err != nil {
		return nil, fmt.Errorf("%s: %w", in, err)
	}
	byName := map[string]*TensorReport{}
	for i := range j.report.Tensors {
		t := &j.report.Tensors[i]
		if err := w.AddTensor(t.Name, t.To, t.Dims); err != nil {
			return nil, fmt.Errorf("%s: %w", in, err)
		}
		byName[t.Name] = t
	}
	var done int64
	err = w.WriteFile(out, func(info gguf.TensorInfo, w io.Writer) error {
		return j.write(ctx, w, byName[info.Name], func(n int) {
			done += int64(n)
			if o.Progress != nil {
				o.Progress(done, j.report.BytesOut)
			}
		})
	})
	if err != nil {
		return nil, err
	}
	return j.report, nil
}

// Plan says what File would do, and writes nothing. Errors that are in the tensors' numbers only File finds.
func Plan(ctx context.Context, in string, o Options) (*Report, error) {
	j, err := open(ctx, in, o)
	if err != nil {
		return nil, err
	}
	defer j.in.Close()
	return j.report, nil
}

// job is one run over a file.
type job struct {
	in      *gguf.File
	options Options
	report  *Report
	weights map[string][]float32 // by tensor; missing or nil: all columns alike
}

func open(ctx context.Context, in string, o Options) (*job, error) {
	if o.Policy == nil {
		return nil, fmt.Errorf("quantise: no type is given")
	}
	f, err := gguf.Open(in)
	if err != nil {
		return nil, err
	}
	j := &job{in: f, options: o, weights: map[string][]float32{}}
	if err := j.plan(ctx); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", in, err)
	}
	return j, nil
}

// plan decides about every tensor.
func (j *job) plan(ctx context.Context) error {
	p := j.options.Policy
	j.report = &Report{Policy: p.Name(), FileType: p.FileType()}
	for _, info := range j.in.Tensors() {
		t, err := j.planTensor(info)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", info.Name, err)
		}
		j.report.Tensors = append(j.report.Tensors, t)
	}
	if j.options.TargetSize > 0 {
		if err := j.fit(ctx); err != nil {
			return err
		}
	}
	for i := range j.report.Tensors {
		t := &j.report.Tensors[i]
		if err := t.setBytes(); err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		t.Weighted = t.To.Quantized() && t.To != t.From && j.weights[t.Name] != nil
		j.report.BytesIn += t.BytesIn
		j.report.BytesOut += t.BytesOut
	}
	return nil
}

func (j *job) planTensor(info gguf.TensorInfo) (TensorReport, error) {
	t := TensorReport{Name: info.Name, Dims: info.Dims, From: info.Type, BytesIn: info.Bytes, SquaredError: math.NaN(), Energy: math.NaN()}
	c := j.options.Policy.Choose(info.Name, info.Dims)
	t.To, t.Why, t.Fallback = c.Type, c.Why, c.Fallback
	switch {
	case !CanDequantize(info.Type):
		if info.Type.Quantized() {
			return t, fmt.Errorf("is %s, which can't be dequantised: start from a model of F32, F16 or BF16", info.Type)
		}
		t.To, t.Why, t.Fallback = info.Type, "no floating-point numbers", false
	case j.keep(info.Type, c):
		t.To = info.Type
	case info.Type.Quantized() && info.Type != c.Type && !j.options.AllowRequantize:
		return t, fmt.Errorf("is %s already, and quantising twice loses twice: start from the F32, F16 or BF16 model, or allow it with --allow-requantize", info.Type)
	case t.To != t.From && info.Dims[0] > maxRow:
		return t, fmt.Errorf("a row of %d elements, expected at most %d", info.Dims[0], maxRow)
	}
	if j.options.Imatrix != nil && CanDequantize(info.Type) {
		w, err := j.options.Imatrix.Weights(info.Name, int(info.Dims[0]))
		if err != nil {
			return t, err
		}
		j.weights[info.Name] = w
	}
	return t, nil
}

// keep reports whether a tensor that is not to be quantised stays as it is: making its numbers wider, or cutting BF16 down
// to F16's range, gains nothing.
func (j *job) keep(from gguf.Type, c Choice) bool {
	if c.Type.Quantized() || c.Forced || j.options.Policy.Base() == gguf.F32 {
		return false
	}
	return (c.Wide || c.Fallback) && (from.Quantized() || from.BlockBytes() <= c.Type.BlockBytes())
}

// setBytes fills in the size of the output.
func (t *TensorReport) setBytes() error {
	row, err := t.To.RowBytes(t.Dims[0])
	if err != nil {
		return err
	}
	t.BytesOut = int64(row * gguf.TensorInfo{Dims: t.Dims}.Rows())
	return nil
}

// setKeys copies the keys and sets those that change.
func (j *job) setKeys(w *gguf.Writer) error {
	set := func(key string, v any) func() error { return func() error { return w.Set(key, v) } }
	var steps []func() error
	for _, key := range j.in.Keys() {
		switch key {
		case "quantize.imatrix.file", "quantize.imatrix.dataset", "quantize.imatrix.entries_count", "quantize.imatrix.chunks_count":
			continue // of an earlier run
		}
		v, err := j.in.Value(key)
		if err != nil {
			return err
		}
		steps = append(steps, set(key, v))
	}
	steps = append(steps, set("general.file_type", j.report.FileType))
	if j.report.count(func(t *TensorReport) bool { return t.To.Quantized() }) > 0 {
		steps = append(steps, set("general.quantization_version", uint32(quantizationVersion)))
	}
	if m := j.options.Imatrix; m != nil {
		steps = append(steps, set("quantize.imatrix.file", filepath.Base(j.options.ImatrixFile)))
		if len(m.Datasets) > 0 {
			steps = append(steps, set("quantize.imatrix.dataset", m.Datasets[0]))
		}
		steps = append(steps, set("quantize.imatrix.entries_count", uint32(m.Len())), set("quantize.imatrix.chunks_count", m.Chunks))
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// chunk is some rows of a tensor, done.
type chunk struct {
	data          []byte
	error, energy float64
}

// shape is how a tensor is cut: rows of cols elements, bytes each in the input.
type shape struct{ cols, rows, bytes uint64 }

// shape is that of the tensor, but a copy is made block by block, since no row has to be seen whole.
func (t *TensorReport) shape() (shape, error) {
	s := shape{cols: t.Dims[0], rows: gguf.TensorInfo{Dims: t.Dims}.Rows()}
	if t.From == t.To {
		block := uint64(t.From.BlockSize())
		s = shape{cols: block, rows: s.rows * (s.cols / block)}
	}
	var err error
	s.bytes, err = t.From.RowBytes(s.cols)
	return s, err
}

// write reads a tensor in chunks of whole rows, quantises them on all cores and writes them in order.
func (j *job) write(ctx context.Context, w io.Writer, t *TensorReport, progress func(n int)) error {
	r, err := j.in.TensorReader(t.Name)
	if err != nil {
		return err
	}
	s, err := t.shape()
	if err != nil {
		return err
	}
	step := max(1, chunkElements/s.cols)
	chunks := (s.rows + step - 1) / step
	// A worker holds a chunk's bytes and its numbers, and two results wait for each.
	workers := max(1, min(runtime.GOMAXPROCS(0), memory/int(step*s.cols*4*4)))
	produce := func(_ context.Context, _, i int) (chunk, error) {
		first := uint64(i) * step
		c, err := j.convert(r, t, s, first, min(step, s.rows-first))
		if v, ok := err.(*ValueError); ok {
			v.Index += int64(first * s.cols)
		}
		if err != nil {
			return c, fmt.Errorf("%s: %w", j.in.Name(), err)
		}
		return c, nil
	}
	if t.From == t.To || j.options.Measure {
		t.SquaredError, t.Energy = 0, 0
	}
	return ordered.Map(ctx, int(chunks), workers, produce, func(_ int, c chunk) error {
		t.SquaredError += c.error
		t.Energy += c.energy
		_, err := w.Write(c.data)
		progress(len(c.data))
		return err
	})
}

// convert does n rows of a tensor. What is copied must be finite as well.
func (j *job) convert(r io.ReaderAt, t *TensorReport, s shape, first, n uint64) (chunk, error) {
	x, data, err := readRows(r, t.From, s, first, n)
	if err != nil || x == nil {
		return chunk{data: data}, err
	}
	if t.From == t.To {
		if maxMagnitude(x) > math.MaxFloat32 {
			return chunk{}, valueError(x, 0, t.To, math.MaxFloat32)
		}
		return chunk{data: data}, nil
	}
	row, err := t.To.RowBytes(s.cols)
	if err != nil {
		return chunk{}, err
	}
	c, weights := chunk{data: make([]byte, row*n)}, j.weights[t.Name]
	if err := Quantize(c.data, x, t.To, int(s.cols), weights); err != nil {
		return chunk{}, err
	}
	if j.options.Measure {
		c.error, c.energy, err = measureError(x, c.data, t.To, weights)
	}
	return c, err
}

// readRows returns n rows of a tensor, as float32 (nil where the type is no kind of floating point) and as they are.
func readRows(r io.ReaderAt, from gguf.Type, s shape, first, n uint64) (x []float32, data []byte, err error) {
	// The reader of the file has compared the tensor's size with the file's.
	data = make([]byte, s.bytes*n)
	if got, err := r.ReadAt(data, int64(s.bytes*first)); got < len(data) {
		return nil, nil, fmt.Errorf("reading rows %d to %d: %w", first, first+n-1, err)
	}
	if !CanDequantize(from) {
		return nil, data, nil
	}
	x = make([]float32, n*s.cols)
	return x, data, Dequantize(x, data, from)
}

// measureError returns sum(w*(x-y)^2) and sum(w*x^2), where y is what data holds and w, one for each column, may be nil.
func measureError(x []float32, data []byte, t gguf.Type, weights []float32) (sum, energy float64, err error) {
	y := make([]float32, len(x))
	if err := Dequantize(y, data, t); err != nil {
		return 0, 0, err
	}
	w := 1.0
	for i, v := range x {
		if weights != nil {
			w = float64(weights[i%len(weights)])
		}
		e := float64(v) - float64(y[i])
		sum += w * e * e
		energy += w * float64(v) * float64(v)
	}
	return sum, energy, nil
}
