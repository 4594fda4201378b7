// Package arch knows the architectures: which hyper-parameters describe a model, under which GGUF keys and tensor names
// they are stored, how each family's checkpoints name them, and which program computes a tower.
//
// A GGUF file of ours describes itself by features (norm placement, pooling, masks, activations, which optional tensors
// there are), so a new family is mostly a new table of names here, and nothing in the engine.
package arch

import (
	"fmt"
	"math"

	"github.com/clipgo/clipgo/internal/program"
)

// Pooling says how a tower's rows become its one row.
type Pooling string

// The poolings.
const (
	PoolFirst  Pooling = "first"  // row 0: the class token, [CLS], <s>
	PoolLast   Pooling = "last"   // the last row, padding included (SigLIP text)
	PoolEOS    Pooling = "eos"    // the first row whose token is eos_token_id; row 0 where there is none
	PoolArgmax Pooling = "argmax" // the first row with the greatest token id (CLIP with eos_token_id 2)
	PoolMean   Pooling = "mean"   // the mean over the valid rows
	PoolMAP    Pooling = "map"    // multi-head attention pooling (SigLIP's head)
	PoolNone   Pooling = "none"   // every row is an embedding (BLIP-2's queries)

	PoolPatches   Pooling = "patches"   // the mean over all rows but the class token
	PoolAttention Pooling = "attention" // the mean of learned queries over the rows, before the final norm (CoCa's pictures)
	PoolAppended  Pooling = "appended"  // a class token behind the text (CoCa's texts)
)

// Score turns logits into scores.
type Score string

// The scores.
const (
	Softmax Score = "softmax" // over the labels of an image
	Sigmoid Score = "sigmoid" // of each label by itself
)

// Tower describes a transformer tower.
type Tower struct {
	Width, Layers, Heads, FFN int
	Projection                int // width of the embedding
	Eps                       float32
	Act                       program.Activation
	Pooling                   Pooling
	PostNorm                  bool // blocks normalise after the residual (BERT) and not before the product (ViT)
}

// Vision describes an image tower.
type Vision struct {
	Tower
	Image     Size // of pictures, in pixels; NaFlex: of the square whose patches have the positions of the file
	Patch     int  // side in pixels
	Registers int  // rows between the class token and the patches
	NormTwice bool // the final norm is applied twice to the pooled row (BlipModel)
	NaFlex    bool // patches come with positions and a mask (SigLIP 2)

	NormAfterPool bool // the final norm follows the pooling
	HeadCount     int  // heads of PoolAttention
	HeadQueries   int  // queries of PoolAttention

	Queries *Queries
	Conv    *Conv // instead of blocks, heads and patches

	// Only while a checkpoint is converted.
	Trained    Size // of the pictures that the position embeddings were trained for, if not Image's
	Gated      bool // blocks have a gate (SwiGLU)
	PreNorm    bool // there is a norm before the blocks
	LayerScale bool
	NoQKVBias  bool
	HeadSkip   int // queries of PoolAttention that come first and are left out
}

// Size is a height and a width: of a picture in pixels, or of a grid of patches.
type Size struct{ H, W int }

// Square is a size of equal sides.
func Square(side int) Size { return Size{side, side} }

// Area is the number of pixels or patches.
func (s Size) Area() int { return s.H * s.W }

func (s Size) String() string { return fmt.Sprintf("%d x %d", s.W, s.H) }

// Grid is how many whole patches fit into a picture.
func (v *Vision) Grid() Size { return v.grid(v.Image) }

func (v *Vision) grid(picture Size) Size {
	return Size{picture.H / max(v.Patch, 1), picture.W / max(v.Patch, 1)}
}

// head describes the tower of one attention that PoolAttention is.
func (v *Vision) head() *Tower {
	return &Tower{Width: v.Projection, Heads: v.HeadCount, FFN: v.FFN, Projection: v.Projection, Eps: v.Eps, Pooling: PoolMean}
}

// Queries describes the tower of BLIP-2's Q-Former: learned rows that look at the picture. Its projection is the embedding's.
type Queries struct {
	Tower
	Tokens int // learned rows
	Every  int // blocks 0, Every, 2*Every, ... look at the picture
}

// Text describes a text tower.
type Text struct {
	Tower
	Vocab, Context int
	Causal         bool
	Masked         bool    // the mask of padding counts, and a mean leaves padding out
	EOS            int32   // pooled at, with PoolEOS
	EmbedFactor    float32 // multiplies the token embedding
	PoolEps        float32 // added to the count of a mean
	Pooler         int     // width of a linear layer between pooling and projection; 0: none
	PoolerAct      program.Activation
	Skip           int // ids that are dropped from the start of a text: placeholders of queries (BLIP-2)

	// Pad is the id of padding. With PoolAppended no row sees the position after it; the class token's id is the last.
	Pad int32
	// CountWords is set where positions count from 1 and leave padding out, whose position is 0 wherever it stands (XLM-R).
	CountWords bool

	// Only while a checkpoint is converted.
	PositionSkip   int // rows of positions that come first in the checkpoint and are never used
	LayerScale     bool
	ProjectionKind projectionKind
}

// projectionKind is how open_clip stores the projection of texts.
type projectionKind int

const (
	projectionNone   projectionKind = iota
	projectionMatrix                // [width, projection], without a bias
	projectionLinear                // [projection, width], with a bias
)

// positions is the number of rows of the position embeddings.
func (t *Text) positions() int {
	if t.Pooling == PoolAppended || t.CountWords {
		return t.Context + 1
	}
	return t.Context
}

// Placed says whether the tower is told the position of each id: rows that no other row sees are left out.
func (t *Text) Placed() bool { return t.Masked || t.Pooling == PoolAppended }

// Shares says whether texts that are computed together may share their beginning: in a causal tower what follows a row doesn't
// change it. The tower is told the position of each id, and a text ends with the row that is pooled.
func (t *Text) Shares() bool {
	return t.Causal && !t.Placed() && (t.Pooling == PoolEOS || t.Pooling == PoolArgmax)
}

// MaxTokens returns how many ids a text may have.
func (t *Text) MaxTokens() int { return t.Context + t.Skip }

// Model describes a model.
type Model struct {
	Family     string // the checkpoint's model_type
	Variant    string // of the family, if its checkpoints come in several; only while one is converted
	Name       string
	Vision     *Vision
	Text       *Text
	LogitScale float32 // natural logarithm of the factor of the cosines
	LogitBias  float32
	Score      Score
	Template   string // default prompt, with one {}
}

// DefaultTemplate is the pipeline's own hypothesis template.
const DefaultTemplate = "This is a photo of {}."

// Scale returns the factor of the cosines.
func (m *Model) Scale() float32 { return float32(math.Exp(float64(m.LogitScale))) }

// Limits on what a file may say, far above any model known.
const (
	maxWidth   = 1 << 15
	maxFFN     = 1 << 17
	maxLayers  = 512
	maxImage   = 1 << 13
	maxVocab   = 1 << 24
	maxContext = 1 << 14
)

func inRange(field string, v, lo, hi int) error {
	if v < lo || v > hi {
		return fmt.Errorf("%s is %d, expected %d to %d", field, v, lo, hi)
	}
	return nil
}

func (t *Tower) validate(prefix string) error {
	for _, c := range []struct {
		field     string
		v, lo, hi int
	}{
		{"embedding_length", t.Width, 1, maxWidth},
		{"block_count", t.Layers, 0, maxLayers},
		{"attention.head_count", t.Heads, 1, t.Width},
		{"feed_forward_length", t.FFN, 1, maxFFN},
		{"projection_dim", t.Projection, 1, maxWidth},
	} {
		if err := inRange(prefix+c.field, c.v, c.lo, c.hi); err != nil {
			return err
		}
	}
	if t.Width%t.Heads != 0 {
		return fmt.Errorf("%sattention.head_count is %d, which doesn't divide embedding_length %d", prefix, t.Heads, t.Width)
	}
	if !(t.Eps >= 0) || math.IsInf(float64(t.Eps), 0) {
		return fmt.Errorf("%sattention.layer_norm_epsilon is %g, expected a finite number >= 0", prefix, t.Eps)
	}
	switch t.Pooling {
	case PoolFirst, PoolLast, PoolEOS, PoolArgmax, PoolMean, PoolMAP, PoolNone, PoolPatches, PoolAttention, PoolAppended:
	default:
		return fmt.Errorf("%spooling is %q, which is not known", prefix, t.Pooling)
	}
	return nil
}

// validate checks the size of pictures.
func (s Size) validate() error {
	if err := inRange(visionKey+"image_size", s.H, 1, maxImage); err != nil {
		return err
	}
	return inRange(visionKey+"image_width", s.W, 1, maxImage)
}

// Validate checks every hyper-parameter; the error names the GGUF key.
func (m *Model) Validate() error {
	if v := m.Vision; v != nil && v.Conv != nil {
		if err := v.validateConv(); err != nil {
			return err
		}
	} else if v != nil {
		if err := v.validate(visionKey); err != nil {
			return err
		}
		if err := v.Image.validate(); err != nil {
			return err
		}
		if err := inRange(visionKey+"patch_size", v.Patch, 1, min(v.Image.H, v.Image.W)); err != nil {
			return err
		}
		if v.NaFlex && v.Image.H != v.Image.W {
			return fmt.Errorf("%simage_size is %v, expected a square: the grid of positions that are resized for each picture", visionKey, v.Image)
		}
		if err := inRange(visionKey+"register_count", v.Registers, 0, 1024); err != nil {
			return err
		}
		switch v.Pooling {
		case PoolEOS, PoolArgmax, PoolLast, PoolAppended:
			return fmt.Errorf("%spooling is %q, which an image tower can't have", visionKey, v.Pooling)
		}
		if v.Pooling == PoolAttention {
			head := v.head()
			if err := head.validate(visionKey + "head."); err != nil {
				return err
			}
			if err := inRange(visionKey+"head.query_count", v.HeadQueries, 1, maxContext); err != nil {
				return err
			}
		}
		if q := v.Queries; q != nil {
			if err := q.validate(queriesKey); err != nil {
				return err
			}
			if err := inRange(queriesKey+"token_count", q.Tokens, 1, 1024); err != nil {
				return err
			}
			if err := inRange(queriesKey+"cross_attention_frequency", q.Every, 1, maxLayers); err != nil {
				return err
			}
		}
	}
	if t := m.Text; t != nil {
		if err := t.validate(textKey); err != nil {
			return err
		}
		if err := inRange(textKey+"vocabulary_size", t.Vocab, 1, maxVocab); err != nil {
			return err
		}
		if err := inRange(textKey+"context_length", t.Context, 1, maxContext); err != nil {
			return err
		}
		if err := inRange(textKey+"pooler_length", t.Pooler, 0, maxWidth); err != nil {
			return err
		}
		switch t.Pooling {
		case PoolMAP, PoolNone, PoolPatches, PoolAttention:
			return fmt.Errorf("%spooling is %q, which a text tower can't have", textKey, t.Pooling)
		}
		if t.CountWords && t.Pooling == PoolAppended {
			return fmt.Errorf("%spositions_count_words is set with pooling %q, which has positions of its own", textKey, t.Pooling)
		}
		if err := inRange(textKey+"skipped_tokens", t.Skip, 0, maxContext); err != nil {
			return err
		}
	}
	if m.Vision == nil && m.Text == nil {
		return fmt.Errorf("there is neither an image tower nor a text tower")
	}
	if v := float64(m.LogitScale); math.IsNaN(v) || math.Abs(v) > 80 {
		return fmt.Errorf("clip.logit_scale is %g, expected the logarithm of a factor, between -80 and 80", m.LogitScale)
	}
	if v := float64(m.LogitBias); math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Errorf("clip.logit_bias is %g, expected a finite number", m.LogitBias)
	}
	if m.Score != Softmax && m.Score != Sigmoid {
		return fmt.Errorf("clip.score is %q, expected softmax or sigmoid", m.Score)
	}
	return nil
}
