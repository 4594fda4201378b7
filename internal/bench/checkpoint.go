package bench

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/arch"
	"github.com/clipgo/clipgo/internal/preprocess"
	"github.com/clipgo/clipgo/internal/tokenizer"
	"github.com/clipgo/clipgo/internal/tokenkeys"
	"github.com/clipgo/clipgo/quantize"
)

const (
	// tile is how many random numbers repeat through the tensors. It is a multiple of every block's size, and no rows of
	// the shapes fit it a whole number of times, so that neighbouring rows differ.
	tile = 257 * 256
	// deviation of the weights: about what models are initialised with, so that activations stay of the order of 1.
	deviation = 0.02
)

// Write writes a GGUF file of one tower with random weights of the types that the policy gives them.
func (s Shape) Write(w io.Writer, tower Tower, policy *quantize.Policy) error {
	return s.write(w, gguf.NewWriter(), s.alone(tower), policy)
}

// WriteCLIP writes both towers of a CLIP, with CLIP's tokeniser and its way of preparing pictures, so that
// the file does for every command.
func (s Shape) WriteCLIP(w io.Writer, policy *quantize.Policy) error {
	if s.Family != "clip" {
		return fmt.Errorf("%s has no tokeniser here, expected a CLIP", s.Name)
	}
	tokens, err := tokenizer.OpenAICLIP()
	if err != nil {
		return err
	}
	file := gguf.NewWriter()
	if err := tokenkeys.Write(file, &tokens); err != nil {
		return err
	}
	side := s.Model.Vision.Image.H
	pixels, err := preprocess.ParseHF(fmt.Appendf(nil, `{"size": %d, "crop_size": %d}`, side, side), s.Family)
	if err != nil {
		return err
	}
	for _, kv := range pixels.Keys() {
		if err := file.Set(kv.Key, kv.Value); err != nil {
			return err
		}
	}
	return s.write(w, file, &s.Model, policy)
}

func (s Shape) write(w io.Writer, file *gguf.Writer, model *arch.Model, policy *quantize.Policy) error {
	family, err := arch.FamilyOf(s.Family)
	if err != nil {
		return err
	}
	if err := model.WriteKeys(file); err != nil {
		return err
	}
	for _, t := range family.Tensors(model) {
		typ, _ := policy.TypeFor(t.Name, t.Dims)
		if err := file.AddTensor(t.Name, typ, t.Dims); err != nil {
			return err
		}
	}
	noise := newNoise()
	return file.Write(w, func(t gguf.TensorInfo, w io.Writer) error {
		values, err := noise.of(t)
		for left := t.Bytes; left > 0 && err == nil; left -= int64(len(values)) {
			_, err = w.Write(values[:min(left, int64(len(values)))])
		}
		return err
	})
}

// noise is random weights as blocks of each type.
type noise struct {
	values []float32
	blocks map[string][]byte
}

func newNoise() *noise {
	random := rand.New(rand.NewPCG(1, 2))
	n := &noise{make([]float32, tile), map[string][]byte{}}
	for i := range n.values {
		n.values[i] = float32(random.NormFloat64() * deviation)
	}
	return n
}

// of returns a tile for a tensor. Gains of norms are about 1.
func (n *noise) of(t gguf.TensorInfo) ([]byte, error) {
	key, mean := t.Type.String(), float32(0)
	if len(t.Dims) == 1 && strings.HasSuffix(t.Name, ".weight") {
		key, mean = "gain", 1
	}
	if blocks, ok := n.blocks[key]; ok {
		return blocks, nil
	}
	if mean != 0 {
		gains := make([]byte, 0, 4*tile)
		for _, v := range n.values {
			gains = binary.LittleEndian.AppendUint32(gains, math.Float32bits(mean+v))
		}
		n.blocks[key] = gains
		return gains, nil
	}
	bytes, err := t.Type.RowBytes(tile)
	if err != nil {
		return nil, err
	}
	blocks := make([]byte, bytes)
	if err := quantize.Quantize(blocks, n.values, t.Type, tile, nil); err != nil {
		return nil, err
	}
	n.blocks[key] = blocks
	return blocks, nil
}
