package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/internal/testutil"
)

// expected is part of what transformers answered for a golden checkpoint; see the README of ../shared/golden.
type expected struct {
	Images   []string `json:"images"`
	Pipeline struct {
		Labels   []string       `json:"candidate_labels"`
		Template string         `json:"hypothesis_template"`
		Results  [][]prediction `json:"results"`
	} `json:"pipeline"`
	Unpadded [][]int32 `json:"input_ids_unpadded"`
	Texts    []string  `json:"texts"`
}

func readExpected(t *testing.T, name string) (e expected) {
	t.Helper()
	data, err := os.ReadFile(testutil.Shared(t, "golden", name, "expected.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &e))
	return e
}

var clips = []string{"clip-openai-style", "clip-laion-style", "clip-224", "clip-mixed"}

// TestClassifyEqualsTransformers goes from a checkpoint to the printed scores, as a user does.
func TestClassifyEqualsTransformers(t *testing.T) {
	for _, name := range clips {
		t.Run(name, func(t *testing.T) {
			e := readExpected(t, name)
			require.NotEmpty(t, e.Pipeline.Results)
			args := []string{"classify", "-m", converted(t, name, "F32"), "--json", "--template", e.Pipeline.Template}
			for _, label := range e.Pipeline.Labels {
				args = append(args, "-l", label)
			}
			for _, image := range e.Images {
				args = append(args, testutil.Shared(t, "data", "images", image))
			}
			lists := decode[[][]prediction](t, clip(t, args...).done(t))
			require.Len(t, lists, len(e.Pipeline.Results))
			for i, want := range e.Pipeline.Results {
				require.Len(t, lists[i], len(want))
				for j := range want {
					require.Equal(t, want[j].Label, lists[i][j].Label, e.Images[i])
					require.InDelta(t, want[j].Score, lists[i][j].Score, 1e-4, e.Images[i])
				}
			}
		})
	}
}

func TestTokenizeEqualsTransformers(t *testing.T) {
	for _, name := range clips {
		t.Run(name, func(t *testing.T) {
			e := readExpected(t, name)
			args := append([]string{"tokenize", "--json", "-m", converted(t, name, "F16"), "--"}, e.Texts...)
			var items []struct{ IDs []int32 }
			require.NoError(t, json.Unmarshal([]byte(clip(t, args...).done(t)), &items))
			require.Len(t, items, len(e.Unpadded))
			for i, want := range e.Unpadded {
				require.Equal(t, want, items[i].IDs, e.Texts[i])
			}
		})
	}
}

// TestPreprocessEqualsTransformers compares the file that preprocess writes with the processor's, picture by picture.
func TestPreprocessEqualsTransformers(t *testing.T) {
	for _, name := range []string{"clip-openai-style", "clip-224"} {
		t.Run(name, func(t *testing.T) {
			e := readExpected(t, name)
			shape, all := testutil.ReadNPY(t, testutil.Shared(t, "golden", name, "expected_pixel_values.npy"))
			size := len(all) / shape[0]
			path, out := converted(t, name, "F16"), filepath.Join(t.TempDir(), "pixels.npy")
			for i, image := range e.Images {
				if filepath.Ext(image) != ".png" {
					continue // another JPEG decoder may differ by a few levels
				}
				r := clip(t, "preprocess", "-m", path, testutil.Shared(t, "data", "images", image), "-o", out)
				require.Empty(t, r.done(t))
				gotShape, got := testutil.ReadNPY(t, out)
				require.Equal(t, append([]int{1}, shape[1:]...), gotShape)
				for j, want := range all[i*size : (i+1)*size] {
					if math.Abs(float64(want-got[j])) > 1e-6 {
						require.Failf(t, "pixel values differ", "%s: element %d is %g, expected %g", image, j, got[j], want)
					}
				}
			}
		})
	}
}

func TestPreprocessErrors(t *testing.T) {
	owl, out := demo("owl.png"), filepath.Join(t.TempDir(), "x.npy")
	require.Empty(t, clip(t, "preprocess", model, owl, "-o", out).done(t))
	shape, values := testutil.ReadNPY(t, out)
	require.Equal(t, []int{1, 3, shape[2], shape[2]}, shape)
	require.Len(t, values, 3*shape[2]*shape[2])
	clip(t, "preprocess", model, owl, "-o", "/nonexistent/x.npy").refused(t, "writing /nonexistent/x.npy: no such file or directory")
	clip(t, "preprocess", model, "/nonexistent.png", "-o", out).refused(t, "/nonexistent.png", "no such file")
	clip(t, "preprocess", model, owl, owl, "-o", out).refused(t, "2 pictures, expected one")
	clip(t, "preprocess", model, filepath.Dir(owl), "-o", out).refused(t, "folder")
}
