package quantize

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/gguf"
)

// tensor is one to write to a test file, in float32 unless typ says otherwise.
type tensor struct {
	name string
	dims []uint64
	typ  gguf.Type
	x    []float32
}

func random(seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 0))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64() * 0.02)
	}
	return x
}

func matrix(name string, cols, rows int) tensor {
	return tensor{name, []uint64{uint64(cols), uint64(rows)}, gguf.F32, random(uint64(len(name)), cols*rows)}
}

// model is a CLIP as far as quantising cares.
func model() []tensor {
	bias := tensor{"t.blk.0.attn_q.bias", []uint64{256}, gguf.F32, random(3, 256)}
	return []tensor{
		matrix("t.token_embd.weight", 256, 64), matrix("t.position_embd.weight", 256, 8),
		matrix("t.blk.0.attn_q.weight", 256, 256), bias, matrix("t.blk.0.attn_v.weight", 256, 256),
		matrix("t.blk.0.ffn_down.weight", 512, 256), matrix("text_projection.weight", 256, 64),
		matrix("v.blk.0.ffn_up.weight", 96, 128), matrix("v.blk.0.ffn_down.weight", 40, 96),
		{"v.patch_embd.weight", []uint64{32, 32, 3, 16}, gguf.F32, random(5, 32*32*3*16)},
	}
}

func writeModel(t testing.TB, tensors []tensor) string {
	w := gguf.NewWriter()
	require.NoError(t, w.Set("general.architecture", "clip"))
	require.NoError(t, w.Set("general.file_type", uint32(0)))
	require.NoError(t, w.Set("quantize.imatrix.file", "of an earlier run"))
	data := map[string][]byte{}
	for _, x := range tensors {
		require.NoError(t, w.AddTensor(x.name, x.typ, x.dims))
		row, err := x.typ.RowBytes(x.dims[0])
		require.NoError(t, err)
		b := make([]byte, row*uint64(len(x.x))/x.dims[0])
		if codecs[x.typ].encode == nil {
			copy(b, "numbers of another kind")
		} else {
			codecs[x.typ].encode(b, x.x, nil)
		}
		data[x.name] = b
	}
	path := filepath.Join(t.TempDir(), "in.gguf")
	require.NoError(t, w.WriteFile(path, func(info gguf.TensorInfo, w io.Writer) error {
		_, err := w.Write(data[info.Name])
		return err
	}))
	return path
}

func policy(t testing.TB, name string) *Policy {
	p, err := ParsePolicy(name)
	require.NoError(t, err)
	return p
}

func readTensor(t testing.TB, f *gguf.File, name string) []float32 {
	info, ok := f.Tensor(name)
	require.True(t, ok, name)
	data, err := f.ReadTensor(name)
	require.NoError(t, err)
	x := make([]float32, info.Elements())
	require.NoError(t, Dequantize(x, data, info.Type))
	return x
}

func TestFileFollowsThePolicy(t *testing.T) {
	in := writeModel(t, model())
	out := filepath.Join(t.TempDir(), "out.gguf")
	var done, total int64
	report, err := File(context.Background(), in, out, Options{Policy: policy(t, "q4_k_m"), Measure: true,
		Progress: func(d, n int64) { done, total = d, n }})
	require.NoError(t, err)
	f, err := gguf.Open(out)
	require.NoError(t, err)
	defer f.Close()
	want := map[string]gguf.Type{
		"t.token_embd.weight": gguf.Q4_K, "t.position_embd.weight": gguf.F16, "t.blk.0.attn_q.weight": gguf.Q4_K,
		"t.blk.0.attn_q.bias": gguf.F32, "t.blk.0.attn_v.weight": gguf.Q5_K, "t.blk.0.ffn_down.weight": gguf.Q4_K,
		"text_projection.weight": gguf.Q8_0, "v.blk.0.ffn_up.weight": gguf.Q5_1, "v.blk.0.ffn_down.weight": gguf.F16,
		"v.patch_embd.weight": gguf.F16,
	}
	var bytes int64
	for i, m := range model() {
		r := report.Tensors[i]
		info, ok := f.Tensor(m.name)
		require.True(t, ok, m.name)
		assert.Equal(t, want[m.name], info.Type, m.name)
		assert.Equal(t, info.Type, r.To, m.name)
		assert.Equal(t, info.Bytes, r.BytesOut, m.name)
		bytes += info.Bytes

		// The same bytes as the codec makes of the whole tensor at once.
		got, err := f.ReadTensor(m.name)
		require.NoError(t, err)
		whole := make([]byte, len(got))
		require.NoError(t, Quantize(whole, m.x, info.Type, int(m.dims[0]), nil))
		assert.Equal(t, whole, got, m.name)

		var sum, energy float64
		for k, y := range readTensor(t, f, m.name) {
			sum += square(float64(m.x[k]) - float64(y))
			energy += square(float64(m.x[k]))
		}
		if r.From != r.To {
			assert.InEpsilon(t, math.Sqrt(sum/energy), r.RelativeError(), 1e-6, m.name)
		} else {
			assert.Zero(t, sum)
			assert.Zero(t, r.RelativeError())
		}
	}
	assert.Equal(t, bytes, report.BytesOut)
	assert.Equal(t, bytes, done)
	assert.Equal(t, bytes, total)
	assert.Equal(t, 2, report.Fallbacks())
	fileType, err := f.Uint("general.file_type")
	require.NoError(t, err)
	assert.EqualValues(t, 15, fileType)
	version, err := f.Uint("general.quantization_version")
	require.NoError(t, err)
	assert.EqualValues(t, 2, version)
	assert.False(t, f.Has("quantize.imatrix.file"), "the output was made without an importance matrix")
}

func TestPlanWritesNothing(t *testing.T) {
	in := writeModel(t, model())
	dir := filepath.Dir(in)
	report, err := Plan(context.Background(), in, Options{Policy: policy(t, "Q8_0")})
	require.NoError(t, err)
	require.Len(t, report.Tensors, len(model()))
	assert.Equal(t, gguf.Q8_0, report.Tensors[0].To)
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, files, 1)
}

func TestPureAndOverrides(t *testing.T) {
	p := policy(t, "Q3_K")
	assert.EqualValues(t, 12, p.FileType())
	typ := func(name string) gguf.Type {
		got, _ := p.TypeFor(name, []uint64{256, 256})
		return got
	}
	assert.Equal(t, gguf.Q4_K, typ("v.blk.11.attn_v.weight"))
	require.NoError(t, p.ParseOverride(`BLK\.1[01]\..*=q8_0`))
	assert.Equal(t, gguf.Q8_0, typ("v.blk.11.attn_v.weight"))
	assert.Equal(t, gguf.Q4_K, typ("v.blk.1.attn_v.weight"))
	p.Pure()
	assert.Equal(t, gguf.Q3_K, typ("v.blk.1.attn_v.weight"))
	assert.Equal(t, gguf.Q3_K, typ("text_projection.weight"))
	assert.Equal(t, gguf.F16, typ("t.position_embd.weight"))
	vector, _ := p.TypeFor("v.blk.11.attn_v.bias", []uint64{256})
	assert.Equal(t, gguf.F32, vector, "an override for a matrix must not reach its bias")

	for pattern, problem := range map[string]string{
		"Q8_0": "expected PATTERN=TYPE", "=Q8_0": "expected PATTERN=TYPE", "x=Q9_9": "unknown tensor type", "(=Q8_0": "missing closing )",
		"x=TQ2_0": "can't be quantised to", "x=I32": "can't be quantised to", "x=Q4_2": "removed",
	} {
		assert.ErrorContains(t, p.ParseOverride(pattern), problem)
	}
	_, err := ParsePolicy("Q4_X")
	assert.ErrorContains(t, err, "expected one of F32, F16,")
}

func TestEveryNameIsAPolicy(t *testing.T) {
	for _, name := range append(Names(), "q3_k", "Q4_k", "Q5_K") {
		p := policy(t, name)
		for _, cols := range []uint64{4304, 1152, 768, 40, 1} {
			typ, fallback := p.TypeFor("x.weight", []uint64{cols, 3})
			_, err := typ.RowBytes(cols)
			require.NoError(t, err)
			assert.True(t, CanQuantize(typ))
			assert.Equal(t, fallback, typ != p.Base() && cols > 1, "%s, rows of %d: %s", name, cols, typ)
		}
	}
}

func TestRequantizeIsRefused(t *testing.T) {
	in := writeModel(t, []tensor{{"v.blk.0.attn_q.weight", []uint64{256, 4}, gguf.Q8_0, random(1, 1024)}})
	out := filepath.Join(t.TempDir(), "out.gguf")
	_, err := File(context.Background(), in, out, Options{Policy: policy(t, "Q4_0")})
	require.ErrorContains(t, err, `tensor "v.blk.0.attn_q.weight": is Q8_0 already`)
	assert.NoFileExists(t, out)
	_, err = File(context.Background(), in, out, Options{Policy: policy(t, "Q4_0"), AllowRequantize: true})
	require.NoError(t, err)
	// The same type again is a copy, and no loss.
	again := filepath.Join(t.TempDir(), "again.gguf")
	_, err = File(context.Background(), out, again, Options{Policy: policy(t, "Q4_0")})
	require.NoError(t, err)
	a, err := os.ReadFile(out)
	require.NoError(t, err)
	b, err := os.ReadFile(again)
	require.NoError(t, err)
	assert.Equal(t, a, b)
}

func TestNarrowTensorsAreNotWidened(t *testing.T) {
	in := writeModel(t, []tensor{
		{"v.position_embd.weight", []uint64{64, 4}, gguf.BF16, random(1, 256)},
		{"v.blk.0.attn_q.bias", []uint64{64}, gguf.F16, random(1, 64)},
		{"position_ids", []uint64{64, 1}, gguf.I32, make([]float32, 64)},
	})
	report, err := Plan(context.Background(), in, Options{Policy: policy(t, "Q8_0")})
	require.NoError(t, err)
	assert.Equal(t, []gguf.Type{gguf.BF16, gguf.F16, gguf.I32}, []gguf.Type{report.Tensors[0].To, report.Tensors[1].To, report.Tensors[2].To})
}

// TestNotFinite is number 31 of the hostile inputs: NaN and infinities, in what is quantised and in what is copied.
func TestNotFinite(t *testing.T) {
	big := matrix("v.blk.0.ffn_up.weight", 256, 1100) // more than one chunk
	const index = 1050*256 + 7
	for i, name := range Names() {
		for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1 - i%2*2))} {
			big.x[index] = bad
			bias := tensor{"v.blk.0.ffn_up.bias", []uint64{8}, gguf.F32, []float32{0, 0, 0, bad, 0, 0, 0, 0}}
			for _, c := range []struct {
				tensor
				index int
			}{{big, index}, {bias, 3}} {
				out := filepath.Join(t.TempDir(), "out.gguf")
				_, err := File(context.Background(), writeModel(t, []tensor{c.tensor}), out, Options{Policy: policy(t, name)})
				var value *ValueError
				require.ErrorAs(t, err, &value, name)
				assert.EqualValues(t, c.index, value.Index, name)
				assert.ErrorContains(t, err, fmt.Sprintf("%q", c.name))
				assert.NoFileExists(t, out)
			}
		}
	}
}

func TestNotFiniteScaleOfACopiedBlock(t *testing.T) {
	q := tensor{"v.blk.0.attn_q.weight", []uint64{32, 2}, gguf.Q8_0, random(1, 64)}
	path := writeModel(t, []tensor{q})
	f, err := gguf.Open(path)
	require.NoError(t, err)
	info, _ := f.Tensor(q.name)
	require.NoError(t, f.Close())
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	binary.LittleEndian.PutUint16(data[info.Offset+34:], 0x7c00) // the scale of the second row: infinity
	require.NoError(t, os.WriteFile(path, data, 0o644))
	_, err = File(context.Background(), path, filepath.Join(t.TempDir(), "out.gguf"), Options{Policy: policy(t, "Q8_0")})
	var value *ValueError
	require.ErrorAs(t, err, &value)
	assert.EqualValues(t, 32, value.Index)
}

// TestOutOfRange: finite numbers that a type's scale can't hold must not become infinities in the output.
func TestOutOfRange(t *testing.T) {
	for _, name := range Names() {
		p := policy(t, name)
		p.Pure()
		limit := codecs[p.Base()].limit
		x := random(1, 256)
		x[200] = limit
		data := make([]byte, 1024)
		row, err := p.Base().RowBytes(256)
		require.NoError(t, err)
		require.NoError(t, Quantize(data[:row], x, p.Base(), 256, nil), name)
		y := make([]float32, 256)
		require.NoError(t, Dequantize(y, data[:row], p.Base()))
		assert.LessOrEqual(t, float64(maxMagnitude(y)), math.MaxFloat32, name)
		if limit < math.MaxFloat32 {
			x[200] = -math.Nextafter32(limit, math.MaxFloat32)
			assert.ErrorContains(t, Quantize(data[:row], x, p.Base(), 256, nil), "beyond", name)
		}
	}
}

// TestSizesBeyondTheFile is CVE-2026-7482: a tensor whose offset and size reach past the end must never be read, let alone
// written to the output.
func TestSizesBeyondTheFile(t *testing.T) {
	path := writeModel(t, []tensor{matrix("v.blk.0.attn_q.weight", 256, 256)})
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	out := filepath.Join(t.TempDir(), "out.gguf")
	for _, n := range []int{len(whole) - 64, len(whole) / 2, 300, 100, 20, 4, 0} {
		require.NoError(t, os.WriteFile(path, whole[:n], 0o644))
		_, err := File(context.Background(), path, out, Options{Policy: policy(t, "Q8_0")})
		require.Error(t, err, n)
		require.NoFileExists(t, out)
	}
	// More rows than the file holds, up to products that overflow.
	at := strings.Index(string(whole), "v.blk.0.attn_q.weight") + len("v.blk.0.attn_q.weight") + 4
	for _, rows := range []uint64{257, 1 << 32, 1 << 53, 1 << 56, 1<<63 - 1, 1 << 63, math.MaxUint64} {
		hostile := append([]byte(nil), whole...)
		binary.LittleEndian.PutUint64(hostile[at+8:], rows)
		require.NoError(t, os.WriteFile(path, hostile, 0o644))
		_, err := File(context.Background(), path, out, Options{Policy: policy(t, "Q8_0")})
		require.Error(t, err, rows)
		require.NoFileExists(t, out)
	}
}

func TestInPlace(t *testing.T) {
	path := writeModel(t, model())
	apart := filepath.Join(t.TempDir(), "out.gguf")
	_, err := File(context.Background(), path, apart, Options{Policy: policy(t, "Q8_0")})
	require.NoError(t, err)
	_, err = File(context.Background(), path, path, Options{Policy: policy(t, "Q8_0")})
	require.NoError(t, err)
	want, err := os.ReadFile(apart)
	require.NoError(t, err)
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

func TestCancelLeavesNothing(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	stop := errors.New("stop")
	out := filepath.Join(t.TempDir(), "out.gguf")
	_, err := File(ctx, writeModel(t, []tensor{matrix("v.blk.0.attn_q.weight", 256, 8192)}), out, Options{Policy: policy(t, "Q6_K"),
		Progress: func(int64, int64) { cancel(stop) }})
	require.ErrorIs(t, err, stop)
	files, err := os.ReadDir(filepath.Dir(out))
	require.NoError(t, err)
	assert.Empty(t, files)
}

func TestTargetSize(t *testing.T) {
	in := writeModel(t, model())
	out := filepath.Join(t.TempDir(), "out.gguf")
	st, err := os.Stat(in)
	require.NoError(t, err)
	var before float64
	for _, target := range []int64{st.Size() / 2, st.Size() / 3, st.Size() / 4} {
		report, err := File(context.Background(), in, out, Options{Policy: policy(t, "Q4_K"), TargetSize: target, Measure: true})
		require.NoError(t, err)
		got, err := os.Stat(out)
		require.NoError(t, err)
		assert.LessOrEqual(t, got.Size(), target)
		assert.Greater(t, got.Size(), target*3/4, "room was left")
		var sum float64
		for _, r := range report.Tensors {
			if e := r.RelativeError(); strings.HasSuffix(r.Name, ".weight") {
				sum += e * e
			}
		}
		assert.Greater(t, sum, before, "a smaller file has more error")
		before = sum
	}
	_, err = File(context.Background(), in, out, Options{Policy: policy(t, "Q4_K"), TargetSize: 1000})
	assert.ErrorContains(t, err, "the smallest file has")
}

// TestStepsFollowTheHull: types that are no better for their bytes are passed over, and steps come by gain.
func TestStepsFollowTheHull(t *testing.T) {
	var hull []option
	for _, o := range []option{{gguf.Q2_K, 10, 9}, {gguf.Q3_K, 20, 9.5}, {gguf.Q4_K, 20, 8}, {gguf.Q5_K, 30, 2}, {gguf.Q6_K, 30, 1.5}, {gguf.Q8_0, 50, 1}} {
		hull = addToHull(hull, o)
	}
	assert.Equal(t, []option{{gguf.Q2_K, 10, 9}, {gguf.Q6_K, 30, 1.5}, {gguf.Q8_0, 50, 1}}, hull)
	other := []option{{gguf.Q2_K, 10, 4}, {gguf.Q3_K, 20, 3}}
	var order []string
	for _, s := range steps([][]option{hull, other}) {
		order = append(order, fmt.Sprintf("%d: %d to %d", s.tensor, s.from, s.to))
	}
	assert.Equal(t, []string{"0: 0 to 1", "1: 0 to 1", "0: 1 to 2"}, order)
}
