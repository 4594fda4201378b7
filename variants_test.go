package clipgo_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo"
	"github.com/clipgo/clipgo/convert"
	"github.com/clipgo/clipgo/internal/testutil"
)

// TestVariants holds the checkpoints that tools/variants/make.py wrote to $CLIPGO_VARIANTS to transformers' and open_clip's
// answers: pixel values, ids, embeddings, logits, and the pipeline's scores.
func TestVariants(t *testing.T) {
	root := os.Getenv("CLIPGO_VARIANTS")
	if root == "" {
		t.Skip("CLIPGO_VARIANTS names no folder that tools/variants/make.py wrote to")
	}
	native := clipgo.WithLibrary(testutil.Engine(t))
	count, coarse := 0, 0
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Base(path) != "expected.json" {
			return err
		}
		count++
		dir := filepath.Dir(path)
		name, err := filepath.Rel(root, dir)
		t.Run(filepath.ToSlash(name), func(t *testing.T) {
			if refused := refusal(t, dir); refused != "" {
				_, err := convert.Convert(context.Background(), dir, filepath.Join(t.TempDir(), "model.gguf"), convert.Options{})
				require.ErrorContains(t, err, refused)
				require.NotContains(t, err.Error(), "\n")
				return
			}
			g := readGoldenIn(t, dir)
			path := g.convert(t, "F32")
			logit, image, text := g.forward(t, path, native)
			assert.Less(t, logit, 1e-3, "F32")
			assert.Greater(t, image, 0.999999, "F32 images")
			assert.Greater(t, text, 0.999999, "F32 texts")
			g.prepare(t, path, native)
			_, image, text = g.forward(t, g.convert(t, "F16"), native)
			assert.Greater(t, min(image, text), 0.9999, "F16")
			_, image, text = g.forward(t, g.convert(t, "Q8_0"), native)
			assert.Greater(t, min(image, text), 0.98, "Q8_0")
			if min(image, text) < 0.996 {
				t.Logf("Q8_0: %.5f", min(image, text))
				coarse++
			}
		})
		return err
	})
	require.NoError(t, err)
	require.NotZero(t, count, "%s holds no expected.json", root)
	// Random weights have nothing redundant: a few of hundreds lose more to 8 bits than any trained model does.
	assert.Less(t, coarse, max(1, count/20), "Q8_0 below 0.996")
}

// refusal returns what an error must say of a checkpoint that can't be read, "" for others.
func refusal(t *testing.T, dir string) string {
	t.Helper()
	var expected struct {
		Refused string `json:"refused"`
	}
	data, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &expected))
	return expected.Refused
}

// prepare compares ids and pixel values, and where they were recorded the pipeline's scores.
func (g *golden) prepare(t *testing.T, path string, opts ...clipgo.Option) {
	t.Helper()
	m, err := clipgo.Open(path, append(opts, clipgo.WithWarnings(func(string) {}))...)
	require.NoError(t, err)
	defer m.Close()
	tokens, err := m.Processor().Tokens(g.Texts...)
	require.NoError(t, err)
	if !g.ByHand {
		assert.Equal(t, g.IDs, tokens.IDs)
		assert.Equal(t, g.Mask, tokens.Mask)
	}
	size := len(g.pixels.Values) / len(g.Images)
	for i, name := range g.Images {
		image, err := clipgo.LoadImage(context.Background(), testutil.Shared(t, "data", "images", name))
		require.NoError(t, err)
		pixels, err := m.Processor().Pixels(image)
		require.NoError(t, err)
		want := g.pixels.Values[i*size : (i+1)*size]
		require.Len(t, pixels.Values, len(want), name)
		worst := 0.0
		for j := range want {
			worst = max(worst, math.Abs(float64(want[j]-pixels.Values[j])))
		}
		if filepath.Ext(name) == ".png" {
			assert.LessOrEqual(t, worst, 1e-6, name)
		} else {
			assert.LessOrEqual(t, worst, 0.1, name)
		}
	}
	if len(g.Pipeline.Results) > 0 {
		g.classify(t, m)
	}
}
