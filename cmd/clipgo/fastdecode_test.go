package main

import (
	"bytes"
	"image"
	"image/jpeg"
	_ "image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/internal/testutil"
)

// enlarged writes a picture as a JPEG of n times its size, and returns the file's name.
func enlarged(t *testing.T, path string, n int) string {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	small, _, err := image.Decode(bytes.NewReader(data))
	require.NoError(t, err)
	b := small.Bounds()
	large := image.NewRGBA(image.Rect(0, 0, n*b.Dx(), n*b.Dy()))
	for y := range n * b.Dy() {
		for x := range n * b.Dx() {
			large.Set(x, y, small.At(b.Min.X+x/n, b.Min.Y+y/n))
		}
	}
	var out bytes.Buffer
	require.NoError(t, jpeg.Encode(&out, large, &jpeg.Options{Quality: 90}))
	name := filepath.Join(t.TempDir(), "large.jpg")
	require.NoError(t, os.WriteFile(name, out.Bytes(), 0o666))
	return name
}

// A large JPEG is decoded smaller, which shows in the pixel values and hardly in the scores; other files are what they were.
func TestFastDecode(t *testing.T) {
	large := enlarged(t, demo("owl.png"), 8)
	exact := decode[[]prediction](t, classified(t, "--json", large).done(t))
	fast := decode[[]prediction](t, classified(t, "--json", "--fast-decode", large).done(t))
	require.Equal(t, exact[0].Label, fast[0].Label)
	require.InDelta(t, exact[0].Score, fast[0].Score, 0.02)
	require.Equal(t, classified(t, "--json", demo("owl.png")).done(t), classified(t, "--json", "--fast-decode", demo("owl.png")).done(t))

	values := func(args ...string) []float32 {
		out := filepath.Join(t.TempDir(), "pixels.npy")
		clip(t, append([]string{"preprocess", model, large, "-o", out}, args...)...).done(t)
		_, v := testutil.ReadNPY(t, out)
		return v
	}
	a, b := values(), values("--fast-decode")
	differ, worst := 0, float32(0)
	for i := range a {
		if d := max(a[i]-b[i], b[i]-a[i]); d > 0 {
			differ, worst = differ+1, max(worst, d)
		}
	}
	require.Positive(t, differ)
	require.Less(t, worst, float32(1), "the whole range is about 4")

	embedding := clip(t, "embed", model, "--fast-decode", "--image", large).done(t)
	require.NotEqual(t, clip(t, "embed", model, "--image", large).done(t), embedding)
}
