package clipgo_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo"
	"github.com/clipgo/clipgo/internal/sysmem"
	"github.com/clipgo/clipgo/internal/testutil"
)

func TestMaxMemory(t *testing.T) {
	if sysmem.Resident() == 0 {
		t.Skip("this system doesn't tell what a process has")
	}
	m := openDemo(t, clipgo.WithMaxMemory(2<<20))
	_, err := m.EncodeImage(t.Context(), picture(t, "owl.png"))
	var refused *clipgo.MemoryError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "the image tower", refused.What)
	require.Equal(t, int64(2<<20), refused.Limit)
	require.Greater(t, refused.Need, int64(3<<20), "the demo model's weights")
	require.Greater(t, refused.Resident, int64(2<<20))
	require.ErrorContains(t, err, "over the limit of 2.1 MB; take a model with smaller weights")
	_, err = m.EncodeText(t.Context(), "owl")
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "the text tower", refused.What)
	_, err = m.MaxPixels(t.Context())
	require.ErrorAs(t, err, &refused)

	want, err := openDemo(t).EncodeImage(t.Context(), picture(t, "owl.png"))
	require.NoError(t, err)
	m = openDemo(t, clipgo.WithMaxMemory(1<<40))
	got, err := m.EncodeImage(t.Context(), picture(t, "owl.png"))
	require.NoError(t, err)
	require.Equal(t, want, got)
	pixels, err := m.MaxPixels(t.Context())
	require.NoError(t, err)
	require.Greater(t, pixels, 1<<30)
	pixels, err = openDemo(t).MaxPixels(t.Context())
	require.NoError(t, err)
	require.Zero(t, pixels, "no limit")

	_, err = clipgo.OpenDemo(clipgo.WithInterpreter(), clipgo.WithMaxMemory(1<<40))
	require.ErrorContains(t, err, "needs the native engine")
}

// TestSmallerBatches lets in runs that need a third of what a full one does: fewer items are computed at a time, and the answers
// stay.
func TestSmallerBatches(t *testing.T) {
	var texts []string
	for i := range 100 {
		texts = append(texts, fmt.Sprint("a photo of a number ", i, " with a few words"))
	}
	var images []*clipgo.Image
	for _, name := range []string{"owl.png", "car.png", "cat.png", "guitar.png", "pizza.png", "rocket.png", "owl.png", "car.png"} {
		images = append(images, picture(t, name))
	}
	m := openDemo(t)
	for what, encode := range map[string]func(*clipgo.Model) ([][]float32, error){
		"texts":  func(m *clipgo.Model) ([][]float32, error) { return m.EncodeTexts(t.Context(), texts) },
		"images": func(m *clipgo.Model) ([][]float32, error) { return m.EncodeImages(t.Context(), images) },
	} {
		t.Run(what, func(t *testing.T) {
			want, err := encode(m)
			require.NoError(t, err)
			var largest int64
			whole, err := clipgo.OpenDemo(clipgo.WithLibrary(testutil.Engine(t)))
			require.NoError(t, err)
			defer whole.Close()
			whole.LimitArena(1<<40, func(arena int64, _ bool) { largest = max(largest, arena) })
			_, err = encode(whole)
			require.NoError(t, err)

			small := openDemo(t)
			refused, granted := 0, 0
			small.LimitArena(largest/3, func(_ int64, ok bool) {
				if ok {
					granted++
				} else {
					refused++
				}
			})
			got, err := encode(small)
			require.NoError(t, err)
			require.Positive(t, refused)
			require.Positive(t, granted)
			require.Len(t, got, len(want))
			for i := range want {
				require.InDeltaSlice(t, want[i], got[i], 1e-6)
			}

			none := openDemo(t)
			none.LimitArena(1, func(int64, bool) {})
			_, err = encode(none)
			var e *clipgo.MemoryError
			require.ErrorAs(t, err, &e, "not even one")
		})
	}
}
