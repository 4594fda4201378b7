package arch

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/clipgo/clipgo/internal/program"
)

// EfficientNet, the image tower of ALIGN: a stem, then blocks of an inverted bottleneck with squeeze and excitation
// (modeling_align.py of 5.23). Its batch norms are folded into the convolutions before them when a checkpoint is converted.

// Conv describes an EfficientNet.
type Conv struct {
	Stem   int // channels of the first convolution
	Blocks []MBConv
}

// MBConv is one block: 1x1 from In to Hidden channels (if they differ), depthwise Kernel x Kernel, a gate of each channel
// computed from the means by way of Squeeze channels, and 1x1 to Out channels.
type MBConv struct {
	In, Hidden, Squeeze, Out int
	Kernel, Stride           int
	Pad                      int // above and on the left; below and on the right as much as the stride asks for
	Residual                 bool
}

// stemKernel and stemStride are those of the first convolution, whose only padding is one zero below and on the right.
const (
	stemKernel = 3
	stemStride = 2
)

// readConv reads an AlignVisionConfig, or keeps an error in c.
func readConv(c *Config) *Conv {
	conv := &Conv{}
	in := listOf(c, "in_channels", 32, 16, 24, 40, 80, 112, 192)
	out := listOf(c, "out_channels", 16, 24, 40, 80, 112, 192, 320)
	kernels := listOf(c, "kernel_sizes", 3, 3, 5, 3, 5, 5, 3)
	strides := listOf(c, "strides", 1, 2, 2, 2, 1, 2, 1)
	repeats := listOf(c, "num_block_repeats", 1, 2, 2, 3, 3, 4, 1)
	expand := listOf(c, "expand_ratios", 1, 6, 6, 6, 6, 6, 6)
	square := listOf(c, "depthwise_padding")
	width, depth, divisor := c.Float("width_coefficient", 2), c.Float("depth_coefficient", 3.1), c.Int("depth_divisor", 8)
	squeeze := c.Float("squeeze_expansion_ratio", 0.25)
	for _, l := range []struct {
		key  string
		list []int
	}{{"out_channels", out}, {"kernel_sizes", kernels}, {"strides", strides}, {"num_block_repeats", repeats}, {"expand_ratios", expand}} {
		if len(l.list) != len(in) {
			c.Fail(l.key, "has %d elements, but in_channels has %d: expected one for each stage", len(l.list), len(in))
		}
	}
	if divisor < 1 || !(width > 0 && width <= 64) || !(depth > 0 && depth <= 64) || !(squeeze > 0 && squeeze <= 1) {
		c.Fail("depth_divisor", "is %d with width_coefficient %g, depth_coefficient %g and squeeze_expansion_ratio %g: expected positive numbers of at most 64, the last of at most 1",
			divisor, width, depth, squeeze)
	}
	if c.Err() != nil {
		return conv
	}
	conv.Stem = roundFilters(32, width, divisor)
	for stage := range in {
		n := int(math.Ceil(depth * float64(repeats[stage])))
		if n > maxLayers-len(conv.Blocks) {
			c.Fail("num_block_repeats", "makes more than %d blocks", maxLayers)
			return conv
		}
		for i := range n {
			b := MBConv{
				In:     roundFilters(in[stage], width, divisor),
				Out:    roundFilters(out[stage], width, divisor),
				Kernel: kernels[stage],
				Stride: strides[stage],
			}
			if i > 0 {
				b.In, b.Stride = b.Out, 1
			}
			b.Residual = i > 0 // never in a stage's first block, even where the shapes agree
			b.Hidden = b.In * expand[stage]
			b.Squeeze = max(1, int(float64(b.In)*squeeze))
			b.Pad = depthwisePad(b.Kernel, b.Stride, !slices.Contains(square, len(conv.Blocks)))
			conv.Blocks = append(conv.Blocks, b)
		}
	}
	return conv
}

// listOf reads a list of whole numbers that are neither negative nor large.
func listOf(c *Config, key string, def ...int) []int {
	if !c.Has(key) {
		return def
	}
	var list []int
	for _, v := range c.Floats(key) {
		if v != math.Trunc(v) || v < 0 || v > maxWidth {
			c.Fail(key, "holds %g, expected whole numbers from 0 to %d", v, maxWidth)
			return nil
		}
		list = append(list, int(v))
	}
	return list
}

// roundFilters is n times coefficient, rounded to a multiple of divisor, but not down by more than a tenth.
func roundFilters(n int, coefficient float64, divisor int) int {
	wanted := float64(n) * coefficient
	rounded := max(divisor, int(wanted+float64(divisor)/2)/divisor*divisor)
	if float64(rounded) < 0.9*wanted {
		rounded += divisor
	}
	return rounded
}

// depthwisePad is the padding above and on the left: with a stride of 1 half the kernel, as torch's "same" has it; with a
// stride of 2 one less than on the other sides where adjust is set (correct_pad), else half the kernel.
func depthwisePad(kernel, stride int, adjust bool) int {
	switch {
	case stride == 1:
		return (kernel - 1) / 2
	case adjust:
		return kernel/2 - 1
	}
	return kernel / 2
}

// outSide is how many pixels a picture of side pixels has after the depthwise convolution.
func (b *MBConv) outSide(side int) int {
	if b.Stride == 1 {
		return side
	}
	return places(side+b.Pad+b.Kernel/2, b.Kernel, b.Stride)
}

func (b *MBConv) outGrid(in Size) Size { return Size{b.outSide(in.H), b.outSide(in.W)} }

func (b *MBConv) validate(key string) error {
	for _, c := range []struct {
		field     string
		v, lo, hi int
	}{
		{"input", b.In, 1, maxWidth},
		{"hidden", b.Hidden, 1, maxFFN},
		{"squeeze", b.Squeeze, 1, maxWidth},
		{"output", b.Out, 1, maxWidth},
		{"kernel_size", b.Kernel, 1, 31},
		{"stride", b.Stride, 1, 2},
		{"padding", b.Pad, 0, b.Kernel - 1},
	} {
		if err := inRange(key+c.field, c.v, c.lo, c.hi); err != nil {
			return err
		}
	}
	if b.Residual && (b.In != b.Out || b.Stride != 1) {
		return fmt.Errorf("%sresidual is set for a block from %d to %d channels with a stride of %d, expected shapes that agree",
			key, b.In, b.Out, b.Stride)
	}
	return nil
}

// validateConv checks that the blocks follow one another.
func (v *Vision) validateConv() error {
	if err := v.Image.validate(); err != nil {
		return err
	}
	for _, c := range []struct {
		field     string
		v, lo, hi int
	}{
		{"projection_dim", v.Projection, 1, maxWidth},
		{"block_count", len(v.Conv.Blocks), 1, maxLayers},
		{"conv.stem", v.Conv.Stem, 1, maxWidth},
	} {
		if err := inRange(visionKey+c.field, c.v, c.lo, c.hi); err != nil {
			return err
		}
	}
	if v.Pooling != PoolMean {
		return fmt.Errorf("%spooling is %q, expected %q of a convolutional tower", visionKey, v.Pooling, PoolMean)
	}
	channels, grid := v.Conv.Stem, stemGrid(v.Image)
	for i := range v.Conv.Blocks {
		b := &v.Conv.Blocks[i]
		if err := b.validate(fmt.Sprintf("%sconv.block %d: ", visionKey, i)); err != nil {
			return err
		}
		if b.In != channels {
			return fmt.Errorf("%sconv.block %d: input is %d channels, but what comes before has %d", visionKey, i, b.In, channels)
		}
		if grid.H < 1 || grid.W < 1 {
			break
		}
		channels, grid = b.Out, b.outGrid(grid)
	}
	if grid.H < 1 || grid.W < 1 {
		return fmt.Errorf("%simage_size is %v, which is too small for the strides of the blocks", visionKey, v.Image)
	}
	if channels != v.Width {
		return fmt.Errorf("%sembedding_length is %d, but the last block has %d channels", visionKey, v.Width, channels)
	}
	return nil
}

// stemGrid is how many rows and columns the first convolution makes of a picture.
func stemGrid(picture Size) Size {
	return Size{places(picture.H+1, stemKernel, stemStride), places(picture.W+1, stemKernel, stemStride)}
}

// places is how often a kernel fits into side pixels.
func places(side, kernel, stride int) int {
	if side < kernel {
		return 0
	}
	return (side-kernel)/stride + 1
}

// visitConv reads or writes what describes the tower; of the blocks, a list for each field.
func (v *Vision) visitConv(to visitor) {
	if v.Conv == nil {
		v.Conv = &Conv{}
	}
	to.int(visionKey+"embedding_length", &v.Width, true)
	to.int(visionKey+"projection_dim", &v.Projection, true)
	to.act(visionKey+"hidden_act", &v.Act)
	to.string(visionKey+"pooling", (*string)(&v.Pooling))
	to.int(visionKey+"conv.stem", &v.Conv.Stem, true)
	n := len(v.Conv.Blocks)
	to.int(visionKey+"block_count", &n, true)
	if n > maxLayers {
		n = 0 // which is refused
	}
	if v.Conv.Blocks == nil {
		v.Conv.Blocks = make([]MBConv, n)
	}
	blocks := v.Conv.Blocks
	for _, f := range []struct {
		key string
		of  func(b *MBConv) *int
	}{
		{"input", func(b *MBConv) *int { return &b.In }},
		{"hidden", func(b *MBConv) *int { return &b.Hidden }},
		{"squeeze", func(b *MBConv) *int { return &b.Squeeze }},
		{"output", func(b *MBConv) *int { return &b.Out }},
		{"kernel_size", func(b *MBConv) *int { return &b.Kernel }},
		{"stride", func(b *MBConv) *int { return &b.Stride }},
		{"padding", func(b *MBConv) *int { return &b.Pad }},
	} {
		list := make([]int, len(blocks))
		for i := range blocks {
			list[i] = *f.of(&blocks[i])
		}
		to.ints(visionKey+"conv."+f.key, list)
		for i := range blocks {
			*f.of(&blocks[i]) = list[i]
		}
	}
	residual := make([]int, len(blocks))
	for i, b := range blocks {
		if b.Residual {
			residual[i] = 1
		}
	}
	to.ints(visionKey+"conv.residual", residual)
	for i := range blocks {
		blocks[i].Residual = residual[i] != 0
	}
}

// batchNorm folds a batch norm with the running statistics mean and variance into the convolution before it: its weights
// [out, ...] are multiplied by gain/sqrt(variance+eps), and beta - mean*gain/sqrt(variance+eps) becomes its bias.
type batchNorm struct{ eps float64 }

func (n batchNorm) factor(gain, variance float32) float64 {
	return float64(gain) / math.Sqrt(float64(variance)+n.eps)
}

// weight takes the convolution's weights, the gain and the variance.
func (n batchNorm) weight(x ...[]float32) []float32 {
	weights, gain, variance := x[0], x[1], x[2]
	out := make([]float32, len(weights))
	size := len(weights) / len(gain)
	for i, w := range weights {
		out[i] = float32(float64(w) * n.factor(gain[i/size], variance[i/size]))
	}
	return out
}

// bias takes beta, the gain, the variance and the mean.
func (n batchNorm) bias(x ...[]float32) []float32 {
	beta, gain, variance, mean := x[0], x[1], x[2], x[3]
	out := make([]float32, len(beta))
	for i, b := range beta {
		out[i] = float32(float64(b) - float64(mean[i])*n.factor(gain[i], variance[i]))
	}
	return out
}

// rows are a convolution without a bias, whose weights have the dimensions from, and the batch norm after it.
func (n batchNorm) rows(conv, norm, name, dims, from, channels string) []Row {
	statistics := func(names ...string) string {
		for i := range names {
			names[i] = norm + "." + names[i]
		}
		return strings.Join(names, " ")
	}
	return []Row{
		{Source: conv + ".weight", Name: name + ".weight", Dims: dims, From: from,
			With: statistics("weight", "running_var"), WithDims: channels, Make: n.weight},
		{Source: norm + ".bias", Name: name + ".bias", Dims: channels,
			With: statistics("weight", "running_var", "running_mean"), WithDims: channels, Make: n.bias},
	}
}

// convTables are the tables of the stem and of each block.
func convTables(v *Vision) []Table {
	n := batchNorm{float64(v.Eps)}
	tables := []Table{{
		Sizes: map[string]int{"kernel": stemKernel, "stem": v.Conv.Stem},
		Rows: n.rows("vision_model.embeddings.convolution", "vision_model.embeddings.batchnorm", "v.patch_embd",
			"kernel kernel 3 stem", "kernel kernel 3 stem", "stem"),
	}}
	for i, b := range v.Conv.Blocks {
		source, name := fmt.Sprintf("vision_model.encoder.blocks.%d.", i), block("v.", i)
		t := Table{Sizes: map[string]int{"in": b.In, "hidden": b.Hidden, "squeeze": b.Squeeze, "out": b.Out, "kernel": b.Kernel,
			"area": b.Kernel * b.Kernel}}
		if b.Hidden != b.In {
			t.Rows = n.rows(source+"expansion.expand_conv", source+"expansion.expand_bn", name+"expand", "in hidden", "in hidden", "hidden")
		}
		t.Rows = append(t.Rows, n.rows(source+"depthwise_conv.depthwise_conv", source+"depthwise_conv.depthwise_norm",
			name+"depthwise", "area hidden", "kernel kernel hidden", "hidden")...)
		t.Rows = append(t.Rows, rows(source, name,
			part{"squeeze_excite.reduce", "squeeze", "hidden squeeze", "squeeze"},
			part{"squeeze_excite.expand", "excite", "squeeze hidden", "hidden"})...)
		t.Rows = append(t.Rows, n.rows(source+"projection.project_conv", source+"projection.project_bn", name+"project",
			"hidden out", "hidden out", "out")...)
		tables = append(tables, t)
	}
	return tables
}

// convolutions compiles the tower up to its rows [batch, H*W, width] of the last block's grid.
func (c *compiler) convolutions(v *Vision) int32 {
	grid := stemGrid(v.Image)
	in := c.Input(InputPixels, program.F32, program.Fixed(3*v.Image.H), v.Image.W)
	x := c.Im2Col(in, program.PlanarImage, program.Conv{Channels: 3, H: v.Image.H, W: v.Image.W, KH: stemKernel, KW: stemKernel,
		Stride: stemStride, OH: grid.H, OW: grid.W})
	x = c.linear(x, 3*stemKernel*stemKernel, v.Conv.Stem, withAct(v.Act), "v.patch_embd")
	for i := 0; i < len(v.Conv.Blocks) && c.err == nil; i++ {
		x = c.invertedBottleneck(x, block("v.", i), &v.Conv.Blocks[i], grid, v.Act)
		grid = v.Conv.Blocks[i].outGrid(grid)
	}
	return x
}

func (c *compiler) invertedBottleneck(x int32, p string, b *MBConv, grid Size, act program.Activation) int32 {
	project := plain
	if b.Residual {
		project.Residual = x
	}
	if b.Hidden != b.In {
		x = c.linear(x, b.In, b.Hidden, withAct(act), p+"expand")
	}
	kernel := c.tensor(p+"depthwise.weight", b.Hidden, b.Kernel*b.Kernel)
	bias := c.tensor(p+"depthwise.bias", 1, b.Hidden)
	if c.err != nil {
		return x
	}
	out := b.outGrid(grid)
	x = c.DWConv(x, kernel, bias, program.Conv{Channels: b.Hidden, H: grid.H, W: grid.W, KH: b.Kernel, KW: b.Kernel,
		Stride: b.Stride, PadTop: b.Pad, PadLeft: b.Pad, OH: out.H, OW: out.W}, act)
	gate := c.Select(x, program.SelectMean, 0, program.None, 0)
	gate = c.linear(gate, b.Hidden, b.Squeeze, withAct(act), p+"squeeze")
	gate = c.linear(gate, b.Squeeze, b.Hidden, withAct(program.ActSigmoid), p+"excite")
	return c.linear(c.Mul(x, gate), b.Hidden, b.Out, project, p+"project")
}
