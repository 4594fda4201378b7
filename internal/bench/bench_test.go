package bench

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/program"
	"github.com/clipgo/clipgo/internal/testutil"
	"github.com/clipgo/clipgo/quantize"
)

// head keeps the beginning of what is written, and counts the rest.
type head struct {
	kept []byte
	size int64
}

func (h *head) Write(p []byte) (int, error) {
	const most = 1 << 20
	h.kept = append(h.kept, p[:min(len(p), most-len(h.kept))]...)
	h.size += int64(len(p))
	return len(p), nil
}

// ReadAt reads zeros where nothing was kept.
func (h *head) ReadAt(p []byte, at int64) (n int, err error) {
	clear(p)
	if at < int64(len(h.kept)) {
		copy(p, h.kept[at:])
	}
	if n = int(min(int64(len(p)), h.size-at)); n < len(p) {
		err = io.EOF
	}
	return n, err
}

func header(t *testing.T, shape string, tower Tower, typ string) *gguf.File {
	t.Helper()
	s, err := Find(shape)
	require.NoError(t, err)
	policy, err := quantize.ParsePolicy(typ)
	require.NoError(t, err)
	var h head
	require.NoError(t, s.Write(&h, tower, policy))
	f, err := gguf.NewReader(&h, h.size, shape)
	require.NoError(t, err)
	return f
}

// TestFLOP compares with what is published for these models; the numbers of the first four are of the same count.
func TestFLOP(t *testing.T) {
	for _, c := range []struct {
		shape string
		tower Tower
		rows  int // of the program's input
		want  float64
		delta float64
	}{
		{"vit-b-32", Image, 1, 8.82, 0.005},
		{"vit-b-16", Image, 1, 35.1, 0.05},
		{"vit-l-14", Image, 1, 162, 0.5},
		{"vit-b-32", Text, 77, 5.96, 0.005},
		{"vit-h-14", Image, 1, 335, 5},           // open_clip's model profile: 167.4 GMAC
		{"siglip-so400m", Image, 1, 2 * 333, 20}, // 27 blocks of 729 rows: 15.6 M weights each, and attention
	} {
		f := header(t, c.shape, c.tower, "q4_0")
		_, p, whole, err := compile(f, c.tower)
		require.NoError(t, err)
		got := totalFLOP(whole, c.rows) / 1e9
		assert.InDelta(t, c.want, got, c.delta, "%s %s", c.shape, c.tower)
		computed := totalFLOP(p, c.rows) / 1e9
		assert.LessOrEqual(t, computed, got)
		assert.Greater(t, computed, 0.9*got, "only the last block is cut short")
	}
}

// TestTypes wants the types that `clipgo quantize` would choose, mixes included.
func TestTypes(t *testing.T) {
	f := header(t, "vit-b-32", Image, "q4_k_m")
	for name, want := range map[string]gguf.Type{
		"v.blk.3.attn_q.weight": gguf.Q4_K, "v.blk.3.attn_v.weight": gguf.Q5_K, "v.patch_embd.weight": gguf.F16,
		"v.blk.0.ln1.weight": gguf.F32, "visual_projection.weight": gguf.Q8_0,
	} {
		info, ok := f.Tensor(name)
		require.True(t, ok, name)
		assert.Equal(t, want, info.Type, name)
	}
	_, ok := f.Tensor("t.token_embd.weight")
	assert.False(t, ok, "one tower alone")
}

// TestNoise wants numbers of the size of weights, whatever their type.
func TestNoise(t *testing.T) {
	n := newNoise()
	values := make([]float32, tile)
	for _, name := range quantize.Names() {
		policy, err := quantize.ParsePolicy(name)
		require.NoError(t, err)
		info := gguf.TensorInfo{Name: "x", Type: policy.Base(), Dims: []uint64{tile, 2}}
		blocks, err := n.of(info)
		require.NoError(t, err)
		require.NoError(t, quantize.Dequantize(values, blocks, info.Type))
		var energy float64
		for _, v := range values {
			energy += float64(v) * float64(v)
		}
		assert.InEpsilon(t, deviation*deviation, energy/tile, 0.1, name)
	}
	gains, err := n.of(gguf.TensorInfo{Name: "v.blk.0.ln1.weight", Type: gguf.F32, Dims: []uint64{8}})
	require.NoError(t, err)
	require.NoError(t, quantize.Dequantize(values, gains, gguf.F32))
	assert.InDelta(t, 1, values[7], 0.2)
}

func TestFastMedian(t *testing.T) {
	ms := func(n ...int) (list []time.Duration) {
		for _, x := range n {
			list = append(list, time.Duration(x)*time.Millisecond)
		}
		return list
	}
	assert.Equal(t, 3*time.Millisecond, fastMedian(ms(3)))
	assert.Equal(t, 2*time.Millisecond, fastMedian(ms(9, 3, 1, 8)), "of 1 and 3")
	assert.Equal(t, 3*time.Millisecond, fastMedian(ms(9, 3, 4, 2, 8)), "of 2, 3 and 4")
}

func TestFindUnknown(t *testing.T) {
	_, err := Find("vit-x-99")
	require.ErrorContains(t, err, `unknown shape "vit-x-99", expected one of vit-b-32, vit-b-16, vit-l-14, vit-h-14, siglip-so400m`)
}

// TestMeasure runs a small model through all that a job does.
func TestMeasure(t *testing.T) {
	t.Setenv("CLIPGO_LIBRARY", testutil.Engine(t))
	small := clipShape("small", 16, program.ActQuickGELU, size{64, 2, 2}, size{64, 2, 2}, 64)
	policy, err := quantize.ParsePolicy("q8_0")
	require.NoError(t, err)
	for tower, want := range map[Tower]struct{ rows, products int }{Image: {197, 11}, Text: {9, 10}} {
		var file bytes.Buffer
		require.NoError(t, small.Write(&file, tower, policy))
		path := filepath.Join(t.TempDir(), "small.gguf")
		require.NoError(t, os.WriteFile(path, file.Bytes(), 0o600))
		seen := 0
		s, err := Measure(t.Context(), Job{File: path, Tower: tower, Batch: 2, Threads: 1, Tokens: 9, Ops: true}, func() error { seen++; return nil })
		require.NoError(t, err)
		assert.Equal(t, 1, seen)
		assert.Equal(t, 1, s.Threads)
		assert.Equal(t, want.rows, s.Rows)
		assert.Greater(t, s.GFLOP, s.Computed)
		var ms, gflop float64
		products := 0
		for _, op := range s.Ops {
			ms += op.MS
			gflop += op.GFLOP
			if op.GFLOP > 0 && op.Op != "attention" {
				products += op.Count
			}
		}
		assert.Equal(t, want.products, products, "%v", s.Ops)
		assert.InDelta(t, s.Computed, gflop, 1e-9)
		assert.Positive(t, s.MS)
		assert.Positive(t, ms)
	}
}
