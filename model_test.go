package clipgo_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo"
	"github.com/clipgo/clipgo/internal/testutil"
)

func openDemo(t *testing.T, opts ...clipgo.Option) *clipgo.Model {
	t.Helper()
	m, err := clipgo.OpenDemo(append(opts, clipgo.WithLibrary(testutil.Engine(t)))...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

func picture(t *testing.T, name string) *clipgo.Image {
	t.Helper()
	image, err := clipgo.LoadImage(t.Context(), "testdata/"+name)
	require.NoError(t, err)
	return image
}

func TestClassifierErrors(t *testing.T) {
	m := openDemo(t)
	for name, c := range map[string]struct {
		labels    []string
		templates []string
		want      string
	}{
		"no labels":    {nil, []string{"{}"}, "no labels"},
		"no templates": {[]string{"a"}, nil, "no templates"},
		"no place":     {[]string{"a"}, []string{"{}", "a photo"}, `template "a photo" has 0 {}, expected exactly one`},
		"two places":   {[]string{"a"}, []string{"{} or {}"}, `has 2 {}, expected exactly one`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := m.NewClassifier(t.Context(), c.labels, clipgo.WithTemplates(c.templates...))
			require.ErrorContains(t, err, c.want)
		})
	}
	c, err := m.NewClassifier(t.Context(), []string{"a", "b"})
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, c.Labels())
	for _, n := range []int{0, 1, m.Info().Dimension - 1, m.Info().Dimension + 1} {
		_, err := c.Score(make([]float32, n))
		require.ErrorContains(t, err, fmt.Sprintf("the image embedding has %d elements, expected %d", n, m.Info().Dimension))
	}
}

// TestForwardErrors gives the by-hand road what doesn't fit the model.
func TestForwardErrors(t *testing.T) {
	m := openDemo(t)
	info := m.Info()
	forward := func(p *clipgo.Pixels, ids ...int32) error {
		var tokens *clipgo.Tokens
		if ids != nil {
			tokens = &clipgo.Tokens{IDs: [][]int32{ids}}
		}
		_, err := m.Forward(t.Context(), p, tokens)
		return err
	}
	size := info.ImageHeight
	n := 3 * size * size
	require.NoError(t, forward(&clipgo.Pixels{Values: make([]float32, n), Shape: []int{1, 3, size, size}}))
	for _, shape := range [][]int{nil, {}, {0, 3, size, size}, {-1, 3, size, size},
		{1, 3, size}, {1, 4, size, size}, {1, 3, size - 1, size}} {
		require.ErrorContains(t, forward(&clipgo.Pixels{Values: make([]float32, n), Shape: shape}), "pixel values of shape")
	}
	require.ErrorContains(t, forward(&clipgo.Pixels{Values: make([]float32, n-1), Shape: []int{1, 3, size, size}}),
		fmt.Sprintf("%d pixel values, expected %d", n-1, n))

	require.NoError(t, forward(nil, 0, 1))
	require.ErrorContains(t, forward(nil, make([]int32, info.Context+1)...), fmt.Sprintf("%d tokens, expected at most %d", info.Context+1, info.Context))
	require.Error(t, forward(nil, []int32{}...))
	for _, id := range []int32{-1, 1 << 30} {
		require.ErrorContains(t, forward(nil, id, 0), fmt.Sprint(id))
	}
	out, err := m.Forward(t.Context(), nil, nil)
	require.NoError(t, err)
	require.Equal(t, &clipgo.Output{}, out)
}

// TestConcurrentUse wants the answers of one goroutine from many.
func TestConcurrentUse(t *testing.T) {
	m := openDemo(t)
	owl := picture(t, "owl.png")
	labels := []string{"owl", "car", "pizza"}
	want, err := m.Classify(t.Context(), owl, labels)
	require.NoError(t, err)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 3 {
				got, err := m.Classify(t.Context(), owl, labels)
				if err != nil || len(got) != len(want) || got[0] != want[0] || got[2] != want[2] {
					t.Errorf("%v, %v; expected %v", got, err, want)
				}
			}
		})
	}
	all.Wait()
}

// TestClose closes under calls in progress: each ends whole, or says that the model is closed.
func TestClose(t *testing.T) {
	m, err := clipgo.OpenDemo(clipgo.WithLibrary(testutil.Engine(t)))
	require.NoError(t, err)
	owl := picture(t, "owl.png")
	want, err := m.EncodeImage(t.Context(), owl)
	require.NoError(t, err)
	var all sync.WaitGroup
	var begun sync.WaitGroup
	for range 4 {
		begun.Add(1)
		all.Go(func() {
			for first := true; ; first = false {
				e, err := m.EncodeImage(t.Context(), owl)
				if first {
					begun.Done()
				}
				if errors.Is(err, clipgo.ErrClosed) {
					return
				}
				if err != nil || e[0] != want[0] {
					t.Errorf("%v, %v", e, err)
					return
				}
			}
		})
	}
	begun.Wait()
	require.NoError(t, m.Close())
	require.NoError(t, m.Close(), "twice is harmless")
	all.Wait()

	_, err = m.EncodeText(t.Context(), "a")
	require.ErrorIs(t, err, clipgo.ErrClosed)
	_, err = m.Classify(t.Context(), owl, []string{"a"})
	require.ErrorIs(t, err, clipgo.ErrClosed)
	_, err = m.Forward(t.Context(), nil, &clipgo.Tokens{IDs: [][]int32{{1}}})
	require.ErrorIs(t, err, clipgo.ErrClosed)
	_, _, err = m.Programs()
	require.ErrorIs(t, err, clipgo.ErrClosed)
	_, err = m.Processor().Pixels(owl)
	require.NoError(t, err, "a processor that was used stays usable")
}

func TestEndedContext(t *testing.T) {
	m := openDemo(t)
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	_, err := m.EncodeImage(ctx, picture(t, "owl.png"))
	require.ErrorIs(t, err, why)
	_, err = m.EncodeText(ctx, "a")
	require.ErrorIs(t, err, why)
	_, err = m.Classify(ctx, picture(t, "owl.png"), []string{"a"})
	require.ErrorIs(t, err, why)
}

// TestEncodeEach wants every picture's embedding or error, in order, with few pictures in memory.
func TestEncodeEach(t *testing.T) {
	m := openDemo(t)
	owl, car := picture(t, "owl.png"), picture(t, "car.png")
	embeddings, err := m.EncodeImages(t.Context(), []*clipgo.Image{owl, car})
	require.NoError(t, err)
	broken := errors.New("broken")
	load := func(_ context.Context, i int) (*clipgo.Image, error) {
		switch i % 5 {
		case 3:
			return nil, broken
		case 4:
			return car, nil
		}
		return owl, nil
	}
	for _, n := range []int{0, 1, 7, 8, 9, 40} {
		next := 0
		require.NoError(t, m.EncodeEach(t.Context(), n, load, func(i int, e []float32, err error) error {
			require.Equal(t, next, i)
			next++
			switch i % 5 {
			case 3:
				require.ErrorIs(t, err, broken)
				require.Empty(t, e)
			case 4:
				require.InDeltaSlice(t, embeddings[1], e, 1e-5)
			default:
				require.NoError(t, err)
				require.InDeltaSlice(t, embeddings[0], e, 1e-5)
			}
			return nil
		}))
		require.Equal(t, n, next)
	}

	t.Run("emit ends the work", func(t *testing.T) {
		enough := errors.New("enough")
		var loaded atomic.Int32
		count := func(ctx context.Context, i int) (*clipgo.Image, error) {
			loaded.Add(1)
			return load(ctx, i)
		}
		require.ErrorIs(t, m.EncodeEach(t.Context(), 100_000, count, func(i int, _ []float32, _ error) error {
			require.LessOrEqual(t, i, 10)
			if i == 10 {
				return enough
			}
			return nil
		}), enough)
		require.Less(t, int(loaded.Load()), 1000, "it doesn't load far ahead")
	})
	t.Run("the context ends the work", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		wait := func(ctx context.Context, i int) (*clipgo.Image, error) {
			if i == 20 {
				cancel()
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return owl, nil
		}
		require.ErrorIs(t, m.EncodeEach(ctx, 100, wait, func(i int, _ []float32, err error) error {
			require.Less(t, i, 20)
			return err
		}), context.Canceled)
	})
}

func TestSoftmaxAndSigmoid(t *testing.T) {
	require.Empty(t, clipgo.Softmax(nil))
	require.Equal(t, []float64{1}, clipgo.Softmax([]float32{-1e30}))
	require.InDeltaSlice(t, []float64{0.5, 0.5, 0}, clipgo.Softmax([]float32{1e30, 1e30, -1e30}), 1e-12)
	// torch.softmax(torch.tensor([1., 2., 3.]), 0) and torch.sigmoid of it.
	require.InDeltaSlice(t, []float64{0.09003057, 0.24472848, 0.66524094}, clipgo.Softmax([]float32{1, 2, 3}), 1e-7)
	require.InDeltaSlice(t, []float64{0.73105860, 0.88079709, 0.95257413}, clipgo.Sigmoid([]float32{1, 2, 3}), 1e-7)
	require.InDeltaSlice(t, []float64{0, 1}, clipgo.Sigmoid([]float32{-1e30, 1e30}), 1e-12)
}
