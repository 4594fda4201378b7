package convert

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/clipgo/clipgo/internal/arch"
	"github.com/clipgo/clipgo/internal/checkpoint"
	"github.com/clipgo/clipgo/internal/jsonconf"
	"github.com/clipgo/clipgo/internal/preprocess"
	"github.com/clipgo/clipgo/internal/tokenizer"
)

// source is an opened checkpoint: what it says about the model, and its tensors.
type source struct {
	path       string
	configName string
	pixelsName string // the file that says how pictures are prepared
	family     *arch.Family
	model      *arch.Model
	pixels     preprocess.Spec
	tokenizer  *tokenizer.Spec // nil where the text tower is left out
	tensors    *checkpoint.Set
	known      map[string]bool // tensors of towers that are left out, and those that became hyper-parameters
	options    Options
	assumed    []string // see Report.Assumed
}

func (s *source) assume(what string) { s.assumed = append(s.assumed, what) }

// Close closes the weights, if they are open.
func (s *source) Close() error {
	if s.tensors == nil {
		return nil
	}
	return s.tensors.Close()
}

// maxConfig bounds configuration files; the largest seen are a few KiB.
const maxConfig = 16 << 20

func readConfig(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxConfig {
		return nil, fmt.Errorf("%s: %d bytes, expected at most %d of a configuration file", path, info.Size(), maxConfig)
	}
	return os.ReadFile(path)
}

// openSource opens a folder with a configuration and what lies beside it. path may also be one of its files; one of weights
// is then read instead of the one that the folder would be searched for.
func openSource(path string, o Options) (*source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; expected a folder with a checkpoint (config.json, model.safetensors, ...)", path, unwrapPath(err))
	}
	if o.Tokenizer != "" {
		if _, err := os.Stat(o.Tokenizer); err != nil {
			return nil, fmt.Errorf("%s: %w; expected a tokenizer's folder, or one of its files", o.Tokenizer, unwrapPath(err))
		}
	}
	s := &source{path: path, options: o}
	weights, half := "", ""
	if !info.IsDir() {
		s.path = filepath.Dir(path)
		if isGGUF(path) {
			half = path
		} else if weightsFormat(path) != nil {
			weights = path
		}
	} else if !s.has("config.json", openCLIPConfig) {
		half = s.firstHalf()
	}
	read, names := s.readTransformers, transformersWeights
	switch {
	case isNPZ(weights):
		read = func() error { return s.readBigVision(weights) }
	case half != "":
		read = func() error { return s.readCrispEmbed(half) }
	case preferOpenCLIP(s.has):
		read, names = s.readOpenCLIP, openCLIPWeights
	case weights != "" && !s.has("config.json"):
		read = func() error { return s.readOpenAI(weights) }
	}
	if err := s.open(read, weights, names); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// open reads what describes the model, with read, and then opens the weights, unless read did so.
func (s *source) open(read func() error, weights string, names []string) error {
	if err := read(); err != nil {
		return err
	}
	if err := s.model.Validate(); err != nil {
		return fmt.Errorf("%s: %w", s.file(s.configName), err)
	}
	if s.tensors == nil {
		var err error
		if s.tensors, err = openWeights(s.path, weights, names); err != nil {
			return err
		}
	}
	return s.matchTensors()
}

// matchTensors takes what the tensors say about the model.
func (s *source) matchTensors() error {
	if err := s.readScalars(); err != nil {
		return err
	}
	if err := s.matchPixels(); err != nil {
		return err
	}
	// Towers that the caller leaves out are known all the same.
	for _, t := range s.family.Tensors(s.model) {
		for _, name := range append(t.Sources, t.Others...) {
			s.known[name] = true
		}
	}
	return s.model.Validate()
}

// file is the path of a file in the checkpoint's folder.
func (s *source) file(name string) string { return filepath.Join(s.path, name) }

// has says whether the folder has one of the files.
func (s *source) has(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return hasFile(s.path, name) })
}

func hasFile(folder, name string) bool {
	_, err := os.Stat(filepath.Join(folder, name))
	return err == nil
}

// tokenizerFolder is where the tokeniser lies, and its file where the options name a SentencePiece model.
func (s *source) tokenizerFolder() (folder, model string) {
	path := s.options.Tokenizer
	if path == "" {
		return s.path, ""
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return path, ""
	}
	if folder = filepath.Dir(path); filepath.Ext(path) == ".model" {
		model = filepath.Base(path)
	}
	return folder, model
}

// readTransformers reads all but the tensors of a folder as save_pretrained writes it.
func (s *source) readTransformers() error {
	s.configName = "config.json"
	data, err := readConfig(s.file(s.configName))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: there is neither config.json nor open_clip_config.json; expected a checkpoint as Hugging Face's save_pretrained or open_clip's push_to_hf_hub writes it",
				s.path)
		}
		return err
	}
	config, err := jsonconf.Parse(s.file(s.configName), data)
	if err != nil {
		return err
	}
	modelType := config.String("model_type", "")
	if s.family, err = arch.FamilyOf(modelType); err != nil {
		return fmt.Errorf("%s: %w", s.file(s.configName), err)
	}
	if s.model, err = s.family.Read(config); err != nil {
		return err
	}
	s.model.Family = modelType
	s.model.Name = modelName(config, s.path)
	if data, err = s.readPixelsConfig(); err != nil {
		return fmt.Errorf("reading how pictures are prepared: %w", err)
	}
	if s.pixels, err = preprocess.ParseHF(data, modelType); err != nil {
		return fmt.Errorf("%s: %w", s.file(s.pixelsName), err)
	}
	if s.options.VisionOnly {
		return nil
	}
	return s.readHFTokenizer()
}

// readHFTokenizer reads the tokeniser as transformers does for a model of this type.
func (s *source) readHFTokenizer() error {
	folder, _ := s.tokenizerFolder()
	spec, err := tokenizer.FromHFAs(os.DirFS(folder), s.model.Family)
	if err != nil {
		return fmt.Errorf("%s: reading the tokenizer: %w", folder, err)
	}
	s.tokenizer = &spec
	if spec.Pipeline.PadLeft && spec.Pipeline.Mask {
		s.model.Text.Masked = true // also in a causal tower, where padding behind the text changes nothing
	}
	return nil
}

// readPixelsConfig reads the settings of the image processor. transformers 5 saves those of a whole processor in one file,
// which counts before the older one.
func (s *source) readPixelsConfig() ([]byte, error) {
	s.pixelsName = "processor_config.json"
	data, err := readConfig(s.file(s.pixelsName))
	if err == nil {
		var parts struct {
			Image json.RawMessage `json:"image_processor"`
		}
		if err := json.Unmarshal(data, &parts); err != nil {
			return nil, fmt.Errorf("%s: %w", s.file(s.pixelsName), err)
		}
		if len(parts.Image) > 0 {
			return parts.Image, nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	s.pixelsName = "preprocessor_config.json"
	return readConfig(s.file(s.pixelsName))
}

// matchPixels checks that pictures are prepared to the size that the image tower takes.
func (s *source) matchPixels() error {
	v := s.model.Vision
	if v == nil {
		return nil
	}
	if v.NaFlex {
		if !s.pixels.NaFlex() {
			return fmt.Errorf("%s: makes pictures of one size, but the image tower takes patches", s.file(s.pixelsName))
		}
		return nil
	}
	h, w := s.pixels.OutputSize()
	picture := arch.Size{H: h, W: w}
	if picture == (arch.Size{}) {
		return fmt.Errorf("%s: leaves pictures of all sizes as they are, but the image tower takes %v pixels", s.file(s.pixelsName), v.Image)
	}
	if picture == v.Image {
		return nil
	}
	err := fmt.Errorf("the image tower takes %v", v.Image)
	if s.family.Resize != nil {
		err = s.family.Resize(s.model, picture)
	}
	if err != nil {
		return fmt.Errorf("%s: makes pictures of %v pixels: %w", s.file(s.pixelsName), picture, err)
	}
	return nil
}

// tensor finds a tensor by the name that the family's tables give it.
func (s *source) tensor(name string) (*checkpoint.Tensor, bool) {
	t, ok := s.tensors.Tensor(name)
	if !ok && s.family.Prefix != "" {
		t, ok = s.tensors.Tensor(s.family.Prefix + name)
	}
	return t, ok
}

// modelName is what the model was published as, else the folder's name.
func modelName(config *jsonconf.Config, dir string) string {
	if name := config.String("_name_or_path", ""); name != "" {
		return name
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		abs = dir
	}
	return filepath.Base(abs)
}

// readScalars moves tensors of one element, such as the logit scale, into the hyper-parameters.
func (s *source) readScalars() error {
	s.known = map[string]bool{}
	for name, set := range s.family.Scalar {
		t, ok := s.tensor(name)
		if !ok {
			continue
		}
		s.known[name] = true
		if t.Elements() != 1 {
			return fmt.Errorf("%s: tensor %q has %d elements, expected 1", t.File, name, t.Elements())
		}
		var v [1]float32
		if err := t.ReadFloat32(v[:], 0); err != nil {
			return err
		}
		set(s.model, v[0])
	}
	return nil
}

// unwrapPath drops the path that an error of package os repeats.
func unwrapPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
