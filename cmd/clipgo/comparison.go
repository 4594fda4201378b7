package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/clipgo/clipgo"
	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/quantize"
)

// comparison says how the model of file B differs from that of file A: as JSON for programs.
type comparison struct {
	A        fileFacts         `json:"a"`
	B        fileFacts         `json:"b"`
	Pictures int               `json:"pictures"` // compared
	Failed   int               `json:"failed"`   // left out
	Images   agreement         `json:"image_embeddings"`
	Worst    []pictureCosine   `json:"worst_pictures"` // least alike first, at most worstPictures
	Labels   *labelComparison  `json:"labels,omitempty"`
	Tensors  []tensorError     `json:"tensors"`
	Others   []tensorException `json:"tensors_not_compared,omitempty"`

	cosines []float64 // of all pictures compared, ascending
}

// fileFacts are what a model costs.
type fileFacts struct {
	File    string  `json:"file"`
	Bytes   int64   `json:"bytes"`
	Peak    int64   `json:"peak_memory_growth,omitempty"` // of the process while the model was open, bytes; 0: the system doesn't tell
	Seconds float64 `json:"seconds_per_picture"`          // of the engine, one picture at a time
}

// agreement sums up cosines: 1 is the same direction.
type agreement struct {
	Mean  float64 `json:"mean_cosine"`
	Worst float64 `json:"worst_cosine"`
}

type pictureCosine struct {
	Image  string  `json:"image"`
	Cosine float64 `json:"cosine"`
	index  int
}

type labelComparison struct {
	Count     int         `json:"count"`
	SameTop   int         `json:"same_top1"` // pictures whose best label is the same
	Agreement float64     `json:"top1_agreement"`
	Change    scoreChange `json:"largest_change"`
	Texts     agreement   `json:"text_embeddings"`
	WorstText string      `json:"worst_text"`
}

// scoreChange is one label's scores for one picture.
type scoreChange struct {
	Image string  `json:"image"`
	Label string  `json:"label"`
	A     float64 `json:"a"`
	B     float64 `json:"b"`
	index int
}

// tensorError is the length of the difference of two tensors by the length of A's: sqrt(sum (a-b)^2 / sum a^2).
type tensorError struct {
	Name  string   `json:"name"`
	Dims  []uint64 `json:"dims"`
	A     string   `json:"a"` // type
	B     string   `json:"b"`
	Error *float64 `json:"relative_error"` // nil: undefined, since A is zero or a number isn't finite
}

// tensorException is a tensor that can't be compared.
type tensorException struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

const worstPictures = 5

// modelRun is what one model made of the pictures and labels.
type modelRun struct {
	embeddings [][]float32 // of each picture; nil where it failed
	best       []int       // of each picture: the label of the greatest score
	scores     [][]float64 // [pictures][labels]
	prompts    []string    // [labels * templates]
	texts      [][]float32 // of each prompt
	peak       int64
	seconds    float64
}

// measurement is what both models are to do.
type measurement struct {
	names     []string // of the pictures
	load      func(ctx context.Context, i int) (*clipgo.Image, error)
	labels    []string // none: embeddings only
	templates []string // none: the model's own
	failed    func(i int, err error)
	progress  func(done int)
}

// warmUp runs the demo model over a few pictures: what the process takes once, for code and for decoders, would otherwise
// count as the first model's memory. Nothing that fails here matters yet.
func (w *measurement) warmUp(ctx context.Context, options []clipgo.Option) {
	m, err := clipgo.OpenDemo(append(slices.Clip(options), clipgo.WithWarnings(func(string) {}))...)
	if err != nil {
		return
	}
	defer m.Close()
	_ = m.EncodeEach(ctx, min(8, len(w.names)), w.load, func(int, []float32, error) error { return nil })
	_, _ = m.EncodeText(ctx, "warm")
}

// run opens a model, gives it the work, and closes it again.
func (w *measurement) run(ctx context.Context, open func() (*clipgo.Model, error)) (*modelRun, error) {
	debug.FreeOSMemory() // what an earlier run left behind would be taken again without growth
	before, measured := resetPeakMemory()
	m, err := open()
	if err != nil {
		return nil, err
	}
	defer m.Close()
	r := &modelRun{embeddings: make([][]float32, len(w.names))}
	var classifier *clipgo.Classifier
	if len(w.labels) > 0 {
		if classifier, err = w.encodeLabels(ctx, m, r); err != nil {
			return nil, err
		}
	}
	err = m.EncodeEach(ctx, len(w.names), w.load, func(i int, e []float32, err error) error {
		if err == nil && !allFinite(e) {
			err = fmt.Errorf("image %s: its embedding is not finite", shortName(w.names[i]))
		}
		if err != nil {
			w.failed(i, err)
		} else {
			r.embeddings[i] = e
		}
		w.progress(i + 1)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if classifier != nil {
		if err := w.score(classifier, r); err != nil {
			return nil, err
		}
	}
	if peak, ok := peakMemory(); ok && measured {
		r.peak = max(0, peak-before)
	}
	return r, nil
}

func (w *measurement) encodeLabels(ctx context.Context, m *clipgo.Model, r *modelRun) (*clipgo.Classifier, error) {
	templates := w.templates
	if len(templates) == 0 {
		templates = []string{m.Info().Template}
	}
	classifier, err := m.NewClassifier(ctx, w.labels, clipgo.WithTemplates(templates...))
	if err != nil {
		return nil, err
	}
	for _, label := range w.labels {
		for _, template := range templates {
			r.prompts = append(r.prompts, strings.Replace(template, "{}", label, 1))
		}
	}
	if r.texts, err = m.EncodeTexts(ctx, r.prompts); err != nil {
		return nil, err
	}
	for i, e := range r.texts {
		if !allFinite(e) {
			return nil, fmt.Errorf("text %q: its embedding is not finite", r.prompts[i])
		}
	}
	return classifier, nil
}

// score fills in the scores of all labels, in the labels' order.
func (w *measurement) score(classifier *clipgo.Classifier, r *modelRun) error {
	place := map[string]int{}
	for i, label := range w.labels {
		place[label] = i
	}
	r.best, r.scores = make([]int, len(w.names)), make([][]float64, len(w.names))
	for i, e := range r.embeddings {
		if e == nil {
			continue
		}
		predictions, err := classifier.Score(e)
		if err != nil {
			return err
		}
		scores := make([]float64, len(w.labels))
		for _, p := range predictions {
			scores[place[p.Label]] = p.Score
		}
		r.best[i], r.scores[i] = place[predictions[0].Label], scores
	}
	return nil
}

// time fills in how long the engine takes for one picture: the median of the faster half of several runs, since what else
// the machine does only slows runs down. The models take turns, so that they meet the same machine. Loading and preparing
// pictures isn't in it.
func (w *measurement) time(ctx context.Context, models [2]*clipgo.Model, runs [2]*modelRun) error {
	const pictures, most, enough, limit = 8, 32, 4, 20 * time.Second
	var prepared [2][]*clipgo.Pixels
	for i := 0; i < len(w.names) && len(prepared[0]) < pictures; i++ {
		if runs[0].embeddings[i] == nil || runs[1].embeddings[i] == nil {
			continue
		}
		image, err := w.load(ctx, i)
		if err != nil {
			return err
		}
		for k, m := range models {
			pixels, err := m.Processor().Pixels(image)
			if err != nil {
				return err
			}
			prepared[k] = append(prepared[k], pixels)
		}
	}
	n := len(prepared[0])
	if n == 0 {
		return nil
	}
	var took [2][]time.Duration
	for began, i := time.Now(), 0; i < most && (i < enough || time.Since(began) < limit); i++ {
		for k, m := range models {
			// Untimed, until this model's threads and weights are the ones at hand. The very first run packs the weights.
			if _, err := m.Forward(ctx, prepared[k][i%n], nil); err != nil {
				return err
			}
			start := time.Now()
			if _, err := m.Forward(ctx, prepared[k][i%n], nil); err != nil {
				return err
			}
			took[k] = append(took[k], time.Since(start))
		}
	}
	for k := range took {
		slices.Sort(took[k])
		runs[k].seconds = took[k][len(took[k])/4].Seconds()
	}
	return nil
}

// compareRuns compares what two models made of the same work. The facts of the files and the tensors are left open.
func compareRuns(w *measurement, a, b *modelRun) (*comparison, error) {
	c := &comparison{A: fileFacts{Peak: a.peak, Seconds: a.seconds}, B: fileFacts{Peak: b.peak, Seconds: b.seconds}}
	var all []pictureCosine
	for i := range w.names {
		x, y := a.embeddings[i], b.embeddings[i]
		if x == nil || y == nil {
			c.Failed++
			continue
		}
		if len(x) != len(y) {
			return nil, fmt.Errorf("an image embedding has %d numbers from A and %d from B: these are not two forms of one model", len(x), len(y))
		}
		all = append(all, pictureCosine{w.names[i], similarity(x, y), i})
	}
	if len(all) == 0 {
		return c, nil
	}
	slices.SortStableFunc(all, func(x, y pictureCosine) int { return cmp.Compare(x.Cosine, y.Cosine) })
	for _, p := range all {
		c.cosines = append(c.cosines, p.Cosine)
	}
	c.Pictures, c.Images = len(all), agree(c.cosines)
	c.Worst = all[:min(worstPictures, len(all))]
	if len(w.labels) > 0 {
		c.Labels = compareLabels(w, a, b, all)
	}
	return c, nil
}

func compareLabels(w *measurement, a, b *modelRun, pictures []pictureCosine) *labelComparison {
	l := &labelComparison{Count: len(w.labels)}
	greatest := -1.0
	for _, p := range pictures {
		if w.labels[a.best[p.index]] == w.labels[b.best[p.index]] {
			l.SameTop++
		}
		for k, x := range a.scores[p.index] {
			y := b.scores[p.index][k]
			if change := math.Abs(x - y); change > greatest {
				greatest = change
				l.Change = scoreChange{p.Image, w.labels[k], x, y, p.index}
			}
		}
	}
	l.Agreement = float64(l.SameTop) / float64(len(pictures))
	cosines := make([]float64, len(a.texts))
	worst := 0
	for i := range a.texts {
		cosines[i] = similarity(a.texts[i], b.texts[i])
		if cosines[i] < cosines[worst] {
			worst = i
		}
	}
	l.Texts, l.WorstText = agree(cosines), a.prompts[worst]
	return l
}

func agree(cosines []float64) agreement {
	var sum float64
	for _, x := range cosines {
		sum += x
	}
	return agreement{sum / float64(len(cosines)), slices.Min(cosines)}
}

// similarity is the cosine of two finite vectors of one length. Rounding may not make it more than 1.
func similarity(x, y []float32) float64 {
	var xx, yy, xy float64
	for i := range x {
		a, b := float64(x[i]), float64(y[i])
		xx += a * a
		yy += b * b
		xy += a * b
	}
	return max(-1, min(1, xy/math.Sqrt(xx*yy)))
}

func allFinite(x []float32) bool {
	for _, v := range x {
		if v-v != 0 { // NaN for NaN and the infinities
			return false
		}
	}
	return true
}

// compareTensors compares the tensors that both files have in equal dimensions, whatever their types, in A's order.
func compareTensors(ctx context.Context, a, b *gguf.File) (same []tensorError, others []tensorException, err error) {
	for _, x := range a.Tensors() {
		y, found := b.Tensor(x.Name)
		why := ""
		switch {
		case !found:
			why = "only in A"
		case !slices.Equal(x.Dims, y.Dims):
			why = fmt.Sprintf("dimensions %v in A, %v in B", x.Dims, y.Dims)
		case !quantize.CanDequantize(x.Type) || !quantize.CanDequantize(y.Type):
			why = fmt.Sprintf("%s in A, %s in B", x.Type, y.Type)
		}
		if why != "" {
			others = append(others, tensorException{x.Name, why})
			continue
		}
		e, err := relativeError(ctx, a, b, x, y)
		if err != nil {
			return nil, nil, fmt.Errorf("tensor %q: %w", x.Name, err)
		}
		t := tensorError{Name: x.Name, Dims: x.Dims, A: x.Type.String(), B: y.Type.String()}
		if !math.IsNaN(e) && !math.IsInf(e, 0) {
			t.Error = &e
		}
		same = append(same, t)
	}
	for _, y := range b.Tensors() {
		if _, found := a.Tensor(y.Name); !found {
			others = append(others, tensorException{y.Name, "only in B"})
		}
	}
	return same, others, nil
}

// relativeError streams two tensors of equal dimensions.
func relativeError(ctx context.Context, a, b *gguf.File, x, y gguf.TensorInfo) (float64, error) {
	readX, err := newFloatReader(a, x)
	if err != nil {
		return 0, err
	}
	readY, err := newFloatReader(b, y)
	if err != nil {
		return 0, err
	}
	var sum, energy float64
	for left := x.Elements(); left > 0; {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		n := min(left, chunkElements)
		left -= n
		p, err := readX.next(int(n))
		if err != nil {
			return 0, err
		}
		q, err := readY.next(int(n))
		if err != nil {
			return 0, err
		}
		for i, v := range p {
			d := float64(v) - float64(q[i])
			sum += float64(d * d)
			energy += float64(float64(v) * float64(v))
		}
	}
	if sum == 0 {
		return 0, nil
	}
	return math.Sqrt(sum / energy), nil
}

// chunkElements is how much of a tensor is in memory at a time: a multiple of every type's block. Rows are whole numbers of
// blocks, so that a tensor is one long row of them.
const chunkElements = 1 << 16

// floatReader reads a tensor of any type as float32, a chunk at a time.
type floatReader struct {
	data   *io.SectionReader
	typ    gguf.Type
	bytes  []byte
	floats []float32
}

func newFloatReader(f *gguf.File, t gguf.TensorInfo) (*floatReader, error) {
	data, err := f.TensorReader(t.Name)
	if err != nil {
		return nil, err
	}
	n, err := t.Type.RowBytes(chunkElements)
	if err != nil {
		return nil, err
	}
	return &floatReader{data, t.Type, make([]byte, n), make([]float32, chunkElements)}, nil
}

// next returns the next n elements, which the call after it overwrites.
func (r *floatReader) next(n int) ([]float32, error) {
	size, err := r.typ.RowBytes(uint64(n))
	if err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(r.data, r.bytes[:size]); err != nil {
		return nil, err
	}
	return r.floats[:n], quantize.Dequantize(r.floats[:n], r.bytes[:size], r.typ)
}
