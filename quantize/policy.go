package quantize

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/clipgo/clipgo/gguf"
)

// This file is the table of which tensor gets which type, and why. docs/quantisation.md has the measurements.

// rule gives the tensors whose name matches a type.
type rule struct {
	pattern *regexp.Regexp // found anywhere in the name
	typ     gguf.Type
	why     string
}

// wide are the tensors that are never quantised, --pure or not: together they are under one percent of a model.
var wide = []struct {
	pattern *regexp.Regexp
	why     string
}{
	{regexp.MustCompile(`patch_embd`), "patch embedding: first step of the image tower, in rows as short as a patch"},
	{regexp.MustCompile(`position_embd`), "position embedding: as noisy as attention's values, in a hundredth of their size"},
	{regexp.MustCompile(`(token_type|register|class|query)_embd`), "learned rows, added to or run along with the input"},
	{regexp.MustCompile(`\.(depthwise|drop_class)\.`), "depthwise kernel: a row of few numbers per channel, which the engine doesn't multiply as a matrix"},
	{regexp.MustCompile(`\.probe$`), "learned query of the pooling head"},
	{regexp.MustCompile(`(^|[._])(ln|norm)[0-9]*\b`), "norm"},
}

// projection keeps the last products of both towers at 8 bits: what they lose goes straight to the score, and they are a
// three-hundredth of the model.
var projection = regexp.MustCompile(`(text|visual)_projection|^t\.pooler`)

// What the mixes widen, by the noise that a narrow type there adds to the logits, for the bytes it saves. With Q3_K in one
// kind of tensor at a time, importance matrix and all, the trained CLIP of docs/quantisation.md has logits off by (root of
// the mean square): MLP's first product 0.20, attention's output 0.12 and values 0.11 (each a quarter of the MLP's size),
// MLP's second product 0.10, queries and keys 0.05 each. (Language models differ: there the second product comes first.)
var (
	values = regexp.MustCompile(`attn_v\.`)
	output = regexp.MustCompile(`attn_out\.`)
	up     = regexp.MustCompile(`ffn_up\.`)
)

// mix is what a name on the command line stands for.
type mix struct {
	name     string
	base     gguf.Type
	fileType uint32 // llama.cpp's number for general.file_type
	rules    []rule // the first that matches counts; none: base
}

var keepProjection = rule{projection, gguf.Q8_0, "final projection: decides the score"}

// wider gives attention's values and output one type, and the MLP's first product another.
func wider(attention, mlp gguf.Type) []rule {
	return []rule{
		keepProjection,
		{values, attention, "values of attention: narrow, they are the noisiest for their size"},
		{output, attention, "output of attention: as its values"},
		{up, mlp, "first product of the MLP: half of a block's noise"},
	}
}

var mixes = []mix{
	{"F32", gguf.F32, 0, nil},
	{"F16", gguf.F16, 1, nil},
	{"BF16", gguf.BF16, 32, nil},
	{"Q8_0", gguf.Q8_0, 7, nil},
	{"Q6_K", gguf.Q6_K, 18, []rule{keepProjection}},
	{"Q5_0", gguf.Q5_0, 8, []rule{keepProjection}},
	{"Q5_1", gguf.Q5_1, 9, []rule{keepProjection}},
	{"Q4_0", gguf.Q4_0, 2, []rule{keepProjection}},
	{"Q4_1", gguf.Q4_1, 3, []rule{keepProjection}},
	{"IQ4_NL", gguf.IQ4_NL, 25, []rule{keepProjection}},
	{"IQ4_XS", gguf.IQ4_XS, 30, []rule{keepProjection}},
	{"MXFP4", gguf.MXFP4, 38, []rule{keepProjection}},
	{"Q5_K_S", gguf.Q5_K, 16, wider(gguf.Q6_K, gguf.Q5_K)},
	{"Q5_K_M", gguf.Q5_K, 17, wider(gguf.Q6_K, gguf.Q6_K)},
	{"Q4_K_S", gguf.Q4_K, 14, wider(gguf.Q5_K, gguf.Q4_K)},
	{"Q4_K_M", gguf.Q4_K, 15, wider(gguf.Q5_K, gguf.Q5_K)},
	{"Q3_K_S", gguf.Q3_K, 11, wider(gguf.Q4_K, gguf.Q3_K)},
	{"Q3_K_M", gguf.Q3_K, 12, wider(gguf.Q4_K, gguf.Q4_K)},
	{"Q3_K_L", gguf.Q3_K, 13, wider(gguf.Q5_K, gguf.Q5_K)},
	{"Q2_K", gguf.Q2_K, 10, wider(gguf.Q4_K, gguf.Q3_K)},
}

// aliases of mixes.
var aliases = map[string]string{"Q5_K": "Q5_K_M", "Q4_K": "Q4_K_M", "Q3_K": "Q3_K_M"}

// fallbacks say what takes the place of a type whose blocks don't divide the rows: of the types with shorter blocks, the
// one that loses no more. What a block of 32 doesn't divide stays F16.
var fallbacks = map[gguf.Type]gguf.Type{
	gguf.Q2_K: gguf.IQ4_NL, gguf.Q3_K: gguf.IQ4_NL, gguf.IQ4_XS: gguf.IQ4_NL,
	gguf.Q4_K: gguf.Q5_0, gguf.Q5_K: gguf.Q5_1, gguf.Q6_K: gguf.Q8_0,
	gguf.Q4_0: gguf.F16, gguf.Q4_1: gguf.F16, gguf.Q5_0: gguf.F16, gguf.Q5_1: gguf.F16, gguf.Q8_0: gguf.F16,
	gguf.IQ4_NL: gguf.F16, gguf.MXFP4: gguf.F16,
}

// A Policy says which tensor gets which type.
type Policy struct {
	mix       mix
	overrides []override
}

type override struct {
	pattern *regexp.Regexp
	typ     gguf.Type
}

// Names returns the names that ParsePolicy knows, from wide to narrow.
func Names() []string {
	var names []string
	for _, m := range mixes {
		names = append(names, m.name)
	}
	return names
}

// ParsePolicy finds a policy by its name in any case: a type such as Q8_0, or one of llama-quantize's mixes such as
// Q4_K_M. Q3_K, Q4_K and Q5_K stand for their _M.
func ParsePolicy(name string) (*Policy, error) {
	upper := strings.ToUpper(name)
	if full, ok := aliases[upper]; ok {
		upper = full
	}
	i := slices.IndexFunc(mixes, func(m mix) bool { return m.name == upper })
	if i < 0 {
		return nil, fmt.Errorf("unknown type %q, expected one of %s", name, strings.Join(Names(), ", "))
	}
	return &Policy{mix: mixes[i]}, nil
}

// Pure makes every tensor that is quantised at all the mix's bare type.
func (p *Policy) Pure() { p.mix.rules = nil }

// Override gives the tensors whose name the regular expression matches anywhere, in any case, the type; vectors stay
// as they are. Of several the first that matches counts, before every other rule.
func (p *Policy) Override(pattern string, t gguf.Type) error {
	re, err := regexp.Compile("(?i)" + pattern)
	if err != nil {
		return fmt.Errorf("tensor pattern %q: %w", pattern, err)
	}
	if !CanQuantize(t) {
		return fmt.Errorf("tensor pattern %q: %s can't be quantised to; choose one of %s", pattern, t, strings.Join(typeNames(), ", "))
	}
	p.overrides = append(p.overrides, override{re, t})
	return nil
}

// ParseOverride adds an override written PATTERN=TYPE.
func (p *Policy) ParseOverride(s string) error {
	i := strings.LastIndexByte(s, '=')
	if i < 1 {
		return fmt.Errorf("tensor type %q, expected PATTERN=TYPE, such as attn_v=Q6_K", s)
	}
	t, err := gguf.ParseType(s[i+1:])
	if err != nil {
		return fmt.Errorf("tensor type %q: %w", s, err)
	}
	return p.Override(s[:i], t)
}

func typeNames() []string {
	var names []string
	for _, m := range mixes {
		if m.name == m.base.String() || aliases[m.base.String()] == m.name {
			names = append(names, m.base.String())
		}
	}
	return names
}

// Name returns the name of the policy, as general.file_type's readers know it.
func (p *Policy) Name() string { return p.mix.name }

// Base returns the type of most matrices.
func (p *Policy) Base() gguf.Type { return p.mix.base }

// FileType returns llama.cpp's number for the policy, the value of general.file_type.
func (p *Policy) FileType() uint32 { return p.mix.fileType }

// Quantized reports whether a file made by the policy may have quantised tensors.
func (p *Policy) Quantized() bool {
	return p.mix.base.Quantized() || slices.ContainsFunc(p.overrides, func(o override) bool { return o.typ.Quantized() })
}

// Choice is the type for a tensor and the reason.
type Choice struct {
	Type     gguf.Type
	Wide     bool   // one of the tensors that stay wide in every mix
	Fallback bool   // the wanted type's blocks don't divide the rows
	Forced   bool   // by an override
	Why      string // in a few words; "" for the mix's base type
}

// TypeFor returns the type for the tensor, and whether it is a fallback because the blocks of the wanted one don't divide
// the rows. dims are as in gguf.TensorInfo, row length first.
func (p *Policy) TypeFor(name string, dims []uint64) (t gguf.Type, fallback bool) {
	c := p.Choose(name, dims)
	return c.Type, c.Fallback
}

// Choose is TypeFor with the reason.
func (p *Policy) Choose(name string, dims []uint64) Choice {
	c := p.wanted(name, dims)
	for len(dims) > 0 && dims[0]%uint64(c.Type.BlockSize()) != 0 {
		if !c.Fallback {
			c.Why = fmt.Sprintf("row of %d is no multiple of %d (%s)", dims[0], c.Type.BlockSize(), c.Type)
		}
		c.Type, c.Fallback = fallbacks[c.Type], true
	}
	return c
}

// wanted is Choose before the length of the row is looked at.
func (p *Policy) wanted(name string, dims []uint64) Choice {
	// Vectors are small, and the engine adds and multiplies them as float32.
	if vector(dims) {
		return Choice{Type: gguf.F32, Wide: true, Why: "vector"}
	}
	for _, o := range p.overrides {
		if o.pattern.MatchString(name) {
			return Choice{Type: o.typ, Forced: true, Why: "asked for"}
		}
	}
	for _, w := range wide {
		if w.pattern.MatchString(name) {
			return Choice{Type: p.wideType(), Wide: true, Why: w.why}
		}
	}
	for _, r := range p.mix.rules {
		if r.typ != p.mix.base && r.pattern.MatchString(name) {
			return Choice{Type: r.typ, Why: r.why}
		}
	}
	return Choice{Type: p.mix.base}
}

// wideType is the type of matrices that are not quantised.
func (p *Policy) wideType() gguf.Type {
	if p.mix.base.Quantized() {
		return gguf.F16
	}
	return p.mix.base
}

// vector reports whether at most one dimension is more than 1.
func vector(dims []uint64) bool {
	n := 0
	for _, d := range dims {
		if d > 1 {
			n++
		}
	}
	return n < 2
}
