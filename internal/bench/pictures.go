package bench

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"time"

	"github.com/clipgo/clipgo/bindings"
	"github.com/clipgo/clipgo/internal/engine"
	"github.com/clipgo/clipgo/internal/imageio"
	"github.com/clipgo/clipgo/internal/preprocess"
)

// PictureTime is the time of a picture's road to CLIP's pixel values.
type PictureTime struct {
	Picture string  `json:"picture"` // its size and kind
	Bytes   int     `json:"bytes"`   // of the file
	Decoder string  `json:"decoder"`
	Decode  float64 `json:"decode_ms"`
	Resize  float64 `json:"resize_ms"` // to 224 x 224, Pillow's bicubic
	Values  float64 `json:"normalize_ms"`
}

// pictureTimes is how long each step is repeated.
const pictureTimes = 400 * time.Millisecond

// pictureSizes are a phone's photograph and a small one.
var pictureSizes = []image.Point{{4000, 3000}, {640, 480}}

// Pictures measures decoding, resizing and normalising of JPEG files made up for it, with every decoder that there is, and the
// native engine's resize on as many threads as the machine has.
func Pictures(ctx context.Context, isa string) (list []PictureTime, err error) {
	e, err := engine.Open(engine.Options{ISA: isa})
	if err != nil {
		return nil, err
	}
	defer e.Close()
	device := e.Pictures()
	resampler := func(p *preprocess.Pass) error { return device.Resample((*bindings.Resampling)(p)) }
	rows := func(r *imageio.YCCRows) error { return device.YCCRows((*bindings.YCCRows)(r)) }
	spec, err := preprocess.ParseHF([]byte(`{}`), "clip")
	if err != nil {
		return nil, err
	}
	type decoder struct {
		name    string
		options imageio.Options
	}
	decoders := []decoder{
		{"Go", imageio.Options{YCC: rows}},
		{"Go, --fast-decode", imageio.Options{YCC: rows, ShortSide: spec.FastSide()}},
	}
	if turbo, err := bindings.FindTurboJPEG(); err == nil {
		decoders = append(decoders, decoder{"libjpeg-turbo", imageio.Options{JPEG: turbo.Decode}})
	}
	for _, size := range pictureSizes {
		file, err := photograph(size)
		if err != nil {
			return nil, err
		}
		for _, d := range decoders {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			t, err := pictureTime(file, d.options, spec, resampler)
			if err != nil {
				return nil, err
			}
			t.Picture, t.Decoder = fmt.Sprintf("%dx%d JPEG", size.X, size.Y), d.name
			list = append(list, *t)
		}
	}
	return list, nil
}

func pictureTime(file []byte, o imageio.Options, spec preprocess.Spec, r preprocess.Resampler) (*PictureTime, error) {
	var picture *imageio.Picture
	decode, err := repeat(pictureTimes, func() (err error) {
		picture, err = imageio.Decode(file, o)
		return err
	})
	if err != nil {
		return nil, err
	}
	resize, err := repeat(pictureTimes, func() error {
		_, err := spec.Resized(picture, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	// What is left to do after the resize: a picture of the size asked for is resized for nothing.
	small, err := spec.Resized(picture, r)
	if err != nil {
		return nil, err
	}
	values, err := repeat(pictureTimes, func() error {
		_, err := spec.Apply(small.Picture(), r)
		return err
	})
	ms := func(times []time.Duration) float64 { return fastMedian(times).Seconds() * 1e3 }
	return &PictureTime{Bytes: len(file), Decode: ms(decode), Resize: ms(resize), Values: ms(values)}, err
}

// photograph makes a JPEG file with about as many bytes per pixel as a phone's: soft shapes and a little noise.
func photograph(size image.Point) ([]byte, error) {
	random := rand.New(rand.NewPCG(5, 6))
	m := image.NewRGBA(image.Rectangle{Max: size})
	var waves [3][4]float64
	for c := range waves {
		for i := range waves[c] {
			waves[c][i] = 2 + 20*random.Float64()
		}
	}
	for y := range size.Y {
		for x := range size.X {
			u, v := float64(x)/float64(size.X), float64(y)/float64(size.Y)
			var rgb [3]uint8
			for c, w := range waves {
				light := 128 + 45*math.Sin(w[0]*u+w[1]*v) + 45*math.Sin(w[2]*u*v*8) + 12*random.NormFloat64()
				rgb[c] = uint8(min(max(light, 0), 255))
			}
			m.SetRGBA(x, y, color.RGBA{rgb[0], rgb[1], rgb[2], 255})
		}
	}
	var file bytes.Buffer
	err := jpeg.Encode(&file, m, &jpeg.Options{Quality: 85})
	return file.Bytes(), err
}
