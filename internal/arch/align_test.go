package arch

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/internal/jsonconf"
)

func TestALIGNDefaultsAreEfficientNetB7(t *testing.T) {
	m := readModel(t, alignFamily, `{"model_type": "align", "text_config": {}, "vision_config": {"image_size": 289}}`)
	v := m.Vision
	assert.Len(t, v.Conv.Blocks, 55)
	assert.Equal(t, 64, v.Conv.Stem)
	assert.Equal(t, 640, v.Width)
	assert.Equal(t, MBConv{In: 64, Hidden: 64, Squeeze: 16, Out: 32, Kernel: 3, Stride: 1, Pad: 1}, v.Conv.Blocks[0])
	assert.Equal(t, MBConv{In: 32, Hidden: 32, Squeeze: 8, Out: 32, Kernel: 3, Stride: 1, Pad: 1, Residual: true}, v.Conv.Blocks[1])
	assert.Equal(t, MBConv{In: 32, Hidden: 192, Squeeze: 8, Out: 48, Kernel: 3, Stride: 2}, v.Conv.Blocks[4])
	assert.Equal(t, MBConv{In: 640, Hidden: 3840, Squeeze: 160, Out: 640, Kernel: 3, Stride: 1, Pad: 1, Residual: true}, v.Conv.Blocks[54])
	assert.Zero(t, m.LogitScale, "the default temperature is 1")
}

func TestRoundFilters(t *testing.T) {
	assert.Equal(t, 32, roundFilters(32, 1, 8))
	assert.Equal(t, 16, roundFilters(32, 0.5, 8))
	assert.Equal(t, 24, roundFilters(40, 0.5, 8), "20 lies between 16 and 24 and goes up")
	assert.Equal(t, 8, roundFilters(3, 1, 8), "at least the divisor")
	assert.Equal(t, 16, roundFilters(11, 1, 8), "8 would be more than a tenth less")
	assert.Equal(t, 224, roundFilters(112, 2, 8))
}

// TestDepthwisePad compares with correct_pad(kernel, adjust), (left, right, top, bottom), as transformers 5.23 returns it, and
// with torch's "same".
func TestDepthwisePad(t *testing.T) {
	for _, c := range []struct {
		kernel, stride int
		adjust         bool
		pad, in, out   int
	}{
		{3, 2, true, 0, 65, 32},  // (0, 1, 0, 1)
		{3, 2, false, 1, 65, 33}, // (1, 1, 1, 1)
		{3, 2, true, 0, 64, 32},
		{3, 2, false, 1, 64, 32},
		{5, 2, true, 1, 33, 16}, // (1, 2, 1, 2)
		{5, 2, false, 2, 33, 17},
		{5, 2, true, 1, 32, 16},
		{3, 1, true, 1, 33, 33},
		{5, 1, false, 2, 33, 33},
	} {
		pad := depthwisePad(c.kernel, c.stride, c.adjust)
		assert.Equal(t, c.pad, pad, "%+v", c)
		b := MBConv{Kernel: c.kernel, Stride: c.stride, Pad: pad}
		assert.Equal(t, c.out, b.outSide(c.in), "%+v", c)
	}
}

func TestBatchNormFolds(t *testing.T) {
	// Two channels of a convolution with two weights each, then the norm, on one input.
	w, gain, beta := []float32{1, -2, 3, 0.5}, []float32{1.5, -0.25}, []float32{0.1, 7}
	mean, variance := []float32{-3, 0.5}, []float32{4, 1e-6}
	n := batchNorm{0.001}
	weight, bias := n.weight(w, gain, variance), n.bias(beta, gain, variance, mean)
	x := []float64{0.7, -1.3}
	for c := range 2 {
		conv := float64(w[2*c])*x[0] + float64(w[2*c+1])*x[1]
		want := (conv-float64(mean[c]))/math.Sqrt(float64(variance[c])+0.001)*float64(gain[c]) + float64(beta[c])
		got := float64(weight[2*c])*x[0] + float64(weight[2*c+1])*x[1] + float64(bias[c])
		assert.InDelta(t, want, got, 1e-5*math.Abs(want))
	}
}

func TestALIGNRefuses(t *testing.T) {
	for name, vision := range map[string]string{
		"pooling_type":      `"pooling_type": "max"`,
		"expand_ratios":     `"expand_ratios": [1, 6]`,
		"kernel_sizes":      `"kernel_sizes": [3, 3, 5, 3, 5.5, 5, 3]`,
		"num_block_repeats": `"num_block_repeats": [1, 2, 2, 3, 3, 4, 1000]`,
		"depth_divisor":     `"depth_divisor": 0`,
		"projection_dim":    `"width_coefficient": 1`,
		"stride":            `"strides": [1, 3, 2, 2, 1, 2, 1]`,
		"image_size":        `"image_size": 1`,
		"padding":           `"kernel_sizes": [3, 1, 5, 3, 5, 5, 3]`,
	} {
		c, err := jsonconf.Parse("config.json", []byte(`{"vision_config": {`+vision+`}}`))
		require.NoError(t, err)
		m, err := alignFamily.Read(c)
		if err == nil {
			err = m.Validate()
		}
		assert.ErrorContains(t, err, name)
	}
}
