package convert

import (
	"fmt"
	"os"

	"github.com/clipgo/clipgo/internal/arch"
	"github.com/clipgo/clipgo/internal/jsonconf"
	"github.com/clipgo/clipgo/internal/preprocess"
	"github.com/clipgo/clipgo/internal/tokenizer"
)

const openCLIPConfig = "open_clip_config.json"

// preferOpenCLIP says whether to read a folder, which has the files that has knows, as open_clip does. Where it is in
// transformers' layout too, that is preferred.
func preferOpenCLIP(has func(names ...string) bool) bool {
	return has(openCLIPConfig) && !(has("config.json") && has(transformersWeights...))
}

// readOpenCLIP reads all but the tensors of a folder as open_clip's push_to_hf_hub writes it.
func (s *source) readOpenCLIP() error {
	data, err := readConfig(s.file(openCLIPConfig))
	if err != nil {
		return err
	}
	return s.parseOpenCLIP(openCLIPConfig, data)
}

// parseOpenCLIP reads the configuration data of a file in the folder.
func (s *source) parseOpenCLIP(name string, data []byte) error {
	s.configName, s.pixelsName, s.family = name, name, arch.OpenCLIP
	config, err := jsonconf.Parse(s.file(s.configName), data)
	if err != nil {
		return err
	}
	if !config.IsObject("model_cfg") {
		return fmt.Errorf("%s: model_cfg is missing; expected an object with embed_dim, vision_cfg and text_cfg", s.file(s.configName))
	}
	model := config.Object("model_cfg")
	if s.model, err = s.family.Read(model); err != nil {
		return err
	}
	s.model.Family = s.family.Type
	s.model.Name = modelName(config, s.path)
	if s.pixels, err = preprocess.ParseOpenCLIP(data); err != nil {
		return fmt.Errorf("%s: %w", s.file(s.configName), err)
	}
	if !s.options.VisionOnly {
		spec, err := s.openCLIPTokenizer(model.Object("text_cfg"))
		if err != nil {
			return err
		}
		s.tokenizer = &spec
	}
	return config.Err()
}

// openCLIPTokenizer reads the tokeniser that the text tower names, whose files lie in the folder, or returns CLIP's.
func (s *source) openCLIPTokenizer(text *jsonconf.Config) (tokenizer.Spec, error) {
	kwargs := text.Object("tokenizer_kwargs")
	o := tokenizer.OpenCLIPOptions{
		Clean:         kwargs.String("clean", ""),
		ContextLength: text.Int("context_length", 77),
		StripSEP:      kwargs.Bool("strip_sep_token", false),
	}
	name := text.String("hf_tokenizer_name", "")
	if err := text.Err(); err != nil {
		return tokenizer.Spec{}, err
	}
	if name == "" {
		spec, err := tokenizer.OpenCLIP(o)
		if err != nil {
			return spec, fmt.Errorf("%s: %w", s.file(s.configName), err)
		}
		return spec, nil
	}
	folder, _ := s.tokenizerFolder()
	spec, err := tokenizer.FromHF(os.DirFS(folder))
	if err != nil {
		return spec, fmt.Errorf("%s: reading the tokenizer, which is %s's and expected beside open_clip_config.json: %w", folder, name, err)
	}
	if spec, err = spec.ForOpenCLIP(o); err != nil {
		return spec, fmt.Errorf("%s: %w", s.file(s.configName), err)
	}
	return spec, nil
}
