package preprocess

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/clipgo/clipgo/internal/imageio"
	"github.com/clipgo/clipgo/internal/testutil"
	"github.com/stretchr/testify/require"
)

func loadPicture(t testing.TB, path string) *imageio.Picture {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	p, err := imageio.Decode(data, imageio.Options{})
	require.NoError(t, err)
	return p
}

// TestGoldenPixelValues compares with what transformers' and open_clip's processors returned for every checkpoint.
func TestGoldenPixelValues(t *testing.T) {
	golden := testutil.Shared(t, "golden")
	pictures := testutil.Shared(t, "data", "images")
	cases := 0
	for _, dir := range must(filepath.Glob(golden + "/*")) {
		if _, err := os.Stat(dir + "/expected_pixel_values.npy"); err != nil {
			continue
		}
		name := filepath.Base(dir)
		var spec Spec
		if data, err := os.ReadFile(dir + "/open_clip_config.json"); err == nil {
			spec, err = ParseOpenCLIP(data)
			require.NoError(t, err, name)
		} else {
			data, err := os.ReadFile(dir + "/preprocessor_config.json")
			require.NoError(t, err)
			spec, err = ParseHF(data, "clip")
			require.NoError(t, err, name)
		}
		t.Run(name, func(t *testing.T) { compareGolden(t, spec, dir, "expected_pixel_values.npy", pictures) })
		cases++
		if _, err := os.Stat(dir + "/expected_pixel_values_torchvision.npy"); err == nil {
			spec, err := spec.With(CompatHF5)
			require.NoError(t, err)
			t.Run(name+"/torchvision", func(t *testing.T) { compareGolden(t, spec, dir, "expected_pixel_values_torchvision.npy", pictures) })
		}
	}
	require.GreaterOrEqual(t, cases, 19)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func compareGolden(t *testing.T, spec Spec, dir, file, pictures string) {
	var expected struct {
		Images []string `json:"images"`
		Shapes [][2]int `json:"spatial_shapes"`
	}
	data, err := os.ReadFile(dir + "/expected.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &expected))
	shape, want := testutil.ReadNPY(t, dir+"/"+file)
	each := len(want) / shape[0]
	for i, name := range expected.Images {
		got, err := spec.Apply(loadPicture(t, pictures+"/"+name), nil)
		require.NoError(t, err)
		require.Equal(t, shape[1:], got.Shape)
		if spec.NaFlex() {
			require.Equal(t, expected.Shapes[i], got.Patches)
		}
		worst := 0.0
		for j, v := range want[i*each : (i+1)*each] {
			worst = max(worst, math.Abs(float64(v)-float64(got.Values[j])))
		}
		require.Zero(t, worst, name)
	}
}
