package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"image/jpeg"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/gguf"
)

// requantised is the demo model in a type that shows.
func requantised(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "small.gguf")
	clip(t, "quantize", demo("demo.gguf"), out, "Q4_0").done(t)
	return out
}

// gallery copies shipped pictures into a folder under the names given.
func gallery(t *testing.T, names map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, from := range names {
		data, err := os.ReadFile(demo(from))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	return dir
}

func TestCompare(t *testing.T) {
	a, b := demo("demo.gguf"), requantised(t)
	dir := gallery(t, map[string]string{"1.png": "owl.png", "2.png": "cat.png", "3.png": "pizza.png"})
	c := decode[comparison](t, clip(t, "compare", a, b, "--images", dir, "--labels", "owl,cat", "-l", "pizza", "--json").done(t))

	require.Equal(t, 3, c.Pictures)
	require.Zero(t, c.Failed)
	for _, side := range []fileFacts{c.A, c.B} {
		st, err := os.Stat(side.File)
		require.NoError(t, err)
		require.Equal(t, st.Size(), side.Bytes)
		require.Positive(t, side.Seconds)
	}

	// The embeddings are those of `clipgo embed`, the scores those of `clipgo classify`.
	embed := func(model string, more ...string) [][]float64 {
		var all [][]float64
		for _, e := range decode[embeddings](t, clip(t, append([]string{"embed", "--json", "-m", model}, more...)...).done(t)).Embeddings {
			all = append(all, e.Embedding)
		}
		return all
	}
	cosines := func(more ...string) agreement {
		x, y := embed(a, more...), embed(b, more...)
		mean, worst := 0.0, 1.0
		for i := range x {
			c := cosine(x[i], y[i])
			mean += c / float64(len(x))
			worst = min(worst, c)
		}
		return agreement{mean, worst}
	}
	images, texts := cosines("--image", dir), cosines("--text", "This is a photo of owl.", "--text", "This is a photo of cat.", "--text", "This is a photo of pizza.")
	require.InDelta(t, images.Mean, c.Images.Mean, 1e-5)
	require.InDelta(t, images.Worst, c.Images.Worst, 1e-5)
	require.InDelta(t, texts.Mean, c.Labels.Texts.Mean, 1e-5)
	require.InDelta(t, texts.Worst, c.Labels.Texts.Worst, 1e-5)
	require.Less(t, c.Images.Mean, 0.9999, "four bits show")
	require.Len(t, c.Worst, 3)
	require.Equal(t, c.Images.Worst, c.Worst[0].Cosine)
	require.LessOrEqual(t, c.Worst[1].Cosine, c.Worst[2].Cosine)
	require.Equal(t, 3, c.Labels.SameTop)
	require.Equal(t, 1.0, c.Labels.Agreement)
	score := func(model string) float64 {
		for _, l := range decode[[]prediction](t, clip(t, "classify", "--json", "-m", model, "--labels", "pizza,owl,cat", c.Labels.Change.Image).done(t)) {
			if l.Label == c.Labels.Change.Label {
				return l.Score
			}
		}
		return math.NaN()
	}
	require.InDelta(t, score(a), c.Labels.Change.A, 1e-6)
	require.InDelta(t, score(b), c.Labels.Change.B, 1e-6)

	for _, x := range c.Tensors {
		require.NotNil(t, x.Error, x.Name)
		if x.A == x.B {
			require.Zero(t, *x.Error, x.Name)
		} else if x.B == "Q4_0" {
			require.InDelta(t, 0.09, *x.Error, 0.04, x.Name)
		}
	}

	t.Run("text", func(t *testing.T) {
		text := clip(t, "compare", a, b, "--images", dir, "--labels", "owl,cat").done(t)
		require.True(t, strings.HasPrefix(text, "A  "+a+"\nB  "+b+"\n"), text)
		require.Regexp(t, `(?m)^size of the file +3\.9 MB +1\.3 MB +0\.32$`, text)
		require.Regexp(t, `(?m)^time per picture +\d+\.\d\d ms +\d+\.\d\d ms +\d+\.\d\d$`, text)
		require.Contains(t, text, "\n2 labels: the same one is best for 3 of 3 pictures (100.00%)\n")
		require.Regexp(t, `(?m)^  0\.\d+ +F16 +-> Q4_0 +\S+\.weight$`, text)
		require.Contains(t, text, c.Worst[0].Image)
	})
	t.Run("without labels", func(t *testing.T) {
		r := decode[map[string]any](t, clip(t, "compare", b, a, "--images", dir, "--json").done(t))
		require.NotContains(t, r, "labels")
	})
	t.Run("with itself", func(t *testing.T) {
		c := decode[comparison](t, clip(t, "compare", b, b, "--images", dir, "--labels", "owl,cat", "--template", "a {}", "--template", "the {}", "--json").done(t))
		require.InDelta(t, 1, c.Images.Worst, 1e-12)
		require.InDelta(t, 1, c.Labels.Texts.Worst, 1e-12)
		require.Equal(t, c.Labels.Change.A, c.Labels.Change.B)
		for _, x := range c.Tensors {
			require.Zero(t, *x.Error, x.Name)
		}
	})
	t.Run("html", func(t *testing.T) { testReport(t, a, b) })
}

func testReport(t *testing.T, a, b string) {
	dir := gallery(t, map[string]string{"<i>&owl.png": "owl.png", "cat.png": "cat.png"})
	path := filepath.Join(t.TempDir(), "report.html")
	r := clip(t, "compare", a, b, "--images", dir, "--labels", "owl,<script>alert(1)</script>", "--html", path)
	r.done(t)
	require.Contains(t, r.err, "wrote "+path)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	text := string(data)
	for _, never := range []string{"http:", "https:", "<script", "<i>", "ZgotmplZ", "<link", "@import"} {
		require.NotContains(t, text, never)
	}
	require.Contains(t, text, "&lt;i&gt;&amp;owl.png")
	sources := regexp.MustCompile(`<img src="data:image/jpeg;base64,([^"]*)"`).FindAllStringSubmatch(text, -1)
	require.Len(t, sources, 3, "two pictures, and the one with the largest change")
	for _, s := range sources {
		// html/template writes + of base64 as a reference.
		data, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(s[1], "&#43;", "+"))
		require.NoError(t, err)
		m, err := jpeg.Decode(bytes.NewReader(data))
		require.NoError(t, err)
		require.LessOrEqual(t, max(m.Bounds().Dx(), m.Bounds().Dy()), thumbnailSide)
	}
	plots := regexp.MustCompile(`(?s)<svg .*?</svg>`).FindAllString(text, -1)
	require.Len(t, plots, 2)
	for _, plot := range plots {
		require.Contains(t, plot, "<rect ")
		d := xml.NewDecoder(strings.NewReader(plot))
		for err = error(nil); err == nil; _, err = d.Token() {
		}
		require.ErrorIs(t, err, io.EOF, "well-formed")
	}

	clip(t, "compare", a, b, "--images", dir, "--html", filepath.Join(path, "x.html")).refusedAfterAnswer(t, "compare: writing")
}

// refusedAfterAnswer wants status 2, though there is an answer.
func (r result) refusedAfterAnswer(t *testing.T, part string) {
	t.Helper()
	require.Equal(t, exitUsage, r.code, r.err)
	require.Contains(t, r.err, part)
}

func TestCompareBadPictures(t *testing.T) {
	a := demo("demo.gguf")
	dir := gallery(t, map[string]string{"good.png": "owl.png"})
	bad := filepath.Join(dir, "bad.png")
	require.NoError(t, os.WriteFile(bad, []byte("no picture"), 0o600))
	r := clip(t, "compare", a, a, "--images", dir, "--labels", "a,b", "--json")
	require.Equal(t, exitPartial, r.code)
	require.Equal(t, 1, strings.Count(r.err, "bad.png"), "said once: %s", r.err)
	c := decode[comparison](t, r.out)
	require.Equal(t, 1, c.Pictures)
	require.Equal(t, 1, c.Failed)

	clip(t, "compare", a, a, "--images", bad).refused(t, "bad.png")
}

func TestCompareWarnsOnce(t *testing.T) {
	a, long := demo("demo.gguf"), strings.Repeat("owl ", 200)
	r := clip(t, "compare", a, a, "--images", demo("owl.png"), "-l", long, "-l", "b")
	r.done(t)
	require.Equal(t, 1, strings.Count(r.err, "the rest is left out"), r.err)
	clip(t, "compare", a, a, "--images", demo("owl.png"), "-l", long, "--strict").refused(t, "shorten it")
}

func TestCompareErrors(t *testing.T) {
	a, owl := demo("demo.gguf"), demo("owl.png")
	clip(t, "compare", a, "--images", owl).refused(t, "1 files, expected two")
	clip(t, "compare", a, a).refused(t, "no pictures", "--images")
	clip(t, "compare", a, a, "--images", owl, "--labels", ",").refused(t, "compare: no labels")
	clip(t, "compare", a, a, "--images", owl, "--labels-file", "/nonexistent").refused(t, "compare: reading labels", "/nonexistent")
	clip(t, "compare", a, a, "--images", owl, "--template", "a {}").refused(t, "--template without labels")
	clip(t, "compare", a, a, "--images", owl, "--labels", "a,b", "--template", "a").refused(t, "expected exactly one")
	clip(t, "compare", a, a, "--images", owl, "--activations", "int3").refused(t, "int3")
	clip(t, "compare", a, "/nonexistent.gguf", "--images", owl).refused(t, "/nonexistent.gguf")
	clip(t, "compare", a, t.TempDir(), "--images", owl).refused(t, "folder")
	clip(t, "compare", owl, a, "--images", owl).refused(t, "owl.png", "GGUF")
	other := converted(t, "clip-mixed", "F32")
	clip(t, "compare", a, other, "--images", owl).refused(t, "not two forms of one model")
}

func TestQuantizeCheck(t *testing.T) {
	in, dir := demo("demo.gguf"), gallery(t, map[string]string{"owl.png": "owl.png", "cat.png": "cat.png"})
	out := filepath.Join(t.TempDir(), "out.gguf")
	text := clip(t, "quantize", in, out, "Q8_0", "--check", dir).done(t)
	require.True(t, strings.HasPrefix(text, "A  "+in+"\nB  "+out+"\n"), text)
	require.Contains(t, text, "image embeddings of 2 pictures")
	require.NotContains(t, text, "labels")
	text = clip(t, "quantize", in, out, "Q4_0", "--check", dir, "--labels", "owl,cat").done(t)
	require.Contains(t, text, "2 labels: ")

	clip(t, "quantize", in, out, "Q4_0", "--labels", "owl,cat").refused(t, "--check")
	clip(t, "quantize", in, out, "Q4_0", "--check", dir, "--dry-run").refused(t, "--check", "--dry-run")
	clip(t, "quantize", out, out, "Q4_0", "--check", dir).refused(t, "name another output")
	r := clip(t, "quantize", in, out, "Q8_0", "--check", "/nonexistent.png")
	require.Equal(t, exitPartial, r.code, "the file was written")
	require.Contains(t, r.err, "/nonexistent.png")
}

// tensorFile writes tensors of F32.
func tensorFile(t *testing.T, tensors map[string][]float32, order ...string) *gguf.File {
	t.Helper()
	w := gguf.NewWriter()
	for _, name := range order {
		require.NoError(t, w.AddTensor(name, gguf.F32, []uint64{uint64(len(tensors[name]))}))
	}
	path := filepath.Join(t.TempDir(), "x.gguf")
	require.NoError(t, w.WriteFile(path, func(info gguf.TensorInfo, out io.Writer) error {
		return binary.Write(out, binary.LittleEndian, tensors[info.Name])
	}))
	f, err := gguf.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func TestCompareTensors(t *testing.T) {
	long, changed := make([]float32, 3*chunkElements/2), make([]float32, 3*chunkElements/2)
	for i := range long {
		long[i], changed[i] = 2, 2
	}
	changed[len(changed)-1] = 5 // in the second chunk
	nan := float32(math.NaN())
	a := tensorFile(t, map[string][]float32{"long": long, "zero": {0, 0}, "nan": {1, nan}, "same": {0, 0}, "dims": {1}, "a": {1}},
		"long", "zero", "nan", "same", "dims", "a")
	b := tensorFile(t, map[string][]float32{"long": changed, "zero": {0, 1}, "nan": {1, 1}, "same": {0, 0}, "dims": {1, 2}, "b": {1}},
		"b", "long", "zero", "nan", "same", "dims")
	same, others, err := compareTensors(t.Context(), a, b)
	require.NoError(t, err)
	require.Len(t, same, 4)
	require.Equal(t, "long", same[0].Name)
	require.InDelta(t, 3/math.Sqrt(4*float64(len(long))), *same[0].Error, 1e-12)
	require.Nil(t, same[1].Error)
	require.Nil(t, same[2].Error)
	require.Zero(t, *same[3].Error)
	require.Equal(t, []tensorException{{"dims", "dimensions [1] in A, [2] in B"}, {"a", "only in A"}, {"b", "only in B"}}, others)

	worst := worstTensors(same, 3)
	require.Equal(t, []string{"zero", "nan", "long"}, []string{worst[0].Name, worst[1].Name, worst[2].Name})

	stopped, stop := context.WithCancelCause(t.Context())
	reason := errors.New("enough")
	stop(reason)
	_, _, err = compareTensors(stopped, a, b)
	require.ErrorIs(t, err, reason)
}

func TestCompareRuns(t *testing.T) {
	w := &measurement{names: []string{"p", "q", "r", "s"}, labels: []string{"x", "y"}}
	a := &modelRun{
		embeddings: [][]float32{{1, 0}, {0, 1}, nil, {1, 0}}, best: []int{0, 1, 0, 0},
		scores: [][]float64{{0.9, 0.1}, {0.2, 0.8}, nil, {0.6, 0.4}},
		texts:  [][]float32{{1, 0}, {0, 1}}, prompts: []string{"an x", "a y"}, peak: 5,
	}
	b := &modelRun{
		embeddings: [][]float32{{1, 0}, {0.6, 0.8}, {1, 0}, {0, 1}}, best: []int{0, 1, 0, 1},
		scores: [][]float64{{0.8, 0.2}, {0.3, 0.7}, {1, 0}, {0.25, 0.75}},
		texts:  [][]float32{{1, 0}, {0.6, 0.8}},
	}
	c, err := compareRuns(w, a, b)
	require.NoError(t, err)
	require.Equal(t, 3, c.Pictures)
	require.Equal(t, 1, c.Failed)
	require.InDelta(t, 0.6, c.Images.Mean, 1e-7)
	require.Zero(t, c.Images.Worst)
	require.Equal(t, []string{"s", "q", "p"}, []string{c.Worst[0].Image, c.Worst[1].Image, c.Worst[2].Image})
	require.Equal(t, 2, c.Labels.SameTop)
	require.Equal(t, scoreChange{Image: "s", Label: "x", A: 0.6, B: 0.25, index: 3}, c.Labels.Change)
	require.InDelta(t, 0.9, c.Labels.Texts.Mean, 1e-7)
	require.Equal(t, "a y", c.Labels.WorstText)

	p := plotCosines(c.cosines)
	require.Len(t, p.Bars, 3)
	require.Zero(t, p.Bars[0].X)
	require.InDelta(t, plotWidth*(histogramBins-1)/histogramBins, p.Bars[2].X, 1e-9)
	require.Len(t, plotCosines([]float64{1, 1}).Bars, 1)

	b.embeddings[0] = []float32{1, 0, 0}
	_, err = compareRuns(w, a, b)
	require.ErrorContains(t, err, "2 numbers from A and 3 from B")
}

func TestThumbnail(t *testing.T) {
	const w, h = 2 * thumbnailSide, 4
	pix := make([]byte, 3*w*h)
	for i := range pix {
		if i/3%2 == 1 { // every other column
			pix[i] = 200
		}
	}
	m := thumbnail(pix, w, h)
	require.Equal(t, thumbnailSide, m.Bounds().Dx())
	require.Equal(t, 2, m.Bounds().Dy())
	r, _, _, _ := m.At(7, 1).RGBA()
	require.Equal(t, uint32(100), r>>8)
	require.Equal(t, 1, thumbnail(make([]byte, 3*5000), 5000, 1).Bounds().Dy())
	require.Equal(t, 3, thumbnail(make([]byte, 3*3*2), 3, 2).Bounds().Dx(), "not made larger")
}
