package convert

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/clipgo/clipgo/internal/arch"
	"github.com/clipgo/clipgo/internal/checkpoint"
	"github.com/clipgo/clipgo/internal/jsonconf"
	"github.com/clipgo/clipgo/internal/npz"
	"github.com/clipgo/clipgo/internal/preprocess"
	"github.com/clipgo/clipgo/internal/tokenizer"
)

// maxStack bounds the blocks that one tensor may hold.
const maxStack = 512

// gemmaVocab is the vocabulary of SigLIP 2, which is Gemma's.
const gemmaVocab = 256000

// openBigVision opens an .npz file of big_vision's, with the tensors of every block by themselves and positions in rows.
func openBigVision(path string) (*checkpoint.Set, error) {
	set, err := npz.Open(path)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Clone(set.Names()) {
		t, _ := set.Tensor(name)
		if before, after, stacked := strings.Cut(name, "/encoderblock/"); stacked {
			err = set.Split(name, maxStack, func(i int) string { return before + "/encoderblock_" + strconv.Itoa(i) + "/" + after })
		} else if n := len(t.Shape); strings.HasSuffix(name, "/pos_embedding") && n == 3 && t.Shape[2] > 0 {
			t.Shape = []uint64{t.Elements() / t.Shape[2], t.Shape[2]} // NaFlex has rows and columns of patches
		}
		if err != nil {
			set.Close()
			return nil, err
		}
	}
	return set, nil
}

// readBigVision reads all but the tensors of SigLIP's original checkpoints, which bring neither a configuration nor a
// tokeniser: the shapes tell the first, and the second lies beside the file, or where the options say.
func (s *source) readBigVision(path string) error {
	var err error
	if s.tensors, err = openBigVision(path); err != nil {
		return err
	}
	shapes := &shapeReader{path: path, set: s.tensors}
	modelType, data := shapes.siglipConfig()
	if shapes.err != nil {
		return shapes.err
	}
	s.configName, s.pixelsName = filepath.Base(path), "preprocessor_config.json"
	config, err := jsonconf.Parse(path, data)
	if err != nil {
		return err
	}
	if s.family, err = arch.BigVision(modelType); err != nil {
		return err
	}
	if s.model, err = s.family.Read(config); err != nil {
		return err
	}
	s.model.Family = modelType
	s.model.Name = strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	if !s.options.VisionOnly {
		if err := s.readSigLIPTokenizer(); err != nil {
			return err
		}
	}
	return s.readBigVisionPixels()
}

// siglipModels are names that the SentencePiece models of SigLIP and SigLIP 2 go by.
var siglipModels = []string{"spiece.model", "sentencepiece.model", "tokenizer.model", "gemma_tokenizer.model"}

func (s *source) readSigLIPTokenizer() error {
	spec, err := s.siglipTokenizer()
	if err != nil {
		return err
	}
	// Special tokens that no text holds may have no rows.
	if have, rows := len(spec.Tokens)-len(spec.Pipeline.Added), s.model.Text.Vocab; have > rows {
		folder, name := s.tokenizerFolder()
		return fmt.Errorf("%s: the tokenizer has %d tokens without the special ones, but the text tower has rows for %d: it belongs to another model",
			filepath.Join(folder, name), have, rows)
	}
	s.tokenizer = &spec
	return nil
}

func (s *source) siglipTokenizer() (tokenizer.Spec, error) {
	folder, name := s.tokenizerFolder()
	if name == "" && (hasFile(folder, "tokenizer_config.json") || hasFile(folder, "tokenizer.json")) {
		spec, err := tokenizer.FromHFAs(os.DirFS(folder), s.model.Family)
		if err != nil {
			err = fmt.Errorf("%s: reading the tokenizer: %w", folder, err)
		}
		return spec, err
	}
	for _, known := range siglipModels {
		if name == "" && hasFile(folder, known) {
			name = known
		}
	}
	if name == "" {
		return tokenizer.Spec{}, fmt.Errorf("%s: there is no tokenizer, which an .npz file doesn't bring; put %s beside it or name one (--tokenizer): "+
			"SigLIP's is spiece.model of google/siglip-base-patch16-224, SigLIP 2's the tokenizer of google/siglip2-base-patch16-224", folder,
			strings.Join(siglipModels, " or "))
	}
	spec, err := tokenizer.FromSentencePiece(os.DirFS(folder), name)
	if err != nil {
		err = fmt.Errorf("%s: reading the tokenizer: %w", folder, err)
	}
	return spec, err
}

// readBigVisionPixels takes preprocessor_config.json from beside the file, else what Google's checkpoints say there.
func (s *source) readBigVisionPixels() error {
	v := s.model.Vision
	const bilinear, bicubic = 2, 3
	filter := bicubic
	if s.model.Text.Vocab == gemmaVocab || s.tokenizer != nil && s.tokenizer.Kind == tokenizer.BPE {
		filter = bilinear // SigLIP 2
	}
	config := map[string]any{"size": map[string]int{"height": v.Image.H, "width": v.Image.W}, "resample": filter}
	if v.NaFlex {
		config = map[string]any{"patch_size": v.Patch, "max_num_patches": 256}
	}
	data, err := json.Marshal(config)
	if err != nil {
		return err
	}
	if s.has(s.pixelsName) {
		if data, err = readConfig(s.file(s.pixelsName)); err != nil {
			return err
		}
	}
	if s.pixels, err = preprocess.ParseHF(data, s.model.Family); err != nil {
		return fmt.Errorf("%s: %w", s.file(s.pixelsName), err)
	}
	return nil
}

// shapeReader asks tensors for their sizes; the first error stays.
type shapeReader struct {
	path string
	set  *checkpoint.Set
	err  error
}

func (r *shapeReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%s: %s", r.path, fmt.Sprintf(format, args...))
	}
}

// shape returns the shape of a tensor, which must have one of the numbers of dimensions given; 1s in its place after an error.
func (r *shapeReader) shape(name string, dims ...int) []uint64 {
	if t, ok := r.set.Tensor("params/" + name); !ok {
		r.fail("array %q is missing: expected SigLIP as big_vision saves it", "params/"+name)
	} else if !slices.Contains(dims, len(t.Shape)) {
		r.fail("array %q has shape %v, expected %v dimensions", "params/"+name, t.Shape, dims)
	} else if slices.Contains(t.Shape, 0) {
		r.fail("array %q has shape %v, expected no size of 0", "params/"+name, t.Shape)
	} else {
		return t.Shape
	}
	return slices.Repeat([]uint64{1}, slices.Max(dims))
}

// tower returns what the blocks under prefix say, in the words of transformers.
func (r *shapeReader) tower(prefix string) map[string]any {
	layers := 0
	for {
		if _, ok := r.set.Tensor(fmt.Sprintf("params/%sencoderblock_%d/LayerNorm_0/scale", prefix, layers)); !ok {
			break
		}
		layers++
	}
	query := r.shape(prefix+"encoderblock_0/MultiHeadDotProductAttention_0/query/kernel", 3) // [width, heads, head width]
	return map[string]any{
		"hidden_size":         query[0],
		"num_attention_heads": query[1],
		"num_hidden_layers":   layers,
		"intermediate_size":   r.shape(prefix+"encoderblock_0/MlpBlock_0/Dense_0/kernel", 2)[1],
	}
}

// siglipConfig is the config.json that transformers would have, and its model_type.
func (r *shapeReader) siglipConfig() (modelType string, config []byte) {
	vision, text := r.tower("img/Transformer/"), r.tower("txt/Encoder_0/")
	kernel := r.shape("img/embedding/kernel", 2, 4) // [patch, patch, 3, width], or [patch * patch * 3, width]
	positions := r.shape("img/pos_embedding", 2, 3)
	count := positions[len(positions)-2]
	modelType = "siglip"
	patch := kernel[0]
	if len(kernel) == 2 {
		modelType = "siglip2"
		patch = uint64(math.Sqrt(float64(kernel[0] / 3)))
	}
	side := uint64(math.Sqrt(float64(count)))
	if side*side != count {
		r.fail("array %q has %d positions, expected a square: the patches of a picture", "params/img/pos_embedding", count)
	}
	vision["patch_size"], vision["image_size"], vision["num_patches"] = patch, side*patch, count
	words := r.shape("txt/Embed_0/embedding", 2)
	context := r.shape("txt/pos_embedding", 2, 3)
	text["vocab_size"], text["max_position_embeddings"] = words[0], context[len(context)-2]
	text["projection_size"] = r.shape("txt/head/kernel", 2)[1]
	config, err := json.Marshal(map[string]any{"model_type": modelType, "vision_config": vision, "text_config": text})
	if err != nil {
		r.fail("%v", err)
	}
	return modelType, config
}
