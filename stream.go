package clipgo

import (
	"context"
	"sync"

	"github.com/clipgo/clipgo/internal/ordered"
)

// EncodeEach embeds n pictures, which load gives, and hands each embedding, of length 1, or what went wrong with that
// picture to emit, in order. Pictures are loaded and prepared on all cores while others are computed; a bounded number is
// in memory at a time. load is called from several goroutines. An error of emit, or the end of ctx, ends the work.
func (m *Model) EncodeEach(ctx context.Context, n int, load func(ctx context.Context, i int) (*Image, error),
	emit func(i int, embedding []float32, err error) error) error {
	return m.EncodeEachRaw(ctx, n, load, func(i int, e []float32, err error) error {
		normalizeRows([][]float32{e}, m.dimension())
		return emit(i, e, err)
	})
}

// EncodeEachRaw is EncodeEach with the embeddings as the image tower gives them.
func (m *Model) EncodeEachRaw(ctx context.Context, n int, load func(ctx context.Context, i int) (*Image, error),
	emit func(i int, embedding []float32, err error) error) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	type prepared struct {
		pixels *Pixels
		err    error
	}
	var waiting []prepared // pictures before the present one that are not emitted yet
	flush := func(next int) error {
		defer func() { waiting = waiting[:0] }()
		var batch []*Pixels
		for _, w := range waiting {
			if w.err == nil {
				batch = append(batch, w.pixels)
			}
		}
		embeddings, err := m.encodePixels(ctx, batch)
		if err != nil {
			return err
		}
		for i, w := range waiting {
			var e []float32
			if w.err == nil {
				e, embeddings = embeddings[0], embeddings[1:]
			}
			if err := emit(next-len(waiting)+i, e, w.err); err != nil {
				return err
			}
		}
		return nil
	}
	// The tower comes while the first pictures are loaded. That it can't is told when it is used.
	var coming sync.WaitGroup
	defer coming.Wait()
	coming.Go(func() { _ = m.prepareImages(ctx) })
	processor := m.Processor()
	produce := func(ctx context.Context, _, i int) (prepared, error) {
		image, err := load(ctx, i)
		if err == nil {
			var p *Pixels
			if p, err = processor.Pixels(image); err == nil {
				return prepared{pixels: p}, nil
			}
		}
		if ctx.Err() != nil {
			return prepared{}, context.Cause(ctx)
		}
		return prepared{err: err}, nil
	}
	workers := 0 // one for each core
	if m.options.maxMemory > 0 {
		workers = 1
	}
	return ordered.Map(ctx, n, workers, produce, func(i int, p prepared) error {
		waiting = append(waiting, p)
		if len(waiting) < imageBatch && i+1 < n {
			return nil
		}
		return flush(i + 1)
	})
}

// encodePixels embeds pictures that were prepared one by one.
func (m *Model) encodePixels(ctx context.Context, pictures []*Pixels) (all [][]float32, err error) {
	if len(pictures) == 0 {
		return nil, nil
	}
	err = m.busy(ctx, func() error {
		all, err = m.forwardPixels(ctx, joinPixels(pictures))
		return err
	})
	return all, err
}
