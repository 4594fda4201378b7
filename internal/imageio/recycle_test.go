package imageio

import (
	"bytes"
	"errors"
	"image"
	"image/jpeg"
	"runtime/debug"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// The file's bytes serve the next file as soon as a picture is decoded: nothing of it may be theirs.
func TestPicturesOwnTheirPixels(t *testing.T) {
	for name, data := range samples(t) {
		data = bytes.Clone(data)
		p, err := Decode(data, Options{})
		if err != nil {
			continue
		}
		want := Picture{Pix: bytes.Clone(p.Pix), Palette: append([][3]byte(nil), p.Palette...)}
		for i := range data {
			data[i] ^= 0x5a
		}
		require.True(t, bytes.Equal(want.Pix, p.Pix), name)
		require.Equal(t, want.Palette, append([][3]byte(nil), p.Palette...), name)
	}
}

func TestSpares(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which would take them
	var s spares
	old := make([]byte, 3*worthSparing)
	s.put(make([]byte, worthSparing-1))
	s.put(old)
	require.Nil(t, s.take(worthSparing-1))
	require.Nil(t, s.take(3*worthSparing+1), "too large for it")
	require.Nil(t, s.take(worthSparing), "too small for it")
	b := s.take(2 * worthSparing)
	require.Len(t, b, 2*worthSparing)
	require.Same(t, &old[0], &b[0])
	require.Nil(t, s.take(2*worthSparing), "it is taken")
}

// A picture in memory that was another's has the same pixels, whoever decodes it.
func TestRecycledPicture(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var file bytes.Buffer
	require.NoError(t, jpeg.Encode(&file, image.NewGray(image.Rect(0, 0, 2048, 1024)), nil))
	var last *byte
	for _, broken := range []bool{false, true, false, true} {
		used := false
		o := Options{JPEG: func(dst, _ []byte, _, _, _ int) error {
			used = last != nil && last == unsafe.SliceData(dst)
			last = unsafe.SliceData(dst)
			for i := range dst {
				dst[i] = 77
			}
			if broken {
				return errors.New("broken")
			}
			return nil
		}}
		reused := last != nil
		p, err := DecodeReader(bytes.NewReader(file.Bytes()), o)
		require.NoError(t, err)
		require.Equal(t, []int{2048, 1024}, []int{p.W, p.H})
		want := byte(77)
		if broken {
			want = 0
		}
		require.Equal(t, len(p.Pix), bytes.Count(p.Pix, []byte{want}))
		require.Equal(t, reused, used)
		p.Recycle()
		require.Nil(t, p.Pix)
		if broken {
			spare = spares{} // it has the pixels of Go as well, which are of the same size
			last = nil
		}
	}
}
