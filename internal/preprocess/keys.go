package preprocess

import "fmt"

// The keys of a GGUF: mean and std under clip.cpp's names, which other programs read too, the rest under our own.
const (
	keyImageSize = "clip.vision.image_size"
	keyMean      = "clip.vision.image_mean"
	keyStd       = "clip.vision.image_std"
	keyPrefix    = "clip.vision.preprocess."
)

// KeyValue is a key of a GGUF and its value, in the Go type of the value's GGUF type.
type KeyValue struct {
	Key   string
	Value any
}

// Keys returns what a GGUF has to hold for FromKeys to give the same Spec, in a fixed order.
func (s Spec) Keys() []KeyValue {
	own := func(name string, v any) KeyValue { return KeyValue{keyPrefix + name, v} }
	return []KeyValue{
		{keyMean, s.Mean[:]},
		{keyStd, s.Std[:]},
		own("resize", string(s.Resize)),
		own("height", uint32(s.Height)),
		own("width", uint32(s.Width)),
		own("patch_size", uint32(s.Patch)),
		own("max_patches", uint32(s.MaxPatches)),
		own("filter", string(s.Filter)),
		own("backend", string(s.Backend)),
		own("crop", s.Crop),
		own("crop_height", uint32(s.CropHeight)),
		own("crop_width", uint32(s.CropWidth)),
		own("crop_rule", string(s.CropRule)),
		own("fill", uint32(s.Fill)),
		own("convert_last", s.ConvertLast),
		own("rescale", s.Rescale),
		own("rescale_factor", s.Factor),
		own("rescale_offset", s.Offset),
		own("normalize", s.Normalize),
		own("normalize_twice", s.NormalizeTwice),
		own("arithmetic", string(s.Arithmetic)),
	}
}

// Getter is what FromKeys needs of a GGUF. A missing key and one of another type are errors.
type Getter interface {
	Has(key string) bool
	String(key string) (string, error)
	Bool(key string) (bool, error)
	Uint(key string) (uint64, error)
	Float(key string) (float64, error)
	Floats(key string) ([]float32, error)
}

// FromKeys reads the Spec that a GGUF holds. A file without our keys (clip.cpp's) is prepared as transformers prepares for CLIP, to
// the image size, mean and std that it names.
func FromKeys(g Getter) (Spec, error) {
	r := keyReader{g: g}
	s := hfClasses["CLIP"].spec
	if !g.Has(keyPrefix + "resize") {
		n := r.uint(keyImageSize)
		s.Height, s.Width, s.CropHeight, s.CropWidth = n, n, n, n
	} else {
		s.Resize = Resize(r.string("resize"))
		s.Height, s.Width = r.uint(keyPrefix+"height"), r.uint(keyPrefix+"width")
		s.Patch, s.MaxPatches = r.uint(keyPrefix+"patch_size"), r.uint(keyPrefix+"max_patches")
		s.Filter, s.Backend = Filter(r.string("filter")), Backend(r.string("backend"))
		s.Crop = r.bool("crop")
		s.CropHeight, s.CropWidth = r.uint(keyPrefix+"crop_height"), r.uint(keyPrefix+"crop_width")
		s.CropRule = CropRule(r.string("crop_rule"))
		fill := r.uint(keyPrefix + "fill")
		if fill > 255 {
			r.fail(fmt.Errorf("key %sfill: %d: at most 255 expected", keyPrefix, fill))
		}
		s.Fill = uint8(fill)
		s.ConvertLast = r.bool("convert_last")
		s.Rescale = r.bool("rescale")
		s.Factor = r.float("rescale_factor")
		s.Offset = r.bool("rescale_offset")
		s.Normalize, s.NormalizeTwice = r.bool("normalize"), r.bool("normalize_twice")
		s.Arithmetic = Arithmetic(r.string("arithmetic"))
	}
	s.Mean, s.Std = r.colours(keyMean), r.colours(keyStd)
	if r.err != nil {
		return Spec{}, fmt.Errorf("how pictures are prepared: %w", r.err)
	}
	if err := s.Validate(); err != nil {
		return Spec{}, fmt.Errorf("how pictures are prepared (keys %s*): %w", keyPrefix, err)
	}
	return s, nil
}

// keyReader keeps the first error.
type keyReader struct {
	g   Getter
	err error
}

func (r *keyReader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *keyReader) string(name string) string {
	v, err := r.g.String(keyPrefix + name)
	r.fail(err)
	return v
}

func (r *keyReader) bool(name string) bool {
	v, err := r.g.Bool(keyPrefix + name)
	r.fail(err)
	return v
}

func (r *keyReader) float(name string) float64 {
	v, err := r.g.Float(keyPrefix + name)
	r.fail(err)
	return v
}

func (r *keyReader) uint(key string) int {
	v, err := r.g.Uint(key)
	r.fail(err)
	return int(min(v, 1<<31-1))
}

func (r *keyReader) colours(key string) (c [3]float32) {
	v, err := r.g.Floats(key)
	r.fail(err)
	if err == nil && len(v) != 3 {
		r.fail(fmt.Errorf("key %s: %d numbers, 3 expected", key, len(v)))
	}
	copy(c[:], v)
	return c
}
