package clipgo_test

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo"
	"github.com/clipgo/clipgo/convert"
	"github.com/clipgo/clipgo/internal/testutil"
)

// TestBigVision converts SigLIPs in big_vision's layout, one with its blocks stacked, and compares with the answers of the
// transformers models that tools/checkpoint-goldens/bigvision.py made them of.
func TestBigVision(t *testing.T) {
	library := testutil.Engine(t)
	for _, name := range []string{"small", "naflex"} {
		t.Run(name, func(t *testing.T) {
			var want struct {
				Pixels  []float32   `json:"pixel_values"`
				Shape   []int       `json:"pixel_shape"`
				Spatial [][2]int    `json:"spatial_shapes"`
				IDs     [][]int32   `json:"input_ids"`
				Logits  [][]float64 `json:"logits_per_image"`
				Images  [][]float64 `json:"image_embeds"`
				Texts   [][]float64 `json:"text_embeds"`
			}
			data, err := os.ReadFile(filepath.Join("testdata", "bigvision", name+".json"))
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(data, &want))

			out := filepath.Join(t.TempDir(), "model.gguf")
			_, err = convert.Convert(context.Background(), filepath.Join("testdata", "bigvision", name+".npz"), out, convert.Options{
				Type: "F32", Tokenizer: filepath.Join("internal", "tokenizer", "testdata", "class-siglip", "spiece.model")})
			require.NoError(t, err)
			m, err := clipgo.Open(out, clipgo.WithLibrary(library))
			require.NoError(t, err)
			defer m.Close()
			got, err := m.Forward(context.Background(),
				&clipgo.Pixels{Values: want.Pixels, Shape: want.Shape, SpatialShapes: want.Spatial}, &clipgo.Tokens{IDs: want.IDs})
			require.NoError(t, err)
			require.Len(t, got.LogitsPerImage, len(want.Logits))
			for i, row := range want.Logits {
				for j, logit := range row {
					require.InDelta(t, logit, got.LogitsPerImage[i][j], 1e-3)
				}
			}
			require.Greater(t, leastCosine(want.Images, got.ImageEmbeds), 0.999999)
			require.Greater(t, leastCosine(want.Texts, got.TextEmbeds), 0.999999)
			require.True(t, m.Info().Sigmoid)
			require.InDelta(t, math.Exp(2.5), m.Info().LogitScale, 1e-4)
		})
	}
}
