package preprocess

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/clipgo/clipgo/internal/imageio"
	"github.com/clipgo/clipgo/internal/testutil"
	"github.com/stretchr/testify/require"
)

func TestParseHFForms(t *testing.T) {
	parse := func(json, modelType string) Spec {
		t.Helper()
		s, err := ParseHF([]byte(json), modelType)
		require.NoError(t, err, json)
		return s
	}
	// The oldest files of OpenAI's checkpoints: numbers as sizes, no do_rescale, an extractor for a name.
	old := parse(`{"crop_size":224,"do_center_crop":true,"do_normalize":true,"do_resize":true,"feature_extractor_type":"CLIPFeatureExtractor",
		"image_mean":[0.48145466,0.4578275,0.40821073],"image_std":[0.26862954,0.26130258,0.27577711],"resample":3,"size":224}`, "clip")
	require.Equal(t, hfClasses["CLIP"].spec, old)
	// Nothing but the type: the class's defaults.
	for modelType, class := range hfTypes {
		s := parse(`{}`, modelType)
		if class != "ConvNext" {
			require.Equal(t, hfClasses[class].spec, s, modelType)
		}
	}
	require.Equal(t, old, parse(`{"image_processor_type":"CLIPImageProcessorFast"}`, ""))
	require.Equal(t, old, parse(`{"image_processor_type":"CLIPImageProcessorPil","size":null,"crop_size":null}`, "siglip"))
	// A bare number is a square for BLIP, the short side for CLIP and SigLIP.
	require.Equal(t, Exact, parse(`{"size":64}`, "blip").Resize)
	require.Equal(t, Shortest, parse(`{"size":64}`, "siglip").Resize)
	require.Equal(t, Exact, parse(`{"size":[64,32]}`, "clip").Resize)
	// TIPSv2 has torchvision's resize and no mean.
	tips := parse(`{}`, "tipsv2")
	require.Equal(t, TorchInt16, tips.Backend)
	require.False(t, tips.Normalize)
	// NaFlex.
	flex := parse(`{"patch_size":16,"max_num_patches":1024}`, "siglip2")
	require.True(t, flex.NaFlex())
	require.Equal(t, 1024, flex.MaxPatches)
	// A number for all channels.
	require.Equal(t, halves, parse(`{"image_mean":0.5,"image_std":0.5}`, "clip").Mean)
	require.Equal(t, NoResize, parse(`{"do_resize":false}`, "clip").Resize)
	// What kosmos-2 says instead of a size, and padding that adds nothing.
	square := parse(`{"use_square_size":true,"size":64}`, "clip")
	require.Equal(t, [...]any{Exact, 224, 224}, [...]any{square.Resize, square.Height, square.Width})
	require.Equal(t, old, parse(`{"do_pad":true,"pad_size":{"height":224,"width":224}}`, "clip"))
	require.Equal(t, old, parse(`{"do_pad":true}`, "clip"))
	require.Equal(t, old, parse(`{"image_processor_type":"BitImageProcessor"}`, "clip"))
}

// TestTargetSizes: sizes as transformers 5.23 computes them (get_size_with_aspect_ratio, get_image_size_for_max_height_width).
func TestTargetSizes(t *testing.T) {
	for _, c := range []struct {
		spec               Spec
		h, w, wantH, wantW int
	}{
		{Spec{Resize: Bounded, Height: 72, Width: 90}, 480, 640, 68, 90},
		{Spec{Resize: Bounded, Height: 72, Width: 90}, 400, 328, 87, 72},
		{Spec{Resize: Bounded, Height: 72, Width: 90}, 512, 512, 72, 72},
		{Spec{Resize: Bounded, Height: 72, Width: 200}, 480, 640, 72, 96},
		{Spec{Resize: Bounded, Height: 72, Width: 90}, 72, 80, 72, 80},
		{Spec{Resize: Within, Height: 100, Width: 80}, 480, 640, 60, 80},
		{Spec{Resize: Within, Height: 100, Width: 80}, 400, 100, 100, 25},
		{Spec{Resize: Within, Height: 100, Width: 80}, 9, 900, 1, 80},
	} {
		h, w := c.spec.targetSize(c.h, c.w)
		require.Equal(t, [2]int{c.wantH, c.wantW}, [2]int{h, w}, "%+v %d x %d", c.spec.Resize, c.h, c.w)
	}
}

// Attacks 26 and 29 on configurations: each is refused by the name of its field.
func TestAttack26And29Configurations(t *testing.T) {
	for json, field := range map[string]string{
		`{"size":0}`:                  "size",
		`{"size":-1}`:                 "size",
		`{"size":1e9}`:                "size",
		`{"size":99999999}`:           "size",
		`{"size":2.5}`:                "size",
		`{"size":"big"}`:              "size",
		`{"size":[1,2,3]}`:            "size",
		`{"size":{"longest_edge":9}}`: "size",
		`{"size":{"shortest_edge":9,"longest_edge":0}}`:     "size",
		`{"size":{"shortest_edge":9,"height":9,"width":9}}`: "size",
		`{"size":{"height":16384,"width":16384}}`:           "size",
		`{"crop_size":0}`:                                       "crop_size",
		`{"crop_size":{"shortest_edge":9}}`:                     "crop_size",
		`{"resample":9}`:                                        "resample",
		`{"resample":-1}`:                                       "resample",
		`{"resample":"bicubic"}`:                                "resample",
		`{"image_mean":[1,2]}`:                                  "image_mean",
		`{"image_mean":[1,2,3,4]}`:                              "image_mean",
		`{"image_mean":["a","b","c"]}`:                          "image_mean",
		`{"image_mean":[1e300,0,0]}`:                            "image_mean",
		`{"image_std":[1,0,1]}`:                                 "image_std",
		`{"image_std":[1,-1,1]}`:                                "image_std",
		`{"image_std":[]}`:                                      "image_std",
		`{"rescale_factor":0}`:                                  "rescale_factor",
		`{"do_resize":"yes"}`:                                   "do_resize",
		`{"do_pad":true,"pad_size":{"height":999,"width":224}}`: "pad_size",
		`{"image_processor_type":"FooImageProcessor"}`:          "image_processor_type",
		`{"image_processor_type":"Siglip2ImageProcessor","patch_size":0}`:                                    "patch_size",
		`{"image_processor_type":"Siglip2ImageProcessor","max_num_patches":0}`:                               "max_num_patches",
		`{"image_processor_type":"Siglip2ImageProcessor","max_num_patches":65536,"patch_size":16384}`:        "max_num_patches",
		`{"image_processor_type":"Siglip2ImageProcessor","do_resize":false}`:                                 "do_resize",
		`{"image_processor_type":"Siglip2ImageProcessor","do_center_crop":true}`:                             "do_center_crop",
		`{"image_processor_type":"ConvNextImageProcessor","size":100,"crop_pct":0}`:                          "crop_pct",
		`{"image_processor_type":"ConvNextImageProcessor","size":100,"crop_pct":1e-9}`:                       "crop_pct",
		`{"image_processor_type":"ConvNextImageProcessor","size":[9,9]}`:                                     "size",
		`{"image_processor_type":"ConvNextImageProcessor","size":9,"do_center_crop":true,"crop_size":[8,9]}`: "do_center_crop",
	} {
		_, err := ParseHF([]byte(json), "clip")
		var wrong *FieldError
		require.ErrorAs(t, err, &wrong, json)
		require.Equal(t, field, wrong.Field, json)
		require.NotContains(t, err.Error(), "\n")
	}
	for _, json := range []string{``, `[]`, `{`, `{"size":}`} {
		_, err := ParseHF([]byte(json), "clip")
		require.Error(t, err, json)
	}
	_, err := ParseHF([]byte(`{}`), "gpt2")
	require.ErrorContains(t, err, `"gpt2"`)
	for json, field := range map[string]string{
		`{"preprocess_cfg":{"resize_mode":"stretch"}}`:      "preprocess_cfg.resize_mode",
		`{"preprocess_cfg":{"interpolation":"area"}}`:       "preprocess_cfg.interpolation",
		`{"preprocess_cfg":{"mode":"L"}}`:                   "preprocess_cfg.mode",
		`{"preprocess_cfg":{"fill_color":256}}`:             "preprocess_cfg.fill_color",
		`{"preprocess_cfg":{"size":{}}}`:                    "preprocess_cfg.size",
		`{"preprocess_cfg":{"std":[0,1,1]}}`:                "image_std",
		`{"model_cfg":{"vision_cfg":{"image_size":"big"}}}`: "model_cfg.vision_cfg.image_size",
		`{"model_cfg":{"vision_cfg":{"image_size":-4}}}`:    "size",
		`{"preprocess_cfg":3}`:                              "preprocess_cfg",
	} {
		_, err := ParseOpenCLIP([]byte(json))
		var wrong *FieldError
		require.ErrorAs(t, err, &wrong, json)
		require.Equal(t, field, wrong.Field, json)
	}
}

// The model's image size wins over preprocess_cfg's, as open_clip has it.
func TestParseOpenCLIPSize(t *testing.T) {
	s, err := ParseOpenCLIP([]byte(`{"model_cfg":{"vision_cfg":{"image_size":[64,48]}},"preprocess_cfg":{"size":224,"resize_mode":"squash"}}`))
	require.NoError(t, err)
	h, w := s.OutputSize()
	require.Equal(t, []int{64, 48}, []int{h, w})
}

// fakeGGUF is a Getter over a map, as strict about types as the gguf package.
type fakeGGUF map[string]any

func (g fakeGGUF) Has(key string) bool { return g[key] != nil }

func get[T any](g fakeGGUF, key string) (T, error) {
	v, ok := g[key].(T)
	if !ok {
		return v, fmt.Errorf("key %s: missing or of another type", key)
	}
	return v, nil
}

func (g fakeGGUF) String(key string) (string, error)    { return get[string](g, key) }
func (g fakeGGUF) Bool(key string) (bool, error)        { return get[bool](g, key) }
func (g fakeGGUF) Float(key string) (float64, error)    { return get[float64](g, key) }
func (g fakeGGUF) Floats(key string) ([]float32, error) { return get[[]float32](g, key) }
func (g fakeGGUF) Uint(key string) (uint64, error) {
	v, err := get[uint32](g, key)
	return uint64(v), err
}

func keysOf(s Spec) fakeGGUF {
	g := fakeGGUF{}
	for _, kv := range s.Keys() {
		g[kv.Key] = kv.Value
	}
	return g
}

func TestKeysRoundTrip(t *testing.T) {
	for name, class := range hfClasses {
		for _, c := range []Compat{CompatHF, CompatHF5, CompatOpenCLIP, CompatTFJS} {
			want, err := class.spec.With(c)
			require.NoError(t, err, name)
			got, err := FromKeys(keysOf(want))
			require.NoError(t, err, name)
			require.Equal(t, want, got, name)
		}
	}
	// Every field is kept: a Spec without a zero field comes back whole.
	full := Spec{
		Resize: Fit, Height: 1, Width: 2, Patch: 3, MaxPatches: 4, Filter: Box, Backend: Pillow, Crop: true, CropHeight: 5, CropWidth: 6,
		CropRule: CropTorchvision, Fill: 7, ConvertLast: true, Rescale: true, Factor: 8, Offset: true, Normalize: true,
		Mean: [3]float32{9, 10, 11}, Std: [3]float32{12, 13, 14}, NormalizeTwice: true, Arithmetic: ToTensor,
	}
	v := reflect.ValueOf(full)
	for i := range v.NumField() {
		require.False(t, v.Field(i).IsZero(), v.Type().Field(i).Name)
	}
	got, err := FromKeys(keysOf(full))
	require.NoError(t, err)
	require.Equal(t, full, got)
}

func TestFromKeysRefuses(t *testing.T) {
	spec := hfClasses["CLIP"].spec
	for _, kv := range spec.Keys() {
		g := keysOf(spec)
		if kv.Key != keyPrefix+"resize" {
			delete(g, kv.Key)
			_, err := FromKeys(g)
			require.ErrorContains(t, err, kv.Key)
		}
		g = keysOf(spec)
		g[kv.Key] = []int8{1}
		_, err := FromKeys(g)
		require.ErrorContains(t, err, kv.Key)
	}
	for key, v := range map[string]any{
		keyPrefix + "height": uint32(0), keyPrefix + "filter": "sharp", keyPrefix + "backend": "cv2", keyPrefix + "crop_rule": "",
		keyPrefix + "arithmetic": "", keyPrefix + "resize": "zoom", keyPrefix + "fill": uint32(256), keyPrefix + "crop_width": uint32(1 << 31),
		keyPrefix + "rescale_factor": math.NaN(), keyMean: []float32{1, 2}, keyStd: []float32{1, 1, float32(math.Inf(1))},
	} {
		g := keysOf(spec)
		g[key] = v
		_, err := FromKeys(g)
		require.Error(t, err, key)
	}
}

// A file by clip.cpp says no more than size, mean and std.
func TestFromKeysOfClipCpp(t *testing.T) {
	s, err := FromKeys(fakeGGUF{keyImageSize: uint32(64), keyMean: []float32{.5, .5, .5}, keyStd: []float32{.25, .25, .25}})
	require.NoError(t, err)
	require.Equal(t, Shortest, s.Resize)
	h, w := s.OutputSize()
	require.Equal(t, [2]int{64, 64}, [2]int{h, w})
	require.Equal(t, [3]float32{.25, .25, .25}, s.Std)
	_, err = FromKeys(fakeGGUF{keyMean: []float32{.5, .5, .5}})
	require.ErrorContains(t, err, keyImageSize)
}

func TestCompat(t *testing.T) {
	s := hfClasses["CLIP"].spec
	for _, c := range []Compat{CompatHF, CompatHF4, CompatHF5, CompatOpenCLIP, CompatOpenAI, CompatTFJS} {
		_, err := s.With(c)
		require.NoError(t, err)
	}
	_, err := s.With("hf6")
	require.ErrorContains(t, err, "hf6")
	s.Filter = Box
	_, err = s.With(CompatHF5)
	require.ErrorContains(t, err, "torchvision has no box filter")
	_, err = s.With(CompatTFJS)
	require.NoError(t, err, "which makes it bilinear")
	s.Filter = Lanczos
	_, err = s.With(CompatTFJS)
	require.ErrorContains(t, err, "libvips' lanczos")
}

// Pictures of extreme proportions need no memory for what is cropped away.
func TestExtremeProportions(t *testing.T) {
	spec := hfClasses["CLIP"].spec
	for _, size := range [][2]int{{1, 1}, {1, 60000}, {60000, 1}, {2, 30000}} {
		for _, c := range []Compat{CompatHF, CompatHF5, CompatOpenCLIP} {
			s, err := spec.With(c)
			require.NoError(t, err)
			p, err := s.Apply(noise(imageio.RGB24, size[0], size[1]), nil)
			require.NoError(t, err)
			require.Len(t, p.Values, 3*224*224)
		}
	}
	js, err := spec.With(CompatTFJS)
	require.NoError(t, err)
	for _, size := range [][2]int{{1, 1}, {1, 1300}, {1300, 1}} {
		p, err := js.Apply(noise(imageio.RGB24, size[0], size[1]), nil)
		require.NoError(t, err)
		require.Len(t, p.Values, 3*224*224)
	}
	for _, s := range []Spec{js, spec.with(func(s *Spec) { s.Crop = false })} {
		_, err := s.Apply(noise(imageio.RGB24, 60000, 1), nil)
		require.ErrorContains(t, err, "more than")
	}
}

// A picture of one colour stays that colour under every filter, backend and mode of resizing.
func TestConstantStaysConstant(t *testing.T) {
	for _, b := range []Backend{Pillow, TorchInt16, TorchFloat32} {
		for _, f := range pilFilters {
			if b != Pillow && (f == Box || f == Hamming) {
				continue
			}
			src := newRaster(29, 31, 3)
			for i := range src.pix {
				src.pix[i] = 201
			}
			out := must(resizer{b, f, nil}.resize(src, 0, 13, 47, span{0, 13}, span{0, 47}))
			for _, v := range out.pix {
				require.EqualValues(t, 201, v, "%s %s", b, f)
			}
		}
	}
}

// A window of a resize is that part of the whole.
func TestWindowEqualsWhole(t *testing.T) {
	p := noise(imageio.RGB24, 53, 71)
	src := rasterOf(p.Pix, p.W, p.H, 3)
	for _, b := range []Backend{Pillow, TorchInt16, TorchFloat32, Libvips} {
		for _, f := range []Filter{Nearest, Bilinear, Bicubic} {
			for _, size := range [][2]int{{20, 31}, {90, 80}, {53, 30}, {20, 71}, {50, 9}} {
				w, h := size[0], size[1]
				z := resizer{b, f, nil}
				whole := must(z.resize(src, 0, w, h, span{0, w}, span{0, h}))
				x, y := span{w / 4, w - 2}, span{h / 3, h - 1}
				require.Equal(t, whole.window(x, y).packed().pix, must(z.resize(src, 0, w, h, x, y)).packed().pix, "%s %s %v", b, f, size)
			}
		}
	}
}

// Large pictures are split over goroutines; the result does not know.
func TestParallelEqualsSerial(t *testing.T) {
	p := noise(imageio.RGB24, 1200, 900)
	src := rasterOf(p.Pix, p.W, p.H, 3)
	got := must(resizer{Pillow, Bicubic, nil}.resize(src, 0, 700, 500, span{0, 700}, span{0, 500}))
	serial := func(p *Pass) error {
		if p.Down && p.Outputs < 500 || !p.Down && p.Height < 900 {
			return errors.New("split")
		}
		return Resample(p)
	}
	want := must(resizer{Pillow, Bicubic, serial}.resize(src, 0, 700, 500, span{0, 700}, span{0, 500}))
	require.Equal(t, want.pix, got.pix)
}

func TestFilterNamesAreKnown(t *testing.T) {
	for _, f := range pilFilters[1:] {
		require.Positive(t, f.support(), f)
		require.InDelta(t, 1, f.at(0), 1e-7)
		require.Zero(t, f.at(f.support()+0.001))
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"size":224,"crop_size":{"height":1,"width":2},"resample":1}`, `{"image_mean":0.5,"image_std":[1,2,3]}`,
		`{"image_processor_type":"Siglip2ImageProcessor","patch_size":4,"max_num_patches":9}`,
		`{"image_processor_type":"ConvNextImageProcessor","size":20}`,
		`{"preprocess_cfg":{"size":[3,4],"resize_mode":"longest"},"model_cfg":{"vision_cfg":{"image_size":8}}}`,
	} {
		f.Add([]byte(s))
	}
	picture := noise(imageio.RGB24, 7, 5)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, parse := range []func() (Spec, error){
			func() (Spec, error) { return ParseHF(data, "clip") },
			func() (Spec, error) { return ParseHF(data, "siglip2") },
			func() (Spec, error) { return ParseOpenCLIP(data) },
		} {
			s, err := parse()
			if err != nil {
				require.NotContains(t, err.Error(), "\n")
				continue
			}
			require.NoError(t, s.Validate())
			if h, w := s.OutputSize(); h*w > 1<<16 || s.Height*s.Width > 1<<16 || s.MaxPatches*s.Patch*s.Patch > 1<<16 {
				continue // slow, not wrong
			}
			modes := []Compat{CompatHF, CompatHF5, CompatOpenCLIP, CompatTFJS, ""} // any will do
			if c := modes[len(data)%len(modes)]; c != "" {
				if s, err = s.With(c); err != nil {
					continue // a filter that the program doesn't have
				}
			}
			p, err := s.Apply(picture, nil)
			require.NoError(t, err)
			n := 1
			for _, d := range p.Shape {
				n *= d
			}
			require.Len(t, p.Values, n)
		}
	})
}

func TestEveryGoldenSpecSurvivesKeys(t *testing.T) {
	for _, path := range must(filepath.Glob(testutil.Shared(t, "golden") + "/*/preprocessor_config.json")) {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		want, err := ParseHF(data, "")
		require.NoError(t, err, path)
		got, err := FromKeys(keysOf(want))
		require.NoError(t, err, path)
		require.Equal(t, want, got, path)
	}
}

func BenchmarkApply(b *testing.B) {
	for name, size := range map[string][2]int{"640x480": {640, 480}, "12MP": {4000, 3000}} {
		p := noise(imageio.RGB24, size[0], size[1])
		spec := hfClasses["CLIP"].spec
		b.Run(name+"/resize", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := spec.Resized(p, nil)
				require.NoError(b, err)
			}
		})
		small, err := spec.Resized(p, nil)
		require.NoError(b, err)
		exact := spec
		exact.Resize = NoResize
		b.Run(name+"/normalize", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := exact.Apply(small.Picture(), nil)
				require.NoError(b, err)
			}
		})
	}
}
