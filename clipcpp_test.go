package clipgo_test

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo"
	"github.com/clipgo/clipgo/internal/testutil"
)

// TestFilesOfClipCPP runs files that clip.cpp wrote, whose ffn_up and ffn_down are swapped and which have no merges and no
// logit scale, and compares with what clip.cpp computed.
func TestFilesOfClipCPP(t *testing.T) {
	library := testutil.Engine(t)
	for _, name := range []string{"legacy-f16", "legacy-q4_0"} {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(testutil.Shared(t, "golden", "clip.cpp", name+".json"))
			require.NoError(t, err)
			var want struct {
				Image []float64 `json:"image_embedding_normalised"`
				IDs   []int32   `json:"token_ids"`
				Text  []float64 `json:"text_embedding_normalised"`
			}
			require.NoError(t, json.Unmarshal(data, &want))
			m, err := clipgo.Open(testutil.Shared(t, "golden", "clip.cpp", name+".gguf"), clipgo.WithLibrary(library),
				clipgo.WithActivations(clipgo.Float32))
			require.NoError(t, err)
			defer m.Close()

			// The JSON says: 2*sin(i*0.37)+0.3*cos(i*0.011), i an index into [32][32][3].
			pixels := &clipgo.Pixels{Values: make([]float32, 3*32*32), Shape: []int{1, 3, 32, 32}}
			for i := range pixels.Values {
				c, at := i%3, i/3
				pixels.Values[c*32*32+at] = float32(2*math.Sin(float64(i)*0.37) + 0.3*math.Cos(float64(i)*0.011))
			}
			out, err := m.Forward(context.Background(), pixels, &clipgo.Tokens{IDs: [][]int32{want.IDs}})
			require.NoError(t, err)
			require.Greater(t, leastCosine([][]float64{want.Image}, out.ImageEmbeds), 0.9995)
			require.Greater(t, leastCosine([][]float64{want.Text}, out.TextEmbeds), 0.9995)

			_, err = m.EncodeText(context.Background(), "an owl")
			require.ErrorContains(t, err, "no merges")
		})
	}
}
