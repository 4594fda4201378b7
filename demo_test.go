package clipgo_test

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo"
	"github.com/clipgo/clipgo/internal/testutil"
)

// demoGolden is what transformers answers with the shipped model (tools/demo-model/goldens.py).
type demoGolden struct {
	Images   []string    `json:"images"`
	Texts    []string    `json:"texts"`
	Unpadded [][]int32   `json:"input_ids_unpadded"`
	Logits   [][]float64 `json:"logits_per_image"`
	ImageE   [][]float64 `json:"image_embeds"`
	TextE    [][]float64 `json:"text_embeds"`
	Pipeline []struct {
		Labels   []string              `json:"candidate_labels"`
		Template string                `json:"hypothesis_template"`
		Results  [][]clipgo.Prediction `json:"results"`
	} `json:"pipeline"`
}

func readDemo(t *testing.T) (g demoGolden, images []*clipgo.Image) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "demo", "expected.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &g))
	for _, name := range g.Images {
		image, err := clipgo.LoadImage(context.Background(), filepath.Join("testdata", name))
		require.NoError(t, err)
		images = append(images, image)
	}
	return g, images
}

// TestDemoModelEqualsTransformers needs nothing but the repository: it is what CI never skips.
func TestDemoModelEqualsTransformers(t *testing.T) {
	g, images := readDemo(t)
	engines := map[string][]clipgo.Option{"interpreter": {clipgo.WithInterpreter()}}
	if path := os.Getenv("CLIPGO_LIBRARY"); path != "" {
		engines["native"] = []clipgo.Option{clipgo.WithLibrary(path)}
	}
	for engine, options := range engines {
		t.Run(engine, func(t *testing.T) {
			m, err := clipgo.OpenDemo(options...)
			require.NoError(t, err)
			defer m.Close()
			ctx := context.Background()
			for i, text := range g.Texts {
				ids, _, err := m.Processor().Tokenize(text)
				require.NoError(t, err)
				require.Equal(t, g.Unpadded[i], ids, text)
			}
			pixels, err := m.Processor().Pixels(images...)
			require.NoError(t, err)
			shape, want := testutil.ReadNPY(t, filepath.Join("testdata", "demo", "pixel_values.npy"))
			require.Equal(t, shape, pixels.Shape)
			require.InDeltaSlice(t, want, pixels.Values, 1e-6)

			tokens, err := m.Processor().Tokens(g.Texts...)
			require.NoError(t, err)
			out, err := m.Forward(ctx, pixels, tokens)
			require.NoError(t, err)
			require.Greater(t, leastCosine(g.ImageE, out.ImageEmbeds), 0.999999)
			require.Greater(t, leastCosine(g.TextE, out.TextEmbeds), 0.999999)
			for i := range g.Logits {
				for j, want := range g.Logits[i] {
					require.InDelta(t, want, out.LogitsPerImage[i][j], 1e-3)
					require.Equal(t, out.LogitsPerImage[i][j], out.LogitsPerText[j][i])
				}
			}
			for _, p := range g.Pipeline {
				c, err := m.NewClassifier(ctx, p.Labels, clipgo.WithTemplates(p.Template))
				require.NoError(t, err)
				for i, want := range p.Results {
					got, err := c.Classify(ctx, images[i])
					require.NoError(t, err)
					for j := range want {
						require.Equal(t, want[j].Label, got[j].Label)
						require.InDelta(t, want[j].Score, got[j].Score, 1e-4)
					}
				}
			}
		})
	}
}

func TestSeveralTemplatesAreAveraged(t *testing.T) {
	g, images := readDemo(t)
	m, err := clipgo.OpenDemo()
	require.NoError(t, err)
	defer m.Close()
	ctx := context.Background()
	templates := []string{"a photo of a {}", "{}", "This is a photo of {}."}
	labels := []string{"owl", "car"}
	c, err := m.NewClassifier(ctx, labels, clipgo.WithTemplates(templates...))
	require.NoError(t, err)
	got, err := c.Classify(ctx, images[0])
	require.NoError(t, err)
	image, err := m.EncodeImage(ctx, images[0])
	require.NoError(t, err)
	for _, p := range got {
		sum := make([]float64, len(image))
		for _, prompt := range []string{"a photo of a " + p.Label, p.Label, "This is a photo of " + p.Label + "."} {
			e, err := m.EncodeText(ctx, prompt)
			require.NoError(t, err)
			for i, x := range e {
				sum[i] += float64(x)
			}
		}
		var product, length float64
		for i, x := range sum {
			product, length = product+x*float64(image[i]), length+x*x
		}
		require.InDelta(t, float64(m.Info().LogitScale)*product/math.Sqrt(length), p.Logit, 1e-3)
	}
	require.Equal(t, "owl", got[0].Label)
	require.NotEmpty(t, g.Pipeline)
}

// TestModelServesManyGoroutines also closes the model while it works.
func TestModelServesManyGoroutines(t *testing.T) {
	_, images := readDemo(t)
	m, err := clipgo.OpenDemo()
	require.NoError(t, err)
	c, err := m.NewClassifier(context.Background(), []string{"owl", "car", "cat", "pizza", "guitar", "rocket"})
	require.NoError(t, err)
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			got, err := c.Classify(context.Background(), images[i%len(images)])
			if err != nil {
				require.ErrorIs(t, err, clipgo.ErrClosed)
				return
			}
			require.Equal(t, c.Labels()[i%len(images)], got[0].Label)
		})
		if i == 12 {
			wg.Go(func() { require.NoError(t, m.Close()) })
		}
	}
	wg.Wait()
	require.NoError(t, m.Close(), "closing twice")
	_, err = m.EncodeText(context.Background(), "late")
	require.ErrorIs(t, err, clipgo.ErrClosed)
}

func TestContextStopsWork(t *testing.T) {
	_, images := readDemo(t)
	m, err := clipgo.OpenDemo()
	require.NoError(t, err)
	defer m.Close()
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	err = m.EncodeEach(ctx, 100_000, func(context.Context, int) (*clipgo.Image, error) { return images[0], nil },
		func(int, []float32, error) error {
			if n++; n == 20 {
				cancel()
			}
			return nil
		})
	require.ErrorIs(t, err, context.Canceled)
	require.Less(t, n, 1000)
	_, err = m.EncodeText(ctx, "an owl")
	require.ErrorIs(t, err, context.Canceled)
}

func TestLongTextsAreCutOrRefused(t *testing.T) {
	long := ""
	for range 100 {
		long += "owl "
	}
	var warnings []string
	m, err := clipgo.OpenDemo(clipgo.WithWarnings(func(w string) { warnings = append(warnings, w) }))
	require.NoError(t, err)
	defer m.Close()
	warnings = nil // of a missing engine
	ids, _, err := m.Processor().Tokenize(long)
	require.NoError(t, err)
	require.Len(t, ids, m.Info().Context)
	require.Equal(t, int32(2047), ids[len(ids)-1], "the end token stays")
	require.Len(t, warnings, 1)

	strict, err := clipgo.OpenDemo(clipgo.WithStrict())
	require.NoError(t, err)
	defer strict.Close()
	_, err = strict.EncodeText(context.Background(), long)
	require.ErrorContains(t, err, "the model takes 32")
}
