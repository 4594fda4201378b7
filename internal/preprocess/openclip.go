package preprocess

import "encoding/json"

// ParseOpenCLIP reads an open_clip_config.json: its preprocess_cfg, with the size of model_cfg's image tower, which open_clip lets
// win. Errors name the field, not the file.
func ParseOpenCLIP(data []byte) (Spec, error) {
	var c struct {
		Model struct {
			Vision struct {
				ImageSize json.RawMessage `json:"image_size"`
			} `json:"vision_cfg"`
		} `json:"model_cfg"`
		Preprocess struct {
			Size          json.RawMessage `json:"size"`
			Mode          *string         `json:"mode"`
			Mean          json.RawMessage `json:"mean"`
			Std           json.RawMessage `json:"std"`
			Interpolation *string         `json:"interpolation"`
			ResizeMode    *string         `json:"resize_mode"`
			FillColor     *int            `json:"fill_color"`
		} `json:"preprocess_cfg"`
	}
	if err := unmarshal(data, &c); err != nil {
		return Spec{}, err
	}
	pre := c.Preprocess
	s := Spec{
		Height: 224, Width: 224, Filter: Bicubic, Backend: Pillow, CropRule: CropTorchvision, ConvertLast: true,
		Rescale: true, Factor: 1.0 / 255, Normalize: true, Mean: openAIMean, Std: openAIStd, Arithmetic: ToTensor,
	}
	for _, from := range []struct {
		field string
		raw   json.RawMessage
	}{{"preprocess_cfg.size", pre.Size}, {"model_cfg.vision_cfg.image_size", c.Model.Vision.ImageSize}} {
		if !present(from.raw) {
			continue
		}
		size, err := parseSize(from.field, from.raw)
		if err != nil {
			return Spec{}, err
		}
		if size.kind != "" && !size.number {
			return Spec{}, fieldError(from.field, "%s: a number, or height and width expected", inOneLine(from.raw))
		}
		s.Height, s.Width = size.height, size.width
	}
	if pre.Mode != nil && *pre.Mode != "RGB" {
		return Spec{}, fieldError("preprocess_cfg.mode", "%q: RGB expected", *pre.Mode)
	}
	if err := colours(&s.Mean, "preprocess_cfg.mean", pre.Mean); err != nil {
		return Spec{}, err
	}
	if err := colours(&s.Std, "preprocess_cfg.std", pre.Std); err != nil {
		return Spec{}, err
	}
	if pre.Interpolation != nil {
		switch *pre.Interpolation {
		case "bicubic", "random": // random is for training
		case "bilinear":
			s.Filter = Bilinear
		default:
			return Spec{}, fieldError("preprocess_cfg.interpolation", "%q: bicubic, bilinear or random expected", *pre.Interpolation)
		}
	}
	if pre.FillColor != nil {
		if *pre.FillColor < 0 || *pre.FillColor > 255 {
			return Spec{}, fieldError("preprocess_cfg.fill_color", "%d: 0 to 255 expected", *pre.FillColor)
		}
		s.Fill = uint8(*pre.FillColor)
	}
	mode := "shortest"
	set(&mode, pre.ResizeMode)
	crop := true
	switch mode {
	case "shortest":
		s.Resize, s.Fill = Shortest, 0
		if s.Height != s.Width {
			s.Resize, s.Filter = Cover, Bicubic // whatever interpolation says
		}
	case "squash":
		s.Resize, crop = Exact, false
	case "longest":
		s.Resize = Fit
	default:
		return Spec{}, fieldError("preprocess_cfg.resize_mode", "%q: shortest, longest or squash expected", mode)
	}
	if crop {
		s.Crop, s.CropHeight, s.CropWidth = true, s.Height, s.Width
	}
	return s, s.Validate()
}
