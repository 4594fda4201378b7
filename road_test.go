package clipgo_test

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo"
	"github.com/clipgo/clipgo/bindings"
	"github.com/clipgo/clipgo/convert"
	"github.com/clipgo/clipgo/internal/testutil"
)

// TestFastDecodeChangesLittle compares embeddings and scores of photographs decoded small with those of the whole ones.
func TestFastDecodeChangesLittle(t *testing.T) {
	photos, err := filepath.Glob(filepath.Join(testutil.Shared(t, "data", "images", "photos"), "*.J*"))
	require.NoError(t, err)
	require.NotEmpty(t, photos)
	cifar := filepath.Join(t.TempDir(), "cifar.gguf")
	_, err = convert.Convert(t.Context(), testutil.Shared(t, "golden", "cifar-clip"), cifar, convert.Options{})
	require.NoError(t, err)
	for name, labels := range map[string][]string{
		cifar: {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"},
		"":    {"dog", "car", "bird", "house", "person", "tree"},
	} {
		m, err := clipgo.OpenDemo()
		if name != "" {
			require.NoError(t, m.Close())
			m, err = clipgo.Open(name)
		}
		require.NoError(t, err)
		defer m.Close()
		side, err := m.Processor().FastSide()
		require.NoError(t, err)
		c, err := m.NewClassifier(t.Context(), labels)
		require.NoError(t, err)
		lowest, sum, largest, other, n := 1.0, 0.0, 0.0, 0, 0
		for _, path := range photos {
			file, err := os.ReadFile(path)
			require.NoError(t, err)
			whole, err := clipgo.DecodeImage(bytes.NewReader(file), m.ImageOptions())
			require.NoError(t, err)
			o := m.ImageOptions()
			o.ShortSide = side
			small, err := clipgo.DecodeImage(bytes.NewReader(file), o)
			require.NoError(t, err)
			if w, _ := whole.Size(); w == width(small) {
				continue
			}
			both, err := m.EncodeImages(t.Context(), []*clipgo.Image{whole, small})
			require.NoError(t, err)
			cosine := 0.0
			for i := range both[0] {
				cosine += float64(both[0][i]) * float64(both[1][i])
			}
			lowest, sum, n = min(lowest, cosine), sum+cosine, n+1
			exact, err := c.Score(both[0])
			require.NoError(t, err)
			fast, err := c.Score(both[1])
			require.NoError(t, err)
			if exact[0].Label != fast[0].Label {
				other++
			}
			scores := map[string]float64{}
			for _, p := range fast {
				scores[p.Label] = p.Score
			}
			for _, p := range exact {
				largest = max(largest, math.Abs(p.Score-scores[p.Label]))
			}
		}
		t.Logf("%s: %d photographs, cosine %.5f on average, %.5f at least; scores differ by %.4f at most; %d have another best label",
			m.Info().Name, n, sum/float64(n), lowest, largest, other)
		require.Positive(t, n)
		require.Greater(t, sum/float64(n), 0.995)
		require.Greater(t, lowest, 0.9)
	}
}

func width(m *clipgo.Image) int {
	w, _ := m.Size()
	return w
}

// BenchmarkPictureRoad goes from a JPEG file, $CLIPGO_PICTURE or one made up, to pixel values, beside what libjpeg-turbo alone takes to
// decode it.
func BenchmarkPictureRoad(b *testing.B) {
	file := photograph(b, 4000, 3000)
	if name := os.Getenv("CLIPGO_PICTURE"); name != "" {
		var err error
		file, err = os.ReadFile(name)
		require.NoError(b, err)
	}
	m := streamModel(b)
	side, err := m.Processor().FastSide()
	require.NoError(b, err)
	road := func(o clipgo.ImageOptions) func(b *testing.B) {
		return func(b *testing.B) {
			for b.Loop() {
				picture, err := clipgo.DecodeImage(bytes.NewReader(file), o)
				require.NoError(b, err)
				_, err = m.Processor().Pixels(picture)
				require.NoError(b, err)
			}
		}
	}
	if turbo, err := bindings.FindTurboJPEG(); err == nil {
		whole, err := clipgo.DecodeImage(bytes.NewReader(file), clipgo.ImageOptions{})
		require.NoError(b, err)
		w, h := whole.Size()
		pixels := make([]byte, 3*w*h)
		b.Run("libjpeg-turbo decodes", func(b *testing.B) {
			for b.Loop() {
				require.NoError(b, turbo.Decode(pixels, file, w, h, 3))
			}
		})
	}
	exact := m.ImageOptions()
	exact.Once = true
	b.Run("exact", road(exact))
	fast := exact
	fast.ShortSide = side
	b.Run("fast", road(fast))

}
