package preprocess

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

var (
	openAIMean, openAIStd = [3]float32{0.48145466, 0.4578275, 0.40821073}, [3]float32{0.26862954, 0.26130258, 0.27577711}
	halves                = [3]float32{0.5, 0.5, 0.5}
)

// hfClass is an image processor class of transformers: what holds where preprocessor_config.json is silent.
type hfClass struct {
	spec Spec
	// A number as size is a square, else the shortest edge.
	square bool
}

// Classes lists the image processors of transformers that ParseHF reads.
func Classes() []string {
	var names []string
	for name := range hfClasses {
		names = append(names, name+"ImageProcessor")
	}
	slices.Sort(names)
	return names
}

// hfBase holds for every class unless it says otherwise.
var hfBase = Spec{
	Resize: Exact, Height: 224, Width: 224, Filter: Bicubic, Backend: Pillow, CropRule: CropHF,
	CropHeight: 224, CropWidth: 224, Rescale: true, Factor: 1.0 / 255, Normalize: true, Mean: halves, Std: halves, Arithmetic: NumPy,
}

// hfClasses are transformers' classes, without the endings ImageProcessor, FeatureExtractor, Fast and Pil.
var hfClasses = map[string]hfClass{
	"CLIP":        {hfBase.with(func(s *Spec) { s.Resize, s.Crop, s.Mean, s.Std = Shortest, true, openAIMean, openAIStd }), false},
	"ChineseCLIP": {hfBase.with(func(s *Spec) { s.Resize, s.Crop, s.Mean, s.Std = Shortest, true, openAIMean, openAIStd }), false},
	"Bit":         {hfBase.with(func(s *Spec) { s.Resize, s.Crop, s.Mean, s.Std = Shortest, true, openAIMean, openAIStd }), false},
	"DeiT":        {hfBase.with(func(s *Spec) { s.Height, s.Width, s.Crop = 256, 256, true }), true},
	"Siglip":      {hfBase, false},
	"Siglip2":     {hfBase.with(func(s *Spec) { s.Resize, s.Patch, s.MaxPatches, s.Filter = NaFlex, 16, 256, Bilinear }), false},
	"Blip":        {hfBase.with(func(s *Spec) { s.Height, s.Width, s.Mean, s.Std = 384, 384, openAIMean, openAIStd }), true},
	"EfficientNet": {hfBase.with(func(s *Spec) {
		s.Height, s.Width, s.CropHeight, s.CropWidth, s.NormalizeTwice = 346, 346, 289, 289, true
	}), true},
	"ConvNext": {hfBase.with(func(s *Spec) { s.Resize, s.Height, s.Width = Shortest, 384, 384 }), false},
	"ViT":      {hfBase.with(func(s *Spec) { s.Filter = Bilinear }), true},
	"Tipsv2": {hfBase.with(func(s *Spec) {
		// There is no Pillow class of it.
		s.Backend, s.CropRule, s.Arithmetic = TorchInt16, CropHFTorch, Fused
		s.Height, s.Width, s.Filter, s.Normalize = 448, 448, Bilinear, false
	}), true},
}

func (s Spec) with(change func(*Spec)) Spec {
	change(&s)
	return s
}

// hfTypes is the class of each model type, for configurations that name none.
var hfTypes = map[string]string{
	"clip": "CLIP", "altclip": "CLIP", "metaclip_2": "CLIP", "chinese_clip": "ChineseCLIP", "siglip": "Siglip", "siglip2": "Siglip2",
	"blip": "Blip", "blip-2": "Blip", "align": "EfficientNet", "clipseg": "ViT", "tipsv2": "Tipsv2",
}

// hfConfig is preprocessor_config.json; nil is for fields that are missing or null.
type hfConfig struct {
	ImageProcessorType   *string         `json:"image_processor_type"`
	FeatureExtractorType *string         `json:"feature_extractor_type"`
	DoResize             *bool           `json:"do_resize"`
	Size                 json.RawMessage `json:"size"`
	Resample             *int            `json:"resample"`
	DoCenterCrop         *bool           `json:"do_center_crop"`
	CropSize             json.RawMessage `json:"crop_size"`
	CropPct              *float64        `json:"crop_pct"`
	DoRescale            *bool           `json:"do_rescale"`
	RescaleFactor        *float64        `json:"rescale_factor"`
	RescaleOffset        *bool           `json:"rescale_offset"`
	DoNormalize          *bool           `json:"do_normalize"`
	ImageMean            json.RawMessage `json:"image_mean"`
	ImageStd             json.RawMessage `json:"image_std"`
	IncludeTop           *bool           `json:"include_top"`
	DoPad                *bool           `json:"do_pad"`
	PadSize              json.RawMessage `json:"pad_size"`
	UseSquareSize        *bool           `json:"use_square_size"`
	PatchSize            *int            `json:"patch_size"`
	MaxNumPatches        *int            `json:"max_num_patches"`
}

// ParseHF reads a preprocessor_config.json as transformers 5.23 understands it with its Pillow processors (TIPSv2 has torchvision's
// only). modelType is config.json's, for files that don't name their class; what a file leaves out is the class's default.
// Errors name the field, not the file.
func ParseHF(data []byte, modelType string) (Spec, error) {
	var c hfConfig
	if err := unmarshal(data, &c); err != nil {
		return Spec{}, err
	}
	name, err := c.className(modelType)
	if err != nil {
		return Spec{}, err
	}
	class := hfClasses[name]
	s := class.spec
	set(&s.Rescale, c.DoRescale)
	set(&s.Factor, c.RescaleFactor)
	set(&s.Normalize, c.DoNormalize)
	set(&s.Crop, c.DoCenterCrop)
	if name == "EfficientNet" {
		set(&s.Offset, c.RescaleOffset)
		set(&s.NormalizeTwice, c.IncludeTop)
	}
	if c.Resample != nil {
		if *c.Resample < 0 || *c.Resample >= len(pilFilters) {
			return Spec{}, fieldError("resample", "%d: 0 to %d expected", *c.Resample, len(pilFilters)-1)
		}
		s.Filter = pilFilters[*c.Resample]
	}
	if err := colours(&s.Mean, "image_mean", c.ImageMean); err != nil {
		return Spec{}, err
	}
	if err := colours(&s.Std, "image_std", c.ImageStd); err != nil {
		return Spec{}, err
	}
	if present(c.CropSize) {
		size, err := parseSize("crop_size", c.CropSize)
		if err != nil {
			return Spec{}, err
		}
		if size.kind != "" && !size.number {
			return Spec{}, fieldError("crop_size", "%s: height and width expected", inOneLine(c.CropSize))
		}
		s.CropHeight, s.CropWidth = size.height, size.width
	}
	if s.Resize == NaFlex {
		set(&s.Patch, c.PatchSize)
		set(&s.MaxPatches, c.MaxNumPatches)
		if c.DoResize != nil && !*c.DoResize {
			return Spec{}, fieldError("do_resize", "false: patches of native proportions need it")
		}
		return s, s.Validate()
	}
	if name == "CLIP" && c.UseSquareSize != nil && *c.UseSquareSize {
		s.Resize, c.Size = Exact, nil // of the class's own size
	}
	if present(c.Size) {
		size, err := parseSize("size", c.Size)
		if err != nil {
			return Spec{}, err
		}
		s.Resize, s.Height, s.Width = Exact, size.height, size.width
		if size.kind != "" {
			s.Resize = size.kind
		}
		if size.kind == Shortest && size.number && class.square {
			s.Resize = Exact
		}
	}
	if name == "ConvNext" {
		if err := s.convNext(c.CropPct); err != nil {
			return Spec{}, err
		}
	}
	if c.DoResize != nil && !*c.DoResize {
		s.Resize = NoResize
	}
	if err := c.checkPad(&s); err != nil {
		return Spec{}, err
	}
	return s, s.Validate()
}

// checkPad refuses padding, unless it adds nothing: pictures are padded to one size, and they have it.
func (c *hfConfig) checkPad(s *Spec) error {
	if c.DoPad == nil || !*c.DoPad || !present(c.PadSize) {
		return nil
	}
	size, err := parseSize("pad_size", c.PadSize)
	if err != nil {
		return err
	}
	if h, w := s.OutputSize(); size.height != h || size.width != w {
		return fieldError("pad_size", "%s: pictures of %d x %d can't be padded", inOneLine(c.PadSize), w, h)
	}
	return nil
}

func (c *hfConfig) className(modelType string) (string, error) {
	var written string
	switch {
	case c.ImageProcessorType != nil:
		written = *c.ImageProcessorType
	case c.FeatureExtractorType != nil:
		written = *c.FeatureExtractorType
	default:
		name, ok := hfTypes[modelType]
		if !ok {
			return "", fieldError("image_processor_type", "missing, and model type %q has no known image processor", modelType)
		}
		return name, nil
	}
	name := strings.TrimSuffix(strings.TrimSuffix(written, "Fast"), "Pil")
	name = strings.TrimSuffix(strings.TrimSuffix(name, "ImageProcessor"), "FeatureExtractor")
	if _, ok := hfClasses[name]; !ok {
		return "", fieldError("image_processor_type", "%q is unknown: %s expected", written, strings.Join(Classes(), ", "))
	}
	return name, nil
}

// convNext applies the class's own rule: below 384 the short side is enlarged by 1 / crop_pct and the middle cropped, from 384 on
// the picture is squashed.
func (s *Spec) convNext(cropPct *float64) error {
	if s.Resize != Shortest {
		return fieldError("size", "ConvNext expects shortest_edge")
	}
	side := s.Height
	if s.Crop && (s.CropHeight != side || s.CropWidth != side) {
		return fieldError("do_center_crop", "ConvNext crops to %d x %d itself", side, side)
	}
	if side >= 384 {
		s.Resize = Exact
		return nil
	}
	pct := 224.0 / 256
	set(&pct, cropPct)
	if !(pct > 0 && pct <= 1) {
		return fieldError("crop_pct", "%v: above 0 and at most 1 expected", pct)
	}
	large := float64(side) / pct
	if large > maxSide {
		return fieldError("crop_pct", "%v makes pictures of more than %d pixels a side", pct, maxSide)
	}
	s.Height, s.Width = int(large), int(large)
	s.Crop, s.CropHeight, s.CropWidth = true, side, side
	return nil
}

// unmarshal decodes JSON, with errors that name the field.
func unmarshal(data []byte, v any) error {
	err := json.Unmarshal(data, v)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fieldError(wrong.Field, "a JSON %s, expected %s", wrong.Value, wrong.Type)
	}
	if err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	return nil
}

func present(raw json.RawMessage) bool { return len(raw) > 0 && !bytes.Equal(raw, []byte("null")) }

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

// hfSize is a size in any of its forms.
type hfSize struct {
	height, width int
	kind          Resize // what the two mean; "": height and width
	number        bool   // written as a bare number
}

// parseSize reads 224, [224, 224], {"height": 224, "width": 224}, {"shortest_edge": 224}, the same with longest_edge, or
// {"max_height": 224, "max_width": 224}.
func parseSize(field string, raw json.RawMessage) (hfSize, error) {
	var n int
	if json.Unmarshal(raw, &n) == nil {
		return hfSize{n, n, Shortest, true}, nil
	}
	var list []int
	if json.Unmarshal(raw, &list) == nil && len(list) == 2 {
		return hfSize{height: list[0], width: list[1]}, nil
	}
	var named map[string]*int
	if json.Unmarshal(raw, &named) == nil {
		for k, v := range named {
			if v == nil {
				delete(named, k)
			}
		}
		pair := func(first, second string) bool { return len(named) == 2 && named[first] != nil && named[second] != nil }
		switch {
		case pair("height", "width"):
			return hfSize{height: *named["height"], width: *named["width"]}, nil
		case pair("shortest_edge", "longest_edge"):
			return hfSize{*named["shortest_edge"], *named["longest_edge"], Bounded, false}, nil
		case pair("max_height", "max_width"):
			return hfSize{*named["max_height"], *named["max_width"], Within, false}, nil
		case len(named) == 1 && named["shortest_edge"] != nil:
			short := *named["shortest_edge"]
			return hfSize{short, short, Shortest, false}, nil
		}
	}
	return hfSize{}, fieldError(field, "%s: expected a number, a pair, height and width, shortest_edge with or without longest_edge, or max_height and max_width",
		inOneLine(raw))
}

// inOneLine shortens JSON for an error.
func inOneLine(raw json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return "not JSON"
	}
	return fmt.Sprintf("%.80s", b.String())
}

// colours reads three numbers, or one that holds for all three channels.
func colours(to *[3]float32, field string, raw json.RawMessage) error {
	if !present(raw) {
		return nil
	}
	var one float32
	if json.Unmarshal(raw, &one) == nil {
		*to = [3]float32{one, one, one}
		return nil
	}
	var list []float32
	if json.Unmarshal(raw, &list) != nil || len(list) != 3 {
		return fieldError(field, "%s: three numbers expected", inOneLine(raw))
	}
	*to = [3]float32(list)
	return nil
}
