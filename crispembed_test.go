package clipgo_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo"
	"github.com/clipgo/clipgo/convert"
	"github.com/clipgo/clipgo/internal/testutil"
)

// TestCrispEmbed converts pairs in CrispEmbed's layout, one with quantised blocks, and compares with the answers of the
// transformers models that tools/checkpoint-goldens/crispembed.py made them of.
func TestCrispEmbed(t *testing.T) {
	library := testutil.Engine(t)
	for _, name := range []string{"clip", "siglip"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join("testdata", "crispembed", name)
			var want struct {
				Texts  []string    `json:"texts"`
				IDs    [][]int32   `json:"input_ids"`
				Padded [][]int32   `json:"padded"`
				Pixels []float32   `json:"pixel_values"`
				Shape  []int       `json:"pixel_shape"`
				ImageE [][]float64 `json:"image_embeds"`
				TextE  [][]float64 `json:"text_embeds"`
			}
			data, err := os.ReadFile(filepath.Join(dir, "expected.json"))
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(data, &want))

			out := filepath.Join(t.TempDir(), "model.gguf")
			report, err := convert.Convert(context.Background(), dir, out, convert.Options{Type: "F32"})
			require.NoError(t, err)
			require.NotEmpty(t, report.Assumed)
			m, err := clipgo.Open(out, clipgo.WithLibrary(library))
			require.NoError(t, err)
			defer m.Close()
			got, err := m.Forward(context.Background(), &clipgo.Pixels{Values: want.Pixels, Shape: want.Shape}, &clipgo.Tokens{IDs: want.Padded})
			require.NoError(t, err)
			require.Greater(t, leastCosine(want.ImageE, got.ImageEmbeds), 0.999999)
			require.Greater(t, leastCosine(want.TextE, got.TextEmbeds), 0.999999)
			require.Equal(t, name, m.Info().Family)
			require.InDelta(t, 100, m.Info().LogitScale, 1e-3)
			for i, text := range want.Texts {
				tokens, err := m.Processor().Tokens(text)
				require.NoError(t, err)
				require.Equal(t, want.IDs[i], tokens.IDs[0][:len(want.IDs[i])], text)
			}
		})
	}
}

// TestHalfOfCrispEmbed: a half can't be run as it is, and says what to do.
func TestHalfOfCrispEmbed(t *testing.T) {
	for _, half := range []string{"image.gguf", "text.gguf"} {
		_, err := clipgo.Open(filepath.Join("testdata", "crispembed", "clip", half), clipgo.WithInterpreter())
		require.ErrorContains(t, err, "make one file of both with `clipgo convert`")
	}
}
