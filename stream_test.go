package clipgo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo"
	"github.com/clipgo/clipgo/internal/testutil"
)

// photograph makes a JPEG of w x h pixels.
func photograph(t testing.TB, w, h int) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.SetRGBA(x, y, color.RGBA{byte(x * y >> 6), byte(x*7 ^ y*3), byte(x + y), 255})
		}
	}
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, m, nil))
	return b.Bytes()
}

// streamModel is the demo model, in the native engine.
func streamModel(t testing.TB) *clipgo.Model {
	t.Helper()
	m, err := clipgo.OpenDemo(clipgo.WithLibrary(testutil.Engine(t)))
	require.NoError(t, err)
	t.Cleanup(func() { m.Close() })
	return m
}

// However many pictures there are, the same few are in memory.
func TestEncodeEachMemoryIsBounded(t *testing.T) {
	n := 2000
	if testing.Short() {
		n = 400
	}
	m := streamModel(t)
	file := photograph(t, 320, 240)
	load := func(context.Context, int) (*clipgo.Image, error) {
		return clipgo.DecodeImage(bytes.NewReader(file), m.ImageOptions())
	}
	var early, late uint64
	err := m.EncodeEach(t.Context(), n, load, func(i int, e []float32, err error) error {
		if i%10 == 0 {
			var s runtime.MemStats
			runtime.ReadMemStats(&s)
			if i < n/5 {
				early = max(early, s.HeapInuse)
			} else {
				late = max(late, s.HeapInuse)
			}
		}
		return err
	})
	require.NoError(t, err)
	const picture = 320 * 240 * 3
	require.Less(t, late, early+32*picture, "bytes in use after a fifth of the pictures, and later")
}

func BenchmarkEncodeEach(b *testing.B) {
	m := streamModel(b)
	for _, size := range [][2]int{{640, 480}, {4000, 3000}} {
		file := photograph(b, size[0], size[1])
		options := m.ImageOptions()
		first, err := clipgo.DecodeImage(bytes.NewReader(file), options)
		require.NoError(b, err)
		options.Once = true
		load := func(context.Context, int) (*clipgo.Image, error) {
			return clipgo.DecodeImage(bytes.NewReader(file), options)
		}
		stop := errors.New("only prepared")
		for name, prepare := range map[string]func(ctx context.Context, i int) (*clipgo.Image, error){
			"both": load,
			"prepare": func(ctx context.Context, i int) (*clipgo.Image, error) {
				picture, err := load(ctx, i)
				if err == nil {
					_, err = m.Processor().Pixels(picture)
				}
				if err == nil {
					err = stop
				}
				return nil, err
			},
		} {
			b.Run(fmt.Sprintf("%dx%d/%s", size[0], size[1], name), func(b *testing.B) {
				err := m.EncodeEach(b.Context(), b.N, prepare, func(_ int, _ []float32, err error) error {
					if errors.Is(err, stop) {
						return nil
					}
					return err
				})
				require.NoError(b, err)
			})
		}
		b.Run(fmt.Sprintf("%dx%d/tower", size[0], size[1]), func(b *testing.B) {
			pictures := make([]*clipgo.Image, 8)
			for i := range pictures {
				pictures[i] = first
			}
			pixels, err := m.Processor().Pixels(pictures...)
			require.NoError(b, err)
			for i := 0; i < b.N; i += len(pictures) {
				_, err := m.Forward(b.Context(), pixels, nil)
				require.NoError(b, err)
			}
		})
	}
}
