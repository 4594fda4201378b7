package quantize

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"sort"

	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/ordered"
)

// The best mix under a size. Every tensor is quantised to every type by way of trial, on some of its rows; then, from the
// narrowest types on, the step that removes the most error for its bytes is taken, until the next would not fit.
//
// The error of a tensor is its squared error by its energy, weighted by the importance matrix: the noise that the product
// with it adds to its output, by the output's own size; times how far that reaches the logits.

// candidates are the types that a tensor may get, narrow to wide.
var candidates = []gguf.Type{gguf.Q2_K, gguf.Q3_K, gguf.IQ4_XS, gguf.IQ4_NL, gguf.Q4_K, gguf.Q5_0, gguf.Q5_K, gguf.Q6_K, gguf.Q8_0, gguf.F16}

// noiseFactors are how far a tensor's noise reaches the logits: the mean square of their change with the tensor alone in
// Q3_K, by what queries and keys do, from the measurements that the mixes rest on.
var noiseFactors = []struct {
	pattern *regexp.Regexp
	factor  float64
}{
	{projection, 10}, {up, 12}, {output, 5}, {values, 4}, {regexp.MustCompile(`ffn_down\.`), 3},
}

func noiseFactor(name string) float64 {
	for _, n := range noiseFactors {
		if n.pattern.MatchString(name) {
			return n.factor
		}
	}
	return 1
}

// sampleElements is how much of a tensor is tried.
const sampleElements = 1 << 16

// fileSlack is what the keys may grow by.
const fileSlack = 1024

// option is a type for a tensor with its size and error.
type option struct {
	typ   gguf.Type
	bytes int64
	err   float64
}

// fit chooses the types so that the file stays within the target size.
func (j *job) fit(ctx context.Context) error {
	alignment := j.in.Alignment()
	total := j.in.DataOffset() + fileSlack
	padded := func(n int64) int64 { return (n + alignment - 1) / alignment * alignment }
	var free []int // the tensors with a choice
	for i := range j.report.Tensors {
		t := &j.report.Tensors[i]
		c := j.options.Policy.Choose(t.Name, t.Dims)
		if CanDequantize(t.From) && !c.Wide && !c.Forced && (!t.From.Quantized() || j.options.AllowRequantize) && t.Dims[0] <= maxRow {
			free = append(free, i)
			continue
		}
		if err := t.setBytes(); err != nil {
			return err
		}
		total += padded(t.BytesOut)
	}
	options := make([][]option, len(free))
	err := ordered.Map(ctx, len(free), 0, func(_ context.Context, _, i int) ([]option, error) {
		return j.try(&j.report.Tensors[free[i]])
	}, func(i int, o []option) error {
		options[i] = o
		total += padded(o[0].bytes)
		return nil
	})
	if err != nil {
		return err
	}
	if total > j.options.TargetSize {
		return fmt.Errorf("the smallest file has %d bytes, more than the target size of %d", total, j.options.TargetSize)
	}
	chosen := make([]int, len(free))
	for _, s := range steps(options) {
		more := padded(options[s.tensor][s.to].bytes) - padded(options[s.tensor][chosen[s.tensor]].bytes)
		// A step that doesn't fit ends the climb of its tensor; a smaller one of another may still fit.
		if chosen[s.tensor] == s.from && total+more <= j.options.TargetSize {
			chosen[s.tensor] = s.to
			total += more
		}
	}
	most := map[gguf.Type]int64{}
	for i, at := range free {
		t := &j.report.Tensors[at]
		t.To, t.Why = options[i][chosen[i]].typ, "least error for the target size"
		t.Fallback = false
		most[t.To] += options[i][chosen[i]].bytes
	}
	j.report.Policy = "target size"
	j.report.FileType = commonFileType(most)
	return nil
}

// try measures the tensor's options and returns those worth having: each wider than the one before, with less error, and
// less and less of it gained for a byte.
func (j *job) try(t *TensorReport) ([]option, error) {
	r, err := j.in.TensorReader(t.Name)
	if err != nil {
		return nil, err
	}
	rows := gguf.TensorInfo{Dims: t.Dims}.Rows()
	n := min(rows, max(1, sampleElements/t.Dims[0]))
	bytes, err := t.From.RowBytes(t.Dims[0])
	if err != nil {
		return nil, err
	}
	var x []float32
	for i := range n {
		row, _, err := readRows(r, t.From, shape{t.Dims[0], rows, bytes}, i*rows/n, 1) // spread over the tensor
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		x = append(x, row...)
	}
	factor := noiseFactor(t.Name)
	var hull []option
	for _, typ := range candidates {
		row, err := typ.RowBytes(t.Dims[0])
		if err != nil {
			continue // its blocks don't divide the rows
		}
		data := make([]byte, row*n)
		if err := Quantize(data, x, typ, int(t.Dims[0]), j.weights[t.Name]); err != nil {
			if _, ok := err.(*ValueError); ok && len(hull) > 0 {
				continue // out of this type's range
			}
			return nil, fmt.Errorf("tensor %q, sampled: %w", t.Name, err)
		}
		sum, energy, err := measureError(x, data, typ, j.weights[t.Name])
		if err != nil {
			return nil, err
		}
		hull = addToHull(hull, option{typ, int64(row * rows), factor * sum / math.Max(energy, math.SmallestNonzeroFloat64)})
	}
	return hull, nil
}

// gain returns how much error going from a to b removes for a byte.
func gain(a, b option) float64 { return (a.err - b.err) / float64(b.bytes-a.bytes) }

// addToHull adds an option to the lower convex hull of (bytes, err); options come with ever more bytes, or as many.
func addToHull(hull []option, o option) []option {
	for len(hull) > 0 {
		last := hull[len(hull)-1]
		switch {
		case o.err >= last.err:
			return hull
		case o.bytes == last.bytes, len(hull) > 1 && gain(last, o) >= gain(hull[len(hull)-2], last):
			hull = hull[:len(hull)-1]
		default:
			return append(hull, o)
		}
	}
	return append(hull, o)
}

// step goes from one option of a tensor to the next.
type step struct {
	tensor, from, to int
	gain             float64
}

// steps returns all steps, the most gainful first. Those of one tensor come in order, because its options are convex.
func steps(options [][]option) []step {
	var all []step
	for i, o := range options {
		for k := 1; k < len(o); k++ {
			all = append(all, step{i, k - 1, k, gain(o[k-1], o[k])})
		}
	}
	sort.SliceStable(all, func(a, b int) bool { return all[a].gain > all[b].gain })
	return all
}

// commonFileType returns the number of the type that has the most bytes.
func commonFileType(bytes map[gguf.Type]int64) uint32 {
	var best *mix
	for i, m := range mixes {
		if n := bytes[m.base]; n > 0 && (best == nil || n > bytes[best.base]) {
			best = &mixes[i]
		}
	}
	if best == nil {
		return 0
	}
	return best.fileType
}
