package clipgo_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo"
)

// smallGIF is one white pixel.
var smallGIF = []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;")

func smallPNG(t *testing.T, width, height int) []byte {
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, width, height))))
	return b.Bytes()
}

func TestLoadImageSources(t *testing.T) {
	data := smallPNG(t, 5, 3)
	encoded := base64.StdEncoding.EncodeToString(data)
	path := filepath.Join(t.TempDir(), "named.txt") // the content counts
	require.NoError(t, os.WriteFile(path, data, 0o600))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain") // a lie
		w.Write(data)
	}))
	defer server.Close()
	for _, source := range []string{
		path, server.URL, server.URL + "/x?y=z#part",
		"data:image/png;base64," + encoded, "data:image/x;base64," + encoded[:20] + "\n" + encoded[20:],
		encoded, strings.TrimRight(encoded, "="), encoded[:30] + "\r\n" + encoded[30:],
	} {
		m, err := clipgo.LoadImage(context.Background(), source)
		require.NoError(t, err)
		width, height := m.Size()
		require.Equal(t, [2]int{5, 3}, [2]int{width, height}, source)
	}
	m, err := clipgo.LoadImage(context.Background(), base64.StdEncoding.EncodeToString(smallGIF))
	require.NoError(t, err)
	width, height := m.Size()
	require.Equal(t, [2]int{1, 1}, [2]int{width, height})
}

func TestLoadImageErrors(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/page":
			fmt.Fprint(w, "<html>")
		case "/short":
			w.Header().Set("Content-Length", "1000")
			w.Write(smallGIF[:20])
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/broken":
			w.WriteHeader(http.StatusInternalServerError)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	dir := t.TempDir()
	for source, want := range map[string]string{
		"":                                "image : the name is empty",
		dir:                               "this is a folder; give a picture",
		"/nonexistent":                    "image /nonexistent: no such file",
		"pictures":                        "no such file",
		strings.Repeat("a", 5000):         "not a supported picture",
		strings.Repeat("a", 5000) + ".pn": "name too long",
		"ftp://127.0.0.1/x":               "expected a file, an http(s) address, a data:image/ URI or base64",
		"data:":                           "expected data:image/",
		"data:image/png;base64":           "expected data:image/",
		"data:image/png,abc":              "expected data:image/",
		"data:text/html;base64,AAAA":      "expected data:image/",
		"data:image/png;base64,A":         "decoding base64",
		"data:image/png;base64,":          "not a supported picture",
		server.URL + "/none":              "the server answered 404 Not Found",
		server.URL + "/broken":            "the server answered 500 Internal Server Error",
		server.URL + "/page":              "HTML is not a supported picture",
		server.URL + "/short":             "unexpected EOF",
		server.URL + "/loop":              "stopped after 10 redirects",
		"http://127.0.0.1:1/":             "connection refused",
		"http://127.0.0.1:x/":             "invalid port",
		"https://" + server.URL[7:]:       "downloading",
	} {
		_, err := clipgo.LoadImage(context.Background(), source)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "\n")
		require.Less(t, len(err.Error()), 500)
	}
}

func TestLoadImageLimits(t *testing.T) {
	data := smallPNG(t, 100, 100)
	source := "data:image/png;base64," + base64.StdEncoding.EncodeToString(data)
	load := func(o clipgo.ImageOptions) error {
		_, err := clipgo.LoadImage(context.Background(), source, o)
		return err
	}
	require.NoError(t, load(clipgo.ImageOptions{MaxPixels: 10_000, MaxBytes: int64(len(data))}))
	require.ErrorContains(t, load(clipgo.ImageOptions{MaxPixels: 9_999}), "limit")
	require.ErrorContains(t, load(clipgo.ImageOptions{MaxBytes: int64(len(data)) - 1}), "limit")

	// A server that never stops is left after the limit.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(data); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	_, err := clipgo.LoadImage(context.Background(), server.URL, clipgo.ImageOptions{MaxBytes: 1 << 20})
	require.ErrorContains(t, err, "limit")
}

// TestLoadImageWaits for a server that says nothing, or stops in the middle, until the time is up or the caller gives up.
func TestLoadImageWaits(t *testing.T) {
	stop := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/half" {
			w.Write(smallGIF[:20])
			w.(http.Flusher).Flush()
		}
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(stop)
	for _, path := range []string{"/", "/half"} {
		_, err := clipgo.LoadImage(context.Background(), server.URL+path, clipgo.ImageOptions{Timeout: 50 * time.Millisecond})
		require.ErrorContains(t, err, "downloading: not done after 50ms")

		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(50*time.Millisecond, cancel)
		_, err = clipgo.LoadImage(ctx, server.URL+path)
		require.ErrorIs(t, err, context.Canceled)
	}
}

// TestFromImage wants a part of a picture, with its alpha dropped and not multiplied in.
func TestFromImage(t *testing.T) {
	whole := image.NewNRGBA(image.Rect(-3, -3, 40, 40))
	for y := -3; y < 40; y++ {
		for x := -3; x < 40; x++ {
			whole.SetNRGBA(x, y, color.NRGBA{uint8(5 * (x + 3)), uint8(5 * (y + 3)), 99, 10})
		}
	}
	part := whole.SubImage(image.Rect(2, 4, 34, 36))
	opaque := image.NewNRGBA(image.Rect(0, 0, 32, 32))
	for y := range 32 {
		for x := range 32 {
			c := whole.NRGBAAt(x+2, y+4)
			c.A = 255
			opaque.SetNRGBA(x, y, c)
		}
	}
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, opaque))
	decoded, err := clipgo.DecodeImage(&b, clipgo.ImageOptions{})
	require.NoError(t, err)

	m, err := clipgo.OpenDemo(clipgo.WithInterpreter())
	require.NoError(t, err)
	defer m.Close()
	want, err := m.Processor().Pixels(decoded)
	require.NoError(t, err)
	got, err := m.Processor().Pixels(clipgo.FromImage(part))
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// An Image for one use has the same pixels, once.
func TestImageOnce(t *testing.T) {
	m := streamModel(t)
	file := photograph(t, 1200, 900)
	decode := func(o clipgo.ImageOptions) *clipgo.Image {
		image, err := clipgo.DecodeImage(bytes.NewReader(file), o)
		require.NoError(t, err)
		return image
	}
	kept := decode(m.ImageOptions())
	want, err := m.Processor().Pixels(kept)
	require.NoError(t, err)
	rgb := bytes.Clone(kept.RGB())
	o := m.ImageOptions()
	o.Once = true
	for range 3 {
		image := decode(o)
		before := image.RGB()
		require.True(t, bytes.Equal(rgb, before))
		got, err := m.Processor().Pixels(image)
		require.NoError(t, err)
		require.Equal(t, want.Values, got.Values)
		_, err = m.Processor().Pixels(image)
		require.ErrorContains(t, err, "prepared once")
		require.Nil(t, image.RGB())
		w, h := image.Size()
		require.Equal(t, []int{1200, 900}, []int{w, h})
		decode(o)
		require.True(t, bytes.Equal(rgb, before), "what RGB returned is not another picture's")
	}
	require.True(t, bytes.Equal(rgb, kept.RGB()))

	// Many at a time.
	single, err := m.EncodeImages(t.Context(), []*clipgo.Image{kept})
	require.NoError(t, err)
	load := func(context.Context, int) (*clipgo.Image, error) {
		return clipgo.DecodeImage(bytes.NewReader(file), o)
	}
	require.NoError(t, m.EncodeEach(t.Context(), 20, load, func(_ int, e []float32, err error) error {
		require.Equal(t, single[0], e)
		return err
	}))
}
