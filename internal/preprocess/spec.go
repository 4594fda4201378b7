// Package preprocess turns a picture into the pixel values that a model was trained on: resize, crop, scale, normalise.
//
// What to do is data, a Spec, read from a checkpoint's configuration (ParseHF, ParseOpenCLIP) or from a GGUF (FromKeys). The
// numbers are those of the program that the Spec names, to the bit: Pillow's or torchvision's resize, transformers' or open_clip's
// arithmetic.
package preprocess

import (
	"fmt"
	"math"
)

// Resize says how a picture is brought to size.
type Resize string

const (
	NoResize Resize = "none"
	Exact    Resize = "exact"    // to Height x Width, whatever the proportions
	Shortest Resize = "shortest" // the short side becomes Height, the long one int(Height * long / short)
	Bounded  Resize = "bounded"  // as Shortest, but smaller where the long side would be more than Width
	Within   Resize = "within"   // the largest size within Height x Width, rounded down
	Cover    Resize = "cover"    // the smallest size that covers Height x Width, rounded half to even
	Fit      Resize = "fit"      // the largest size that fits into Height x Width, rounded half to even
	NaFlex   Resize = "naflex"   // the largest size of the same proportions with at most MaxPatches patches
)

// Backend is the program whose resize is reproduced.
type Backend string

const (
	Pillow       Backend = "pillow"
	TorchInt16   Backend = "torchvision"         // torchvision's integer kernels, as it uses them with AVX2
	TorchFloat32 Backend = "torchvision-float32" // the same, but for bilinear in single precision, as with AVX-512 and on ARM
	Libvips      Backend = "libvips"             // libvips' affine transformation, without antialiasing, as transformers.js has it in Node
)

// CropRule says where a centred crop lies when the difference d of the sizes is odd.
type CropRule string

const (
	CropHF          CropRule = "hf"             // crop from floor(d/2), pad ceil(d/2) before
	CropHFTorch     CropRule = "hf-torchvision" // crop from floor(d/2), pad floor(d/2) before
	CropTorchvision CropRule = "torchvision"    // crop from d/2 rounded half to even, pad floor(d/2) before
)

// Arithmetic says in which order and precision a byte becomes a float.
type Arithmetic string

const (
	NumPy    Arithmetic = "numpy"    // float32(float64(x) * factor), then (v - mean) / std in float32
	Fused    Arithmetic = "fused"    // (x - mean/factor) / (std/factor) in float32, as transformers does on torchvision
	ToTensor Arithmetic = "totensor" // x / 255, then (v - mean) / std in float32, as open_clip does

	JavaScript Arithmetic = "javascript" // float32(x * factor), then float32((v - mean) / std), each in float64
)

// Spec is the whole way from a picture to pixel values. The zero value is not valid.
type Spec struct {
	Resize        Resize
	Height, Width int // what they mean is said at Resize
	Patch         int // NaFlex: side of a patch in pixels
	MaxPatches    int // NaFlex
	Filter        Filter
	Backend       Backend

	Crop                  bool // centre crop (or padding with Fill) to CropHeight x CropWidth
	CropHeight, CropWidth int
	CropRule              CropRule
	Fill                  uint8

	ConvertLast bool // resize and crop in the file's own colour mode, convert to RGB then (open_clip)

	Rescale        bool
	Factor         float64 // usually 1/255
	Offset         bool    // subtract 1 after rescaling (EfficientNet)
	Normalize      bool
	Mean, Std      [3]float32
	NormalizeTwice bool // divide by Std once more (EfficientNet's include_top)
	Arithmetic     Arithmetic
}

// Limits on what a configuration may ask for: far above every published model, and low enough for one picture's memory.
const (
	maxSide    = 16384
	maxPatches = 1 << 16
	maxPixels  = 1 << 26
)

// FieldError says which field of a Spec or of a configuration is wrong.
type FieldError struct {
	Field  string
	Reason string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Reason }

func fieldError(field, format string, a ...any) error {
	return &FieldError{field, fmt.Sprintf(format, a...)}
}

// oneOf reports whether v is among the values.
func oneOf[T comparable](v T, values ...T) bool {
	for _, x := range values {
		if v == x {
			return true
		}
	}
	return false
}

// Validate checks every field. Errors are *FieldError.
func (s Spec) Validate() error {
	side := func(field string, n int) error {
		if n < 1 || n > maxSide {
			return fieldError(field, "%d: 1 to %d expected", n, maxSide)
		}
		return nil
	}
	box := func(field string, h, w int) error {
		if err := side(field, h); err != nil {
			return err
		}
		if err := side(field, w); err != nil {
			return err
		}
		if h*w > maxPixels {
			return fieldError(field, "%d x %d: more than %d pixels", h, w, maxPixels)
		}
		return nil
	}
	switch s.Resize {
	case NoResize:
	case Exact, Cover, Fit, Shortest, Bounded, Within:
		if err := box("size", s.Height, s.Width); err != nil {
			return err
		}
		if s.Resize == Shortest && s.Height != s.Width {
			return fieldError("size", "%d x %d: one number expected for the short side", s.Height, s.Width)
		}
	case NaFlex:
		if err := side("patch_size", s.Patch); err != nil {
			return err
		}
		if s.MaxPatches < 1 || s.MaxPatches > maxPatches || s.MaxPatches*s.Patch*s.Patch > maxPixels {
			return fieldError("max_num_patches", "%d: 1 to %d expected, and at most %d pixels", s.MaxPatches, maxPatches, maxPixels)
		}
		if s.Crop {
			return fieldError("do_center_crop", "patches of native proportions can't be cropped")
		}
	default:
		return fieldError("resize", "%q is unknown", s.Resize)
	}
	switch {
	case !oneOf(s.Filter, Nearest, Box, Bilinear, Hamming, Bicubic, Lanczos):
		return fieldError("filter", "%q is unknown", s.Filter)
	case !oneOf(s.Backend, Pillow, TorchInt16, TorchFloat32, Libvips):
		return fieldError("backend", "%q is unknown", s.Backend)
	case oneOf(s.Backend, TorchInt16, TorchFloat32) && oneOf(s.Filter, Box, Hamming):
		return fieldError("filter", "torchvision has no %s filter", s.Filter)
	case s.Backend == Libvips && s.Filter == Lanczos:
		return fieldError("filter", "libvips' lanczos can't be reproduced")
	case !oneOf(s.CropRule, CropHF, CropHFTorch, CropTorchvision):
		return fieldError("crop_rule", "%q is unknown", s.CropRule)
	case !oneOf(s.Arithmetic, NumPy, Fused, ToTensor, JavaScript):
		return fieldError("arithmetic", "%q is unknown", s.Arithmetic)
	case s.Rescale && (math.IsNaN(s.Factor) || math.IsInf(s.Factor, 0) || s.Factor == 0):
		return fieldError("rescale_factor", "%v: a finite number other than 0 expected", s.Factor)
	}
	if s.Crop {
		if err := box("crop_size", s.CropHeight, s.CropWidth); err != nil {
			return err
		}
	}
	if s.Normalize || s.NormalizeTwice {
		for c := range 3 {
			if m := float64(s.Mean[c]); math.IsNaN(m) || math.IsInf(m, 0) {
				return fieldError("image_mean", "%v: finite numbers expected", s.Mean)
			}
			if d := float64(s.Std[c]); !(d > 0) || math.IsInf(d, 0) {
				return fieldError("image_std", "%v: finite numbers above 0 expected", s.Std)
			}
		}
	}
	return nil
}

// NaFlex reports whether pictures keep their proportions and become patches.
func (s Spec) NaFlex() bool { return s.Resize == NaFlex }

// OutputSize returns the height and width of the pixel values, 0 and 0 where they differ from picture to picture.
func (s Spec) OutputSize() (h, w int) {
	switch {
	case s.Crop:
		return s.CropHeight, s.CropWidth
	case s.Resize == Exact:
		return s.Height, s.Width
	}
	return 0, 0
}

// Compat is one of the programs whose preprocessing can be reproduced.
type Compat string

const (
	CompatHF       Compat = "hf"       // transformers 5.23 with its Pillow processor
	CompatHF5      Compat = "hf5"      // transformers 5.23 with its torchvision processor, on AVX2
	CompatHF4      Compat = "hf4"      // transformers 4, whose default processors were the Pillow ones
	CompatOpenCLIP Compat = "openclip" // open_clip 3
	CompatOpenAI   Compat = "openai"   // OpenAI's own CLIP package
	CompatTFJS     Compat = "tfjs"     // transformers.js 4 in Node
)

// With returns the Spec as another program would carry it out: the same size, filter, mean and std by that program's backend,
// crop rule, order of conversion and arithmetic.
func (s Spec) With(c Compat) (Spec, error) {
	switch c {
	case CompatHF, CompatHF4:
		s.Backend, s.CropRule, s.Arithmetic, s.ConvertLast = Pillow, CropHF, NumPy, false
	case CompatHF5:
		s.Backend, s.CropRule, s.Arithmetic, s.ConvertLast = TorchInt16, CropHFTorch, Fused, false
	case CompatOpenCLIP, CompatOpenAI:
		s.Backend, s.CropRule, s.Arithmetic, s.ConvertLast = Pillow, CropTorchvision, ToTensor, true
	case CompatTFJS:
		s.Backend, s.CropRule, s.Arithmetic, s.ConvertLast = Libvips, CropHFTorch, JavaScript, false
	default:
		return s, fmt.Errorf("compatibility mode %q is unknown", c)
	}
	return s, s.Validate()
}
