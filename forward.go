package clipgo

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/clipgo/clipgo/internal/arch"
	"github.com/clipgo/clipgo/internal/engine"
)

// How much one run of the engine takes: enough rows to keep the panels of weights in use, few enough to bound inputs and arena.
const (
	imageBatch = 8
	textRows   = 2048
)

// Output is what a forward call gives: embeddings divided by their length, as transformers returns them, and logits.
type Output struct {
	// ImageEmbeds is [images][dimension]; a model with several rows for an image (BLIP-2) has them one after another.
	ImageEmbeds [][]float32
	// TextEmbeds is [texts][dimension].
	TextEmbeds [][]float32
	// LogitsPerImage is [images][texts]: scale * cosine + bias. LogitsPerText is its transpose.
	LogitsPerImage, LogitsPerText [][]float32
}

// Forward computes what a transformers model's forward does with pixel values and token ids. Either may be nil; without
// both there are no logits. Errors: a tower that the model doesn't have, wrong shapes, ids outside the vocabulary.
func (m *Model) Forward(ctx context.Context, pixels *Pixels, tokens *Tokens) (*Output, error) {
	out := &Output{}
	err := m.busy(ctx, func() (err error) {
		if pixels != nil {
			if out.ImageEmbeds, err = m.forwardPixels(ctx, pixels); err != nil {
				return err
			}
			normalizeRows(out.ImageEmbeds, m.dimension())
		}
		if tokens != nil {
			if out.TextEmbeds, err = m.forwardTokens(ctx, tokens.IDs, tokens.Mask); err != nil {
				return err
			}
			normalizeRows(out.TextEmbeds, m.dimension())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if pixels != nil && tokens != nil {
		out.LogitsPerText = make([][]float32, len(out.TextEmbeds))
		for _, image := range out.ImageEmbeds {
			logits := m.logits(image, out.TextEmbeds)
			out.LogitsPerImage = append(out.LogitsPerImage, logits)
			for i, x := range logits {
				out.LogitsPerText[i] = append(out.LogitsPerText[i], x)
			}
		}
	}
	return out, nil
}

func (m *Model) dimension() int {
	if m.arch.Vision != nil {
		return m.arch.Vision.Projection
	}
	return m.arch.Text.Projection
}

// normalizeRows divides each run of dimension elements by its length.
func normalizeRows(embeddings [][]float32, dimension int) {
	for _, e := range embeddings {
		for i := 0; i+dimension <= len(e); i += dimension {
			normalize(e[i : i+dimension])
		}
	}
}

// logits compares a normalised image embedding with normalised text embeddings. Of an image of several rows, the nearest
// counts.
func (m *Model) logits(image []float32, texts [][]float32) []float32 {
	scale, bias := m.arch.Scale(), m.arch.LogitBias
	logits := make([]float32, len(texts))
	for i, text := range texts {
		best := dot(image[:len(text)], text)
		for row := len(text); row+len(text) <= len(image); row += len(text) {
			best = max(best, dot(image[row:row+len(text)], text))
		}
		logits[i] = scale*best + bias
	}
	return logits
}

// forwardPixels returns the embeddings of preprocessed pictures, as the tower gives them.
func (m *Model) forwardPixels(ctx context.Context, p *Pixels) ([][]float32, error) {
	v := m.arch.Vision
	if v == nil {
		return nil, fmt.Errorf("%s: the model has no image tower", m.file.Name())
	}
	if err := p.check(v); err != nil {
		return nil, err
	}
	batch := imageBatch
	var all [][]float32
	err := m.useImages(func(tower *engine.Runner) error {
		for at := 0; at < p.Shape[0]; {
			n := min(batch, p.Shape[0]-at)
			rows, inputs, err := m.imageInputs(p, at, n)
			if err != nil {
				return err
			}
			out, err := tower.Run(ctx, n, rows, inputs...)
			if tooLarge(err) && n > 1 {
				batch = n / 2
				continue
			}
			if err != nil {
				return err
			}
			all = append(all, split(out[0], n)...)
			at += n
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// imageInputs are the inputs of the image tower for n pictures from the at-th on, and the rows of each.
func (m *Model) imageInputs(p *Pixels, at, n int) (rows int, inputs []engine.Input, err error) {
	size := len(p.Values) / p.Shape[0]
	values := p.Values[at*size : (at+n)*size]
	if !m.arch.Vision.NaFlex {
		return 1, []engine.Input{{Name: arch.InputPixels, F32: values}}, nil
	}
	rows = p.Shape[1]
	width := m.arch.Vision.Width
	positions, lengths := make([]float32, n*rows*width), make([]int32, n)
	for i, shape := range p.SpatialShapes[at : at+n] {
		grid, err := m.positions(shape)
		if err != nil {
			return 0, nil, err
		}
		copy(positions[i*rows*width:(i+1)*rows*width], grid)
		lengths[i] = int32(shape[0] * shape[1])
	}
	return rows, []engine.Input{
		{Name: arch.InputPatches, F32: values},
		{Name: arch.InputPositions, F32: positions},
		{Name: arch.InputLengths, I32: lengths},
	}, nil
}

// split cuts a run's output into its n items.
func split(out []float32, n int) [][]float32 {
	items, size := make([][]float32, n), len(out)/n
	for i := range items {
		items[i] = out[i*size : (i+1)*size : (i+1)*size]
	}
	return items
}

// textRow is a text as the tower takes it.
type textRow struct {
	at     int     // place among the texts asked for
	ids    []int32 // as many as are computed
	places []int32 // the ids' rows of the position embeddings, nil where they count from 0
	index  int32   // the row that is pooled
	length int32   // the rows that count
}

// forwardTokens returns the embeddings of texts, as the tower gives them. Rows that can't change the result are not
// computed; texts of like length are computed together.
func (m *Model) forwardTokens(ctx context.Context, ids, mask [][]int32) ([][]float32, error) {
	t := m.arch.Text
	if t == nil {
		return nil, fmt.Errorf("%s: the model has no text tower", m.file.Name())
	}
	rows := make([]textRow, len(ids))
	for i := range ids {
		var valid []int32
		if mask != nil {
			valid = mask[i]
		}
		var err error
		if rows[i], err = newTextRow(t, i, ids[i], valid); err != nil {
			return nil, fmt.Errorf("text %d: %w", i, err)
		}
	}
	groups := []textGroup{newTextGroup(rows, 0)}
	if t.Shares() {
		groups = textGroups(rows)
	}
	all := make([][]float32, len(ids))
	most := textRows
	err := m.useTexts(func(tower *engine.Runner) error {
		for _, g := range groups {
			for len(g.rows) > 0 {
				b := newTextBatch(g, most)
				err := b.run(ctx, tower, all)
				if tooLarge(err) && len(b.rows) > 1 {
					most = len(b.rows) / 2 * b.width
					continue
				}
				if err != nil {
					return err
				}
				g.rows = g.rows[len(b.rows):]
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// newTextRow finds the pooled row and leaves out those that can't change it.
func newTextRow(t *arch.Text, at int, ids, mask []int32) (textRow, error) {
	r := textRow{at: at}
	if len(ids) > t.MaxTokens() {
		return r, fmt.Errorf("%d tokens, expected at most %d", len(ids), t.MaxTokens())
	}
	if mask != nil && len(mask) != len(ids) {
		return r, fmt.Errorf("an attention mask of %d for %d tokens", len(mask), len(ids))
	}
	if t.Skip > 0 {
		if len(ids) <= t.Skip {
			return r, fmt.Errorf("%d tokens, expected more than the %d that stand for the queries of the picture", len(ids), t.Skip)
		}
		ids, mask = ids[t.Skip:], mask[min(t.Skip, len(mask)):]
	}
	if t.Pooling == arch.PoolAppended {
		ids, mask = withClassToken(t, ids)
	}
	if len(ids) == 0 {
		return r, errEmptyRow
	}
	pooled := pooledRow(t, ids)
	if t.Placed() {
		r.keepSeen(ids, mask, positions(t, ids), pooled, t.Causal)
		if r.length == 0 {
			return r, errNothingSeen
		}
		return r, nil
	}
	r.ids, r.index, r.length = ids, int32(pooled), int32(len(ids))
	if t.Causal && t.Pooling != arch.PoolLast {
		r.ids, r.length = ids[:pooled+1], int32(pooled+1)
		if slices.Contains(mask[:min(pooled, len(mask))], 0) {
			return r, errors.New("the attention mask hides tokens before the one that is pooled; pad on the right")
		}
	}
	return r, nil
}

var (
	errEmptyRow    = errors.New("no tokens: the model has no start and end token, so an empty text has no embedding")
	errNothingSeen = errors.New("the attention mask hides every token that the embedding is made of")
)

// pooledRow returns the row that becomes the embedding, of a mean the last.
func pooledRow(t *arch.Text, ids []int32) int {
	pooled := 0
	switch t.Pooling {
	case arch.PoolLast, arch.PoolMean, arch.PoolAppended:
		pooled = len(ids) - 1
	case arch.PoolEOS:
		pooled = max(0, slices.Index(ids, t.EOS))
	case arch.PoolArgmax:
		for i, id := range ids {
			if id > ids[pooled] {
				pooled = i
			}
		}
	}
	return pooled
}

// positions returns the row of the position embeddings that each id gets.
func positions(t *arch.Text, ids []int32) []int32 {
	places, words := make([]int32, len(ids)), int32(0)
	for i, id := range ids {
		switch {
		case !t.CountWords:
			places[i] = int32(i)
		case id != t.Pad:
			words++
			places[i] = words
		}
	}
	return places
}

// keepSeen leaves out the ids that the mask hides, and in a causal tower those after the pooled one; the others keep their
// places. A pooled row that is hidden itself comes last, behind the r.length rows that are seen. Without a mask all are.
func (r *textRow) keepSeen(ids, mask, places []int32, pooled int, causal bool) {
	hidden := func(i int) bool { return mask != nil && mask[i] == 0 }
	keep := func(i int) {
		if i == pooled {
			r.index = int32(len(r.ids))
		}
		r.ids, r.places = append(r.ids, ids[i]), append(r.places, places[i])
	}
	last := len(ids) - 1
	if causal {
		last = pooled
	}
	for i := range last + 1 {
		if !hidden(i) {
			keep(i)
		}
	}
	r.length = int32(len(r.ids))
	if hidden(pooled) {
		keep(pooled)
	}
}

// withClassToken puts CoCa's class token behind a text padded to the context, and makes its mask. As open_clip has it, the mask
// of padding is one place late: the position after a padding id is hidden, the class token's own too, and so the first
// padding id of a text is seen.
func withClassToken(t *arch.Text, text []int32) (ids, mask []int32) {
	ids = append(ids, text...)
	for len(ids) < t.Context {
		ids = append(ids, t.Pad)
	}
	mask = make([]int32, t.Context+1)
	mask[0] = 1
	for i, id := range ids {
		if id != t.Pad {
			mask[i+1] = 1
		}
	}
	return append(ids, int32(t.Vocab-1)), mask
}
