package clipgo

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	"image/color"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/clipgo/clipgo/bindings"
	"github.com/clipgo/clipgo/internal/imageio"
)

// Image is a decoded picture, seen upright.
type Image struct {
	picture *imageio.Picture
	once    bool        // ImageOptions.Once
	gone    atomic.Bool // once, and the pixels are another picture's
}

// prepare looks at the picture to make a model's pixels of it.
func (m *Image) prepare(look func(*imageio.Picture) error) error {
	if !m.once {
		return look(m.picture)
	}
	if m.gone.Swap(true) {
		return errors.New("the picture was prepared before, and had been decoded to be prepared once")
	}
	defer m.picture.Recycle()
	return look(m.picture)
}

// Size returns the picture's width and height in pixels.
func (m *Image) Size() (width, height int) {
	return m.picture.Orientation.Size(m.picture.W, m.picture.H)
}

// RGB returns the pixels as the model's processor gets them: [height, width, 3], rows without padding. They may belong to
// the Image, and must not be changed. An Image that was to be prepared once (ImageOptions.Once), and was, has none.
func (m *Image) RGB() []byte {
	if m.gone.Load() {
		return nil
	}
	pixels := m.picture.Upright().ToRGB().Pix
	if m.once {
		pixels = bytes.Clone(pixels) // for longer than the Image has them
	}
	return pixels
}

// ImageOptions limit what a picture may be. The zero value means the defaults.
type ImageOptions struct {
	MaxPixels int           // of the picture; 0: 178,956,970, as Pillow
	MaxBytes  int64         // of the file or answer; 0: 256 MiB
	Timeout   time.Duration // of a download; 0: one minute

	// ShortSide, if not 0, lets a JPEG be decoded at a half, a quarter or an eighth of its size, which is faster, as long as its
	// shorter side keeps that many pixels. Processor.FastSide has the number for a model.
	ShortSide int

	// Once says that the Image is for one call of Processor.Pixels or of what encodes pictures. Its memory is the next picture's
	// then, which spares a large one a tenth of its time, and the Image has no pixels any more.
	Once bool

	device *bindings.Device // helps with JPEG; nil: nobody
}

// ImageOptions are the defaults, with the model's engine helping to decode JPEG files. The pixels are the same without it.
func (m *Model) ImageOptions() ImageOptions { return ImageOptions{device: m.engine.Pictures()} }

func (o ImageOptions) decode() imageio.Options {
	options := imageio.Options{MaxPixels: o.MaxPixels, MaxBytes: o.MaxBytes, ShortSide: o.ShortSide}
	if device := o.device; device != nil {
		options.IDCT = device.IDCT
		options.YCC = func(r *imageio.YCCRows) error { return device.YCCRows((*bindings.YCCRows)(r)) }
	}
	if turbo, err := bindings.FindTurboJPEG(); err == nil {
		options.JPEG = turbo.Decode
	}
	return options
}

// FindJPEGDecoder returns what decodes JPEG files: the path of the system's libjpeg-turbo, or an error that says why it is Go.
// The pixels are the same. $CLIPGO_LIBJPEG names another file, or turns it off.
func FindJPEGDecoder() (library string, err error) {
	turbo, err := bindings.FindTurboJPEG()
	if err != nil {
		return "", err
	}
	return turbo.Path(), nil
}

// DecodeImage decodes a JPEG, PNG, GIF (first frame), WebP, BMP, TIFF (first page) or PNM picture, whatever its name was,
// and turns it upright as its EXIF orientation says.
func DecodeImage(r io.Reader, o ImageOptions) (*Image, error) {
	p, err := imageio.DecodeReader(r, o.decode())
	if err != nil {
		return nil, err
	}
	return &Image{picture: p, once: o.Once}, nil
}

// FromImage takes a picture that Go has decoded. Alpha is dropped, not composited, as the pipeline does.
func FromImage(m image.Image) *Image {
	b := m.Bounds()
	pix := make([]byte, 0, 3*b.Dx()*b.Dy())
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := color.NRGBAModel.Convert(m.At(x, y)).(color.NRGBA)
			pix = append(pix, c.R, c.G, c.B)
		}
	}
	return &Image{picture: imageio.RGB{Pix: pix, W: b.Dx(), H: b.Dy()}.Picture()}
}

// LoadImage loads a picture from where transformers' load_image does: an http or https address, a file, a data:image/ URI,
// or bare base64. Errors name the source.
func LoadImage(ctx context.Context, source string, o ...ImageOptions) (*Image, error) {
	var options ImageOptions
	if len(o) > 0 {
		options = o[0]
	}
	m, err := loadImage(ctx, source, options)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", abbreviate(source), err)
	}
	return m, nil
}

func loadImage(ctx context.Context, source string, o ImageOptions) (*Image, error) {
	if source == "" {
		return nil, errors.New("the name is empty")
	}
	if strings.HasPrefix(source, "http://") || strings.HasPrefix(source, "https://") {
		return download(ctx, source, o)
	}
	encoded, isData := strings.CutPrefix(source, "data:")
	if !isData {
		file, err := os.Open(source)
		if err == nil {
			defer file.Close()
			if info, err := file.Stat(); err == nil && info.IsDir() {
				return nil, errors.New("this is a folder; give a picture")
			}
			return DecodeImage(file, o)
		}
		// A name too long for the system can still be base64.
		if data, ok := bareBase64(source); ok {
			return DecodeImage(bytes.NewReader(data), o)
		}
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return nil, fmt.Errorf("%w; expected a file, an http(s) address, a data:image/ URI or base64", err)
	}
	kind, encoded, found := strings.Cut(encoded, ",")
	if !found || !strings.HasPrefix(kind, "image/") || !strings.HasSuffix(kind, ";base64") {
		return nil, errors.New("expected data:image/ followed by the kind, ;base64, and the picture in base64")
	}
	data, err := decodeBase64(encoded)
	if err != nil {
		return nil, fmt.Errorf("decoding base64: %w", err)
	}
	return DecodeImage(bytes.NewReader(data), o)
}

// bareBase64 decodes s if it is base64 long enough to be a picture, and not a mistyped name.
func bareBase64(s string) ([]byte, bool) {
	const shortest = 40 // a GIF of one pixel has 35 bytes
	if len(s) < shortest {
		return nil, false
	}
	data, err := decodeBase64(s)
	return data, err == nil
}

func decodeBase64(s string) ([]byte, error) {
	s = strings.Join(strings.Fields(s), "")
	if strings.HasSuffix(s, "=") || len(s)%4 == 0 {
		return base64.StdEncoding.DecodeString(s)
	}
	return base64.RawStdEncoding.DecodeString(s)
}

func download(ctx context.Context, address string, o ImageOptions) (*Image, error) {
	timeout := o.Timeout
	if timeout == 0 {
		timeout = time.Minute
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not done after %s", timeout))
	defer cancel()
	m, err := get(ctx, address, o)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("downloading: %w", err)
	}
	return m, nil
}

func get(ctx context.Context, address string, o ImageOptions) (*Image, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "clipgo")
	request.Header.Set("Accept", "image/*")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		var repeated *url.Error // names the address, as LoadImage will
		if errors.As(err, &repeated) {
			err = repeated.Err
		}
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered %s", response.Status)
	}
	return DecodeImage(response.Body, o)
}

// abbreviate shortens a source for an error: base64 can be megabytes long.
func abbreviate(source string) string {
	if len(source) <= 200 {
		return source
	}
	return source[:64] + "..."
}
