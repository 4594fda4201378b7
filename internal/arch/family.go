package arch

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/clipgo/clipgo/internal/jsonconf"
	"github.com/clipgo/clipgo/internal/program"
)

// Family is how checkpoints of one model_type of transformers are read.
type Family struct {
	Type         string                           // model_type
	Examples     string                           // public checkpoints, for the documentation
	Read         func(c *Config) (*Model, error)  // hyper-parameters of config.json
	Tables       func(m *Model) []Table           // the tensors
	Scalar       map[string]func(*Model, float32) // tensors of one element that become hyper-parameters; all optional
	Ignore       []Ignore
	IgnorePrefix []Ignore // the same for all tensors whose names begin so
	Prefix       string   // that the names of all tensors may have
	// Resize, if not nil, makes the model take pictures of another size than it was trained on, if that is what the
	// preprocessor makes and transformers accepts.
	Resize func(m *Model, picture Size) error
}

// Config is a checkpoint's config.json.
type Config = jsonconf.Config

// activation reads an activation's name.
func activation(c *Config, key, def string) program.Activation {
	act, err := ParseActivation(c.String(key, def))
	if err != nil {
		c.Fail(key, "is %v", err)
	}
	return act
}

// architectureOf returns the class that a checkpoint was saved from, def where the file doesn't say.
func architectureOf(c *Config, def string) string {
	if list := c.Strings("architectures"); len(list) > 0 {
		return list[0]
	}
	return def
}

// Ignore names tensors that a checkpoint may hold and a model doesn't need.
type Ignore struct {
	Pattern string // a tensor's name, where {n} stands for a number
	Reason  string
}

// Table maps a tower's tensors. In names, {n} stands for the block's index.
type Table struct {
	Blocks int
	Sizes  map[string]int // what the words in Row.Dims mean
	Rows   []Row
}

// Row maps a tensor of a checkpoint to one of a GGUF file.
type Row struct {
	Source   string // name in the checkpoint; several names separated by spaces are alternatives
	Name     string // name in the GGUF file
	Dims     string // the GGUF dimensions, row length first: numbers and words of Table.Sizes
	Optional bool
	Every    int // of the blocks, only 0, Every, 2*Every, ... have the tensor; 0: all

	// A row may take less than the whole source: the Part-th of Of equal parts of its first dimension (a packed QKV), what
	// comes after Skip rows, or with Head the first rows of however many.
	Part, Of, Skip int
	Head           bool

	// Make, if not nil, computes the tensor from the source, whose dimensions are From, and the sources named in With, whose
	// dimensions are WithDims; all are read whole.
	Make     func(x ...[]float32) []float32
	From     string // dimensions of the source where they are not Dims
	With     string
	WithDims string
}

// Tensor is a Row made concrete.
type Tensor struct {
	Row
	Sources []string // alternatives; none: Make needs no source
	Others  []string // With
	Name    string
	Dims    []uint64
	From    []uint64 // dimensions that the source must have
	Beside  []uint64 // dimensions that the others must have
}

// Tensors expands the tables of a model's towers. A tensor that both towers use is listed once.
func (f *Family) Tensors(m *Model) []Tensor {
	var out []Tensor
	seen := map[string]bool{}
	for _, table := range f.Tables(m) {
		for _, row := range table.Rows {
			blocks := 1
			if strings.Contains(row.Name, "{n}") {
				blocks = table.Blocks
			}
			for n := range blocks {
				if row.Every > 0 && n%row.Every != 0 {
					continue
				}
				t := table.expand(row, n)
				if !seen[t.Name] {
					seen[t.Name] = true
					out = append(out, t)
				}
			}
		}
	}
	return out
}

func (table *Table) expand(row Row, n int) Tensor {
	number := func(s string) string { return strings.ReplaceAll(s, "{n}", strconv.Itoa(n)) }
	t := Tensor{
		Row:     row,
		Sources: strings.Fields(number(row.Source)),
		Others:  strings.Fields(number(row.With)),
		Name:    number(row.Name),
		Dims:    table.dims(row.Dims),
		Beside:  table.dims(row.WithDims),
	}
	t.From = t.Dims
	if row.From != "" {
		t.From = table.dims(row.From)
	} else if last := len(t.Dims) - 1; row.Of > 0 || row.Skip > 0 {
		t.From = append([]uint64(nil), t.Dims...)
		t.From[last] = t.Dims[last]*uint64(max(row.Of, 1)) + uint64(row.Skip)
	}
	return t
}

func (table *Table) dims(words string) []uint64 {
	var dims []uint64
	for _, word := range strings.Fields(words) {
		size, err := strconv.Atoi(word)
		if err != nil {
			size = table.Sizes[word]
		}
		dims = append(dims, uint64(size))
	}
	return dims
}

// Ignores says whether a checkpoint's tensor is known to be of no use.
func (f *Family) Ignores(name string) bool {
	for _, i := range f.Ignore {
		if matchNumbered(i.Pattern, name) {
			return true
		}
	}
	for _, i := range f.IgnorePrefix {
		if strings.HasPrefix(name, i.Pattern) {
			return true
		}
	}
	return false
}

// matchNumbered matches name with a pattern in which {n} stands for a number.
func matchNumbered(pattern, name string) bool {
	before, after, ok := strings.Cut(pattern, "{n}")
	if !ok {
		return pattern == name
	}
	rest, ok := strings.CutPrefix(name, before)
	if !ok {
		return false
	}
	digits := strings.TrimLeft(rest, "0123456789")
	return len(digits) < len(rest) && matchNumbered(after, digits)
}

// families are all that can be read.
var families = byType(alignFamily, clipFamily, siglipFamily, siglip2Family, metaclip2Family, chineseCLIPFamily, altCLIPFamily, blipFamily,
	blip2Family, clipSegFamily, tipsv2Family)

// Families returns the families of transformers' types, by type.
func Families() []*Family {
	return slices.SortedFunc(maps.Values(families), func(a, b *Family) int { return strings.Compare(a.Type, b.Type) })
}

func byType(all ...*Family) map[string]*Family {
	m := map[string]*Family{}
	for _, f := range all {
		m[f.Type] = f
	}
	return m
}

// FamilyOf returns the family of a model_type.
func FamilyOf(modelType string) (*Family, error) {
	if f, ok := families[modelType]; ok {
		return f, nil
	}
	for _, r := range refusedTypes {
		if r.Mark == modelType {
			return nil, fmt.Errorf("model_type %q can't be read: %s", modelType, r.Reason)
		}
	}
	var known []string
	for name := range families {
		known = append(known, name)
	}
	sort.Strings(known)
	return nil, fmt.Errorf("model_type is %q, expected one of %s", modelType, strings.Join(known, ", "))
}

// part is a tensor with its bias: names in the checkpoint and the GGUF file, and the dimensions of weight and bias.
type part struct{ source, name, weight, bias string }

// rows are the weight's row and the bias's.
func (p part) rows(source, name string) []Row {
	return []Row{
		{Source: source + p.source + ".weight", Name: name + p.name + ".weight", Dims: p.weight},
		{Source: source + p.source + ".bias", Name: name + p.name + ".bias", Dims: p.bias},
	}
}

func rows(source, name string, parts ...part) []Row {
	var all []Row
	for _, p := range parts {
		all = append(all, p.rows(source, name)...)
	}
	return all
}

// blockRows are the tensors of a pre-norm block as transformers names them.
func blockRows(source, name string) []Row {
	return rows(source, name,
		part{"self_attn.q_proj", "attn_q", "width width", "width"},
		part{"self_attn.k_proj", "attn_k", "width width", "width"},
		part{"self_attn.v_proj", "attn_v", "width width", "width"},
		part{"self_attn.out_proj", "attn_out", "width width", "width"},
		part{"layer_norm1", "ln1", "width", "width"},
		part{"layer_norm2", "ln2", "width", "width"},
		part{"mlp.fc1", "ffn_up", "width ffn", "ffn"},
		part{"mlp.fc2", "ffn_down", "ffn width", "width"})
}

// bertRows are the tensors of a BERT block, whose norms follow the residuals; self is "self" or "attention".
func bertRows(source, self, name string) []Row {
	return rows(source, name,
		part{"attention." + self + ".query", "attn_q", "width width", "width"},
		part{"attention." + self + ".key", "attn_k", "width width", "width"},
		part{"attention." + self + ".value", "attn_v", "width width", "width"},
		part{"attention.output.dense", "attn_out", "width width", "width"},
		part{"attention.output.LayerNorm", "ln1", "width", "width"},
		part{"intermediate.dense", "ffn_up", "width ffn", "ffn"},
		part{"output.dense", "ffn_down", "ffn width", "width"},
		part{"output.LayerNorm", "ln2", "width", "width"})
}

// packedRows are the rows of a QKV stored as one tensor, weight, and another, bias, if that is not "".
func packedRows(weight, bias, name string) []Row {
	var all []Row
	for i, x := range []string{"attn_q", "attn_k", "attn_v"} {
		all = append(all, Row{Source: weight, Name: name + x + ".weight", Dims: "width width", Part: i, Of: 3})
		if bias != "" {
			all = append(all, Row{Source: bias, Name: name + x + ".bias", Dims: "width", Part: i, Of: 3})
		}
	}
	return all
}

// resblockRows are the tensors of a block as open_clip names them.
func resblockRows(source, name string) []Row {
	return append(packedRows(source+"attn.in_proj_weight", source+"attn.in_proj_bias", name), rows(source, name,
		part{"attn.out_proj", "attn_out", "width width", "width"},
		part{"ln_1", "ln1", "width", "width"},
		part{"ln_2", "ln2", "width", "width"},
		part{"mlp.c_fc", "ffn_up", "width ffn", "ffn"},
		part{"mlp.c_proj", "ffn_down", "ffn width", "width"})...)
}

// sizes are the words for a tower's dimensions.
func (t *Tower) sizes(more map[string]int) map[string]int {
	s := map[string]int{"width": t.Width, "ffn": t.FFN, "projection": t.Projection}
	for k, v := range more {
		s[k] = v
	}
	return s
}
