package clipgo_test

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo"
	"github.com/clipgo/clipgo/bindings"
	"github.com/clipgo/clipgo/convert"
	"github.com/clipgo/clipgo/internal/testutil"
)

// golden is what transformers answered for a small checkpoint; see the README of ../shared/golden.
type golden struct {
	dir     string
	Images  []string    `json:"images"`
	Texts   []string    `json:"texts"`
	IDs     [][]int32   `json:"input_ids"`
	Mask    [][]int32   `json:"attention_mask"`
	Logits  [][]float64 `json:"logits_per_image"`
	ImageE  embeddings  `json:"image_embeds"`
	TextE   [][]float64 `json:"text_embeds"`
	Spatial [][2]int    `json:"spatial_shapes"`

	ByHand bool `json:"by_hand"` // no tokeniser gives these ids

	// Pipeline is what the zero-shot pipeline answered, per image; without Results it was not asked.
	Pipeline struct {
		Labels   []string `json:"candidate_labels"`
		Template string   `json:"hypothesis_template"`
		Results  [][]clipgo.Prediction
	} `json:"pipeline"`

	pixels *clipgo.Pixels
}

// embeddings are rows of numbers; several rows of one picture (BLIP-2) are put one after another.
type embeddings [][]float64

func (e *embeddings) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, (*[][]float64)(e)) == nil {
		return nil
	}
	var several [][][]float64
	if err := json.Unmarshal(data, &several); err != nil {
		return err
	}
	*e = nil
	for _, rows := range several {
		*e = append(*e, slices.Concat(rows...))
	}
	return nil
}

func readGolden(t *testing.T, name string) *golden {
	t.Helper()
	return readGoldenIn(t, testutil.Shared(t, "golden", name))
}

// readGoldenIn reads the golden in a folder.
func readGoldenIn(t *testing.T, dir string) *golden {
	t.Helper()
	g := &golden{dir: dir}
	data, err := os.ReadFile(filepath.Join(g.dir, "expected.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, g))
	shape, values := testutil.ReadNPY(t, filepath.Join(g.dir, "expected_pixel_values.npy"))
	g.pixels = &clipgo.Pixels{Values: values, Shape: shape, SpatialShapes: g.Spatial}
	return g
}

func (g *golden) convert(t *testing.T, typ string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "model.gguf")
	_, err := convert.Convert(context.Background(), g.dir, out, convert.Options{Type: typ})
	require.NoError(t, err)
	return out
}

// forward runs a converted golden by hand, and returns the largest difference of a logit and the least cosines.
func (g *golden) forward(t *testing.T, path string, opts ...clipgo.Option) (logit, image, text float64) {
	t.Helper()
	m, err := clipgo.Open(path, opts...)
	require.NoError(t, err)
	defer m.Close()
	out, err := m.Forward(context.Background(), g.pixels, &clipgo.Tokens{IDs: g.IDs, Mask: g.Mask})
	require.NoError(t, err)
	require.Len(t, out.LogitsPerImage, len(g.Logits))
	for i := range g.Logits {
		for j, want := range g.Logits[i] {
			logit = max(logit, math.Abs(want-float64(out.LogitsPerImage[i][j])))
		}
	}
	return logit, leastCosine(g.ImageE, out.ImageEmbeds), leastCosine(g.TextE, out.TextEmbeds)
}

func leastCosine(want [][]float64, got [][]float32) float64 {
	least := 1.0
	for i := range want {
		var ab, aa, bb float64
		for j, a := range want[i] {
			b := float64(got[i][j])
			ab, aa, bb = ab+a*b, aa+a*a, bb+b*b
		}
		least = min(least, ab/math.Sqrt(aa*bb))
	}
	return least
}

// families are the goldens of transformers' families and of open_clip.
var families = []string{
	"clip-openai-style", "clip-laion-style", "clip-224", "clip-mixed", "metaclip_2", "siglip", "siglip2-fixed", "siglip2-naflex",
	"clipseg", "chinese_clip", "altclip", "blip", "blip-itc", "blip-2", "align", "tipsv2",
	"openclip-vit-quickgelu", "openclip-vit-custom-text", "openclip-coca",
}

// TestFamiliesEqualTransformers holds every family to transformers' logits in F32, and to its bars in the other types.
func TestFamiliesEqualTransformers(t *testing.T) {
	library := testutil.Engine(t)
	for _, name := range families {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := readGolden(t, name)
			native := clipgo.WithLibrary(library)
			logit, image, text := g.forward(t, g.convert(t, "F32"), native)
			require.Less(t, logit, 1e-3)
			require.Greater(t, min(image, text), 0.999999)
			_, image, text = g.forward(t, g.convert(t, "F16"), native)
			require.Greater(t, min(image, text), 0.99999)
			_, image, text = g.forward(t, g.convert(t, "Q8_0"), native)
			require.Greater(t, min(image, text), 0.996)
		})
	}
}

// TestEnginesEqualTransformers runs the CLIP goldens on every instruction set of this machine and in the interpreter.
func TestEnginesEqualTransformers(t *testing.T) {
	path := testutil.Engine(t)
	library, err := bindings.Open(path)
	require.NoError(t, err)
	isas, err := library.ISAs()
	require.NoError(t, err)
	require.NotEmpty(t, isas)
	engines := map[string]clipgo.Option{"interpreter": clipgo.WithInterpreter()}
	for _, isa := range isas {
		engines[isa] = func(isa string) clipgo.Option { return clipgo.WithISA(isa) }(isa)
	}
	for _, name := range []string{"clip-openai-style", "clip-laion-style", "clip-224", "clip-mixed"} {
		g := readGolden(t, name)
		f32, q8, q4 := g.convert(t, "F32"), g.convert(t, "Q8_0"), g.convert(t, "Q4_0")
		_, exactImage, exactText := g.forward(t, q4, clipgo.WithInterpreter())
		for engine, option := range engines {
			t.Run(name+"/"+engine, func(t *testing.T) {
				if engine == "interpreter" && testing.Short() {
					t.Skip("slow")
				}
				native := clipgo.WithLibrary(path)
				logit, image, text := g.forward(t, f32, native, option)
				require.Less(t, logit, 1e-3)
				require.Greater(t, min(image, text), 0.999999)

				_, image, text = g.forward(t, q8, native, option)
				bar := 0.997
				if engine == "interpreter" {
					bar = 0.999
				}
				require.Greater(t, min(image, text), bar)

				_, image, text = g.forward(t, q4, native, option)
				require.Greater(t, image, exactImage-0.005, "Q4_0 against its dequantised weights in float32")
				require.Greater(t, text, exactText-0.005, "Q4_0 against its dequantised weights in float32")
			})
		}
	}
}

// TestTrainedModelInInt8 holds Q8_0 with 8-bit activations to its bar on a model whose weights were trained: real pictures
// have outliers that random weights don't make.
func TestTrainedModelInInt8(t *testing.T) {
	g := &golden{dir: testutil.Shared(t, "golden", "cifar-clip")}
	photos, err := filepath.Glob(filepath.Join(testutil.Shared(t, "data", "images", "photos"), "*.JPEG"))
	require.NoError(t, err)
	require.NotEmpty(t, photos)
	var images []*clipgo.Image
	for _, name := range photos[:min(len(photos), 60)] {
		image, err := clipgo.LoadImage(context.Background(), name)
		require.NoError(t, err)
		images = append(images, image)
	}
	library := clipgo.WithLibrary(testutil.Engine(t))
	exact, err := clipgo.Open(g.convert(t, "F32"), library)
	require.NoError(t, err)
	defer exact.Close()
	want, err := exact.EncodeImages(context.Background(), images)
	require.NoError(t, err)
	q8 := g.convert(t, "Q8_0")
	for name, a := range map[string]clipgo.Activations{"int8": clipgo.Int8, "int8-block": clipgo.Int8PerBlock} {
		m, err := clipgo.Open(q8, library, clipgo.WithActivations(a))
		require.NoError(t, err)
		defer m.Close()
		got, err := m.EncodeImages(context.Background(), images)
		require.NoError(t, err)
		require.Greater(t, leastCosine(float64s(want), got), 0.9995, name)
	}
}

func float64s(rows [][]float32) [][]float64 {
	out := make([][]float64, len(rows))
	for i, row := range rows {
		for _, v := range row {
			out[i] = append(out[i], float64(v))
		}
	}
	return out
}

// TestPipelineEqualsTransformers goes from the picture's file and the text to the scores, as the pipeline does.
func TestPipelineEqualsTransformers(t *testing.T) {
	library := testutil.Engine(t)
	for _, name := range families {
		t.Run(name, func(t *testing.T) {
			g := readGolden(t, name)
			p := g.Pipeline
			if len(p.Results) == 0 {
				t.Skip("the pipeline's answers were not recorded for this checkpoint")
			}

			m, err := clipgo.Open(g.convert(t, "F32"), clipgo.WithLibrary(library))
			require.NoError(t, err)
			defer m.Close()
			g.classify(t, m)
		})
	}
}

// classify goes from each picture's file to the scores of labels, as the pipeline does, and compares.
func (g *golden) classify(t *testing.T, m *clipgo.Model) {
	t.Helper()
	p := g.Pipeline
	c, err := m.NewClassifier(context.Background(), p.Labels, clipgo.WithTemplates(p.Template))
	require.NoError(t, err)
	for i, want := range p.Results {
		image, err := clipgo.LoadImage(context.Background(), testutil.Shared(t, "data", "images", g.Images[i]))
		require.NoError(t, err)
		got, err := c.Classify(context.Background(), image)
		require.NoError(t, err)
		require.Len(t, got, len(want))
		scores := map[string]float64{}
		for _, p := range want {
			scores[p.Label] = p.Score
		}
		for j := range want {
			// Labels whose scores differ by the last digit only may change places.
			require.InDelta(t, want[j].Score, scores[got[j].Label], 1e-6, "%s: place %d", g.Images[i], j)
			require.InDelta(t, scores[got[j].Label], got[j].Score, 2e-4, g.Images[i])
		}
	}
}
