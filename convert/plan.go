package convert

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/arch"
	"github.com/clipgo/clipgo/internal/checkpoint"
	"github.com/clipgo/clipgo/internal/ordered"
	"github.com/clipgo/clipgo/quantize"
)

// planned is a tensor of the output and where its elements come from.
type planned struct {
	arch.Tensor
	from     *checkpoint.Tensor   // nil: made without a source
	others   []*checkpoint.Tensor // what Make is given beside it
	first    uint64               // element of from that this tensor starts at
	typ      gguf.Type
	bytes    int64
	fallback bool // the wanted type's blocks don't divide the rows
}

// makePlan finds a source for every tensor of the model, and a place for every tensor of the checkpoint.
func makePlan(src *source, policy *quantize.Policy) ([]planned, error) {
	var plan []planned
	used := map[string]bool{}
	for _, t := range src.family.Tensors(src.model) {
		p := planned{Tensor: t}
		if len(t.Sources) > 0 {
			var err error
			if p.from, err = src.find(t); err != nil {
				return nil, err
			}
			if p.from == nil {
				continue
			}
			used[p.from.Name] = true
			if err := p.check(); err != nil {
				return nil, err
			}
		}
		for _, name := range t.Others {
			other, ok := src.tensor(name)
			if !ok {
				return nil, src.missing(name)
			}
			used[other.Name] = true
			if err := checkSource(other, reversed(t.Beside)); err != nil {
				return nil, err
			}
			p.others = append(p.others, other)
		}
		p.typ, p.fallback = policy.TypeFor(t.Name, t.Dims)
		info := gguf.TensorInfo{Name: t.Name, Dims: t.Dims, Type: p.typ}
		row, err := p.typ.RowBytes(t.Dims[0])
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		p.bytes = int64(row * info.Rows())
		plan = append(plan, p)
	}
	return plan, src.checkLeftovers(used)
}

// find returns the first of t's sources that the checkpoint has, nil for an optional tensor without one.
func (s *source) find(t arch.Tensor) (*checkpoint.Tensor, error) {
	for _, name := range t.Sources {
		if from, ok := s.tensor(name); ok {
			return from, nil
		}
	}
	if t.Optional {
		return nil, nil
	}
	return nil, s.missing(t.Sources[0])
}

func (s *source) missing(name string) error {
	return fmt.Errorf("%s: tensor %q is missing: the checkpoint is incomplete, or %s describes another model", s.path, name, s.configName)
}

// check compares the source's shape with the one that the hyper-parameters ask for.
func (p *planned) check() error {
	want := reversed(p.Tensor.From)
	if p.Head {
		// Any number of rows will do.
		want = []uint64{p.from.Elements() / max(p.Dims[0], 1), p.Dims[0]}
	}
	if err := checkSource(p.from, want); err != nil {
		return err
	}
	if p.Of > 0 {
		p.first = p.from.Elements() / uint64(p.Of) * uint64(p.Part)
	}
	p.first += uint64(p.Skip) * p.Dims[0]
	return nil
}

// reversed turns dimensions, row length first, into a shape, row length last.
func reversed(dims []uint64) []uint64 {
	shape := slices.Clone(dims)
	slices.Reverse(shape)
	return shape
}

// checkSource compares a tensor's shape with the one wanted, where sizes of 1 carry no meaning.
func checkSource(t *checkpoint.Tensor, want []uint64) error {
	if want = squeeze(want); !slices.Equal(squeeze(t.Shape), want) {
		return fmt.Errorf("%s: tensor %q has shape %v, expected %v from the configuration", t.File, t.Name, t.Shape, want)
	}
	if !t.DType.Float() {
		return fmt.Errorf("%s: tensor %q has elements of %s, expected F16, BF16, F32 or F64", t.File, t.Name, t.DType)
	}
	return nil
}

func squeeze(shape []uint64) []uint64 {
	var out []uint64
	for _, d := range shape {
		if d != 1 {
			out = append(out, d)
		}
	}
	return out
}

// checkLeftovers refuses a checkpoint with tensors that would be dropped without a word.
func (s *source) checkLeftovers(used map[string]bool) error {
	var unknown []string
	for _, full := range s.tensors.Names() {
		name := strings.TrimPrefix(full, s.family.Prefix)
		if !used[full] && !s.family.Ignores(name) && !s.known[name] {
			unknown = append(unknown, full)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	sort.Strings(unknown)
	more := ""
	if n := len(unknown); n > 8 {
		unknown, more = unknown[:8], fmt.Sprintf(" and %d more", n-8)
	}
	return fmt.Errorf("%s: no place is known for these tensors of a %q checkpoint: %s%s", s.path, s.family.Type,
		strings.Join(unknown, ", "), more)
}

// chunkElements is how much is read, converted and written at a time.
const chunkElements = 1 << 18

// write converts the tensor in pieces of whole rows, on all cores, and writes them in order.
func (p *planned) write(ctx context.Context, w io.Writer, progress func(n int)) error {
	cols, elements := p.Dims[0], uint64(1)
	for _, d := range p.Dims {
		elements *= d
	}
	read := func(x []float32, first uint64) error { return p.from.ReadFloat32(x, p.first+first) }
	if p.Make != nil {
		made, err := p.make(elements)
		if err != nil {
			return err
		}
		read = func(x []float32, first uint64) error {
			copy(x, made[first:])
			return nil
		}
	}
	step := max(1, chunkElements/cols) * cols
	n := int((elements + step - 1) / step)
	produce := func(_ context.Context, _, i int) ([]byte, error) {
		start := uint64(i) * step
		x := make([]float32, min(step, elements-start))
		if err := read(x, start); err != nil {
			return nil, err
		}
		for j, v := range x {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				return nil, fmt.Errorf("tensor %q: element %d is %g, expected a finite number: the checkpoint is broken",
					p.Name, start+uint64(j), v)
			}
		}
		row, err := p.typ.RowBytes(cols)
		if err != nil {
			return nil, err
		}
		out := make([]byte, row*uint64(len(x))/cols)
		if err := quantize.Quantize(out, x, p.typ, int(cols), nil); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", p.Name, err)
		}
		return out, nil
	}
	return ordered.Map(ctx, n, 0, produce, func(_ int, b []byte) error {
		_, err := w.Write(b)
		progress(len(b))
		return err
	})
}

// make reads all sources whole and computes the tensor.
func (p *planned) make(elements uint64) ([]float32, error) {
	var inputs [][]float32
	sources := p.others
	if p.from != nil {
		sources = append([]*checkpoint.Tensor{p.from}, sources...)
	}
	for _, t := range sources {
		x := make([]float32, t.Elements())
		if err := t.ReadFloat32(x, 0); err != nil {
			return nil, err
		}
		inputs = append(inputs, x)
	}
	made := p.Make(inputs...)
	if uint64(len(made)) != elements {
		return nil, fmt.Errorf("tensor %q: %d elements were made, expected %d", p.Name, len(made), elements)
	}
	return made, nil
}
