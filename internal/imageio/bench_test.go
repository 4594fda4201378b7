package imageio

import (
	"bytes"
	"image"
	"image/jpeg"
	"testing"

	"github.com/stretchr/testify/require"
)

// photograph makes a JPEG of w x h with 4:2:0 chroma that costs about what a camera's does.
func photograph(t testing.TB, w, h int) []byte {
	m := image.NewYCbCr(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio420)
	x := uint32(1)
	for _, plane := range [][]byte{m.Y, m.Cb, m.Cr} {
		for i := range plane {
			x = 1664525*x + 1013904223
			plane[i] = byte(i/40+i/w/30*7) + byte(x>>24)/24
		}
	}
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, m, &jpeg.Options{Quality: 85}))
	return b.Bytes()
}

func BenchmarkDecodeJPEG(b *testing.B) {
	for _, size := range [][2]int{{640, 480}, {4000, 3000}} {
		data := photograph(b, size[0], size[1])
		b.Run(map[int]string{640: "640x480", 4000: "12MP"}[size[0]], func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				_, err := Decode(data, Options{})
				require.NoError(b, err)
			}
		})
		b.Run(map[int]string{640: "640x480/standard", 4000: "12MP/standard"}[size[0]], func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				_, err := jpeg.Decode(bytes.NewReader(data))
				require.NoError(b, err)
			}
		})
	}
}
