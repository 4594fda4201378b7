package convert

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/arch"
	"github.com/clipgo/clipgo/internal/checkpoint"
	"github.com/clipgo/clipgo/internal/jsonconf"
	"github.com/clipgo/clipgo/internal/preprocess"
	"github.com/clipgo/clipgo/internal/tokenkeys"
)

// CrispEmbed keeps a CLIP or SigLIP in two GGUF files, the image tower and the text tower, whose tensors are transformers' under
// other names (its convert-siglip-to-gguf.py and convert-clip-text-to-gguf.py). Neither has the scale of the logits.

// The values of general.architecture of the two halves.
const (
	crispImage = "vit"
	crispText  = "clip_text"
)

// crispNames are the starts of names there and in transformers; {n} is a number.
var crispNames = map[string][][2]string{
	crispImage: append(crispBlocks("vision_model."), [][2]string{
		{"patch_embed.", "vision_model.embeddings.patch_embedding."},
		{"position_embd.", "vision_model.embeddings.position_embedding."},
		{"cls_token", "vision_model.embeddings.class_embedding"},
		{"pre_ln.", "vision_model.pre_layrnorm."}, // sic
		{"post_ln.", "vision_model.post_layernorm."},
		{"visual_proj.", "visual_projection."},
		{"head.attn.in_proj.", "vision_model.head.attention.in_proj_"},
		{"head.attn.o.", "vision_model.head.attention.out_proj."},
		{"head.ln.", "vision_model.head.layernorm."},
		{"head.", "vision_model.head."},
	}...),
	crispText: append(crispBlocks("text_model."), [][2]string{
		{"token_embd.", "text_model.embeddings.token_embedding."},
		{"position_embd.", "text_model.embeddings.position_embedding."},
		{"final_ln.", "text_model.final_layer_norm."},
		{"text_proj.", "text_projection."},
		{"head.", "text_model.head."},
	}...),
}

func crispBlocks(tower string) (names [][2]string) {
	for _, pair := range [][2]string{{"ln1.", "layer_norm1."}, {"ln2.", "layer_norm2."}, {"attn.q.", "self_attn.q_proj."},
		{"attn.k.", "self_attn.k_proj."}, {"attn.v.", "self_attn.v_proj."}, {"attn.o.", "self_attn.out_proj."}, {"ffn.", "mlp."}} {
		names = append(names, [2]string{"enc.{n}." + pair[0], tower + "encoder.layers.{n}." + pair[1]})
	}
	return names
}

// crispName returns transformers' name of a tensor; one that is not known stays, and is found to have no place later.
func crispName(architecture, name string) string {
	for _, pair := range crispNames[architecture] {
		from, to := pair[0], pair[1]
		if strings.HasPrefix(from, "enc.") {
			number, _, _ := strings.Cut(strings.TrimPrefix(name, "enc."), ".")
			from, to = strings.Replace(from, "{n}", number, 1), strings.Replace(to, "{n}", number, 1)
		}
		if rest, ok := strings.CutPrefix(name, from); ok {
			return to + rest
		}
	}
	return name
}

func isGGUF(path string) bool { return strings.HasSuffix(strings.ToLower(path), ".gguf") }

// firstHalf returns the path of a half that lies in the folder, "" where there is none.
func (s *source) firstHalf() string {
	names, err := filepath.Glob(filepath.Join(s.path, "*.gguf"))
	if err != nil {
		return ""
	}
	for _, name := range names {
		f, err := gguf.Open(name)
		if err != nil {
			continue
		}
		architecture := architectureOf(f)
		f.Close()
		if crispNames[architecture] != nil {
			return name
		}
	}
	return ""
}

// readCrispEmbed reads the half at path, and the other from the same folder unless the options leave it out.
func (s *source) readCrispEmbed(path string) error {
	s.tensors = &checkpoint.Set{}
	halves, err := s.openHalves(path)
	if err != nil {
		return err
	}
	for architecture, half := range halves {
		if err := addGGUF(s.tensors, half, func(name string) string { return crispName(architecture, name) }); err != nil {
			return err
		}
	}
	s.configName, s.pixelsName = filepath.Base(path), filepath.Base(path)
	if err := s.readCrispModel(path, halves); err != nil {
		return err
	}
	if image := halves[crispImage]; image == nil {
		s.model.Vision = nil
	} else if err := s.readCrispPixels(image); err != nil {
		return err
	}
	if text := halves[crispText]; text == nil {
		s.model.Text = nil
	} else if err := s.readCrispTokenizer(text); err != nil {
		return err
	}
	return nil
}

// openHalves opens the halves that are wanted, by architecture. They close with the source's tensors.
func (s *source) openHalves(path string) (map[string]*gguf.File, error) {
	given, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	s.tensors.Own(given)
	if crispNames[architectureOf(given)] == nil {
		return nil, fmt.Errorf("%s: general.architecture is %q, expected %q or %q, the halves of a CrispEmbed model: "+
			"other GGUF files need no conversion, or can't be converted", path, architectureOf(given), crispImage, crispText)
	}
	want := []string{crispImage, crispText}
	if s.options.VisionOnly {
		want = want[:1]
	} else if s.options.TextOnly {
		want = want[1:]
	}
	halves := map[string]*gguf.File{}
	for _, architecture := range want {
		half := given
		if architecture != architectureOf(given) {
			if half, err = s.findHalf(path, architecture); err != nil {
				return nil, err
			}
			s.tensors.Own(half)
		}
		halves[architecture] = half
	}
	return halves, nil
}

// findHalf opens the one file in the folder that is the half wanted.
func (s *source) findHalf(path, architecture string) (*gguf.File, error) {
	names, err := filepath.Glob(filepath.Join(s.path, "*.gguf"))
	if err != nil {
		return nil, err
	}
	var found []*gguf.File
	for _, name := range names {
		f, err := gguf.Open(name)
		if err != nil {
			continue // another file of the folder, of which nothing was asked
		}
		if architectureOf(f) == architecture {
			found = append(found, f)
		} else {
			f.Close()
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	for _, f := range found {
		f.Close()
	}
	what, flag := "text", "--vision-only"
	if architecture == crispImage {
		what, flag = "image", "--text-only"
	}
	if len(found) > 1 {
		return nil, fmt.Errorf("%s: %d files beside it are the %s half of a CrispEmbed model, expected one: put the two that belong together into a folder of their own",
			path, len(found), what)
	}
	return nil, fmt.Errorf("%s: the %s half of this CrispEmbed model (general.architecture %q) is missing: put it into the same folder, or do without it (%s)",
		path, what, architecture, flag)
}

// architectureOf returns general.architecture, "" where the file has none.
func architectureOf(f *gguf.File) string {
	architecture, err := f.StringOr("general.architecture", "")
	if err != nil {
		return ""
	}
	return architecture
}

// readCrispModel puts the keys into the words of transformers' config.json, and reads that.
func (s *source) readCrispModel(path string, halves map[string]*gguf.File) error {
	config, types := map[string]any{}, map[string]string{}
	var image, text map[string]any
	var err error
	if f := halves[crispImage]; f != nil {
		if image, types[crispImage], err = crispVisionConfig(f); err != nil {
			return err
		}
		config["vision_config"], config["projection_dim"] = image, rowsOf(f, "visual_proj.weight")
	}
	if f := halves[crispText]; f != nil {
		if text, types[crispText], err = crispTextConfig(f); err != nil {
			return err
		}
		config["text_config"], config["projection_dim"] = text, rowsOf(f, "text_proj.weight")
	}
	modelType := ""
	for architecture, have := range types {
		if modelType = have; types[crispImage] != "" && types[crispImage] != have {
			return fmt.Errorf("%s: this half is of a %s, the other of a %s: they don't belong together", halves[architecture].Name(), have, types[crispImage])
		}
	}
	// Older files leave it out for pictures. All CLIPs that CrispEmbed names have one for both towers.
	if image != nil && image["hidden_act"] == nil && text != nil {
		image["hidden_act"] = text["hidden_act"]
	}
	data, err := json.Marshal(config)
	if err != nil {
		return err
	}
	c, err := jsonconf.Parse(path, data)
	if err != nil {
		return err
	}
	if s.family, err = arch.FamilyOf(modelType); err != nil {
		return err
	}
	if s.model, err = s.family.Read(c); err != nil {
		return err
	}
	s.model.Family = modelType
	s.model.Name = modelName(c, s.path)
	s.model.LogitScale = arch.DefaultLogitScale
	s.assume("CrispEmbed's files have no logit scale: 100 is assumed, which the training of CLIPs ends with")
	if modelType == "siglip" {
		s.model.Score = arch.Softmax
		s.assume("CrispEmbed's files have no logit bias: scores are a softmax over the labels, not SigLIP's own sigmoids")
	}
	return nil
}

// rowsOf returns the number of rows of a matrix, 0 where there is none.
func rowsOf(f *gguf.File, name string) uint64 {
	if t, ok := f.Tensor(name); ok {
		return t.Rows()
	}
	return 0
}

func crispVisionConfig(f *gguf.File) (config map[string]any, modelType string, err error) {
	k := &ggufKeys{f: f, prefix: "vit."}
	config = k.tower()
	config["image_size"], config["patch_size"] = k.uint("image_size"), k.uint("patch_size")
	modelType = k.string("model_type", "")
	if k.err == nil && modelType != "clip" && modelType != "siglip" {
		k.err = fmt.Errorf("%s: vit.model_type is %q, expected clip or siglip", f.Name(), modelType)
	}
	return config, modelType, k.err
}

func crispTextConfig(f *gguf.File) (config map[string]any, modelType string, err error) {
	k := &ggufKeys{f: f, prefix: "clip_text."}
	config = k.tower()
	config["vocab_size"], config["max_position_embeddings"] = k.uint("vocab_size"), k.uint("max_position_embeddings")
	config["eos_token_id"] = k.uint("eos_token_id")
	if modelType = "clip"; k.bool("has_head") {
		modelType = "siglip"
		config["projection_size"] = rowsOf(f, "head.weight")
	}
	return config, modelType, k.err
}

// ggufKeys reads keys that must be there; the first error stays.
type ggufKeys struct {
	f      *gguf.File
	prefix string
	err    error
}

func keep[T any](k *ggufKeys, v T, err error) T {
	if k.err == nil {
		k.err = err
	}
	return v
}

func (k *ggufKeys) uint(key string) uint64 {
	v, err := k.f.Uint(k.prefix + key)
	return keep(k, v, err)
}

func (k *ggufKeys) bool(key string) bool {
	v, err := k.f.BoolOr(k.prefix+key, false)
	return keep(k, v, err)
}

func (k *ggufKeys) string(key, def string) string {
	v, err := k.f.StringOr(k.prefix+key, def)
	return keep(k, v, err)
}

// tower reads what both halves say alike.
func (k *ggufKeys) tower() map[string]any {
	eps, err := k.f.Float(k.prefix + "layer_norm_eps")
	config := map[string]any{"layer_norm_eps": keep(k, eps, err)}
	for _, key := range []string{"hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"} {
		config[key] = k.uint(key)
	}
	if act := k.string("hidden_act", ""); act != "" {
		config["hidden_act"] = act
	}
	return config
}

func (s *source) readCrispPixels(f *gguf.File) error {
	size := s.model.Vision.Image.H
	config := map[string]any{"size": map[string]int{"height": size, "width": size}}
	if s.model.Family == "clip" {
		config = map[string]any{"size": map[string]int{"shortest_edge": size}, "crop_size": map[string]int{"height": size, "width": size}}
	}
	for key, name := range map[string]string{"vit.image_mean": "image_mean", "vit.image_std": "image_std"} {
		values, err := f.FloatsOr(key, nil)
		if err != nil {
			return err
		}
		if values != nil {
			config[name] = values
		}
	}
	data, err := json.Marshal(config)
	if err != nil {
		return fmt.Errorf("%s: vit.image_mean, vit.image_std: %w", f.Name(), err)
	}
	if s.pixels, err = preprocess.ParseHF(data, s.model.Family); err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	return nil
}

func (s *source) readCrispTokenizer(f *gguf.File) error {
	if s.options.Tokenizer != "" && s.model.Family == "siglip" {
		return s.readSigLIPTokenizer()
	} else if s.options.Tokenizer != "" {
		return s.readHFTokenizer()
	}
	spec, err := tokenkeys.ReadCrispEmbed(f)
	if err != nil {
		return err
	}
	if s.model.Family == "siglip" {
		s.assume("CrispEmbed's files have no table of normal forms: texts beyond ASCII may get other ids than SigLIP's; --tokenizer spiece.model gives them")
	}
	s.tokenizer = &spec
	return nil
}
