// Package tokenkeys keeps a tokeniser in the keys of a GGUF file: the vocabulary under GGML's names, and what those can't
// say as JSON in clip.tokenizer.pipeline.
package tokenkeys

import (
	"fmt"

	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/tokenizer"
)

const (
	keyModel    = "tokenizer.ggml.model"
	keyTokens   = "tokenizer.ggml.tokens"
	keyTypes    = "tokenizer.ggml.token_type"
	keyMerges   = "tokenizer.ggml.merges"
	keyScores   = "tokenizer.ggml.scores"
	keyBOS      = "tokenizer.ggml.bos_token_id"
	keyEOS      = "tokenizer.ggml.eos_token_id"
	keyPad      = "tokenizer.ggml.padding_token_id"
	keyUnk      = "tokenizer.ggml.unknown_token_id"
	keyPipeline = "clip.tokenizer.pipeline"
)

// Write sets the keys of a tokeniser.
func Write(w *gguf.Writer, s *tokenizer.Spec) error {
	var err error
	set := func(key string, value any) {
		if err == nil {
			err = w.Set(key, value)
		}
	}
	set(keyModel, string(s.Kind))
	set(keyTokens, s.Tokens)
	if len(s.Types) > 0 {
		types := make([]int32, len(s.Types))
		for i, t := range s.Types {
			types[i] = int32(t)
		}
		set(keyTypes, types)
	}
	if len(s.Merges) > 0 {
		set(keyMerges, s.Merges)
	}
	if len(s.Scores) > 0 {
		set(keyScores, narrow(s.Scores))
	}
	for _, special := range []struct {
		key string
		id  int32
	}{{keyBOS, s.BOS}, {keyEOS, s.EOS}, {keyPad, s.Pad}, {keyUnk, s.Unk}} {
		if special.id != tokenizer.None {
			set(special.key, uint32(special.id))
		}
	}
	set(keyPipeline, s.Pipeline.JSON())
	return err
}

// Read returns the tokeniser that a file holds; tokenizer.New checks it. Files by clip.cpp have CLIP's tokens without its merges,
// which are known: they get CLIP's own table, if it is theirs.
func Read(f *gguf.File) (tokenizer.Spec, error) {
	s, err := read(f)
	if err != nil {
		return s, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return s, nil
}

// Kind returns which algorithm a file's tokeniser has, "" for a file without one.
func Kind(f *gguf.File) (tokenizer.Kind, error) {
	kind, err := f.StringOr(keyModel, "")
	return tokenizer.Kind(kind), err
}

func read(f *gguf.File) (tokenizer.Spec, error) {
	tokens, err := f.Strings(keyTokens)
	if err != nil {
		return tokenizer.Spec{}, err
	}
	pipeline, err := f.StringOr(keyPipeline, "")
	if err != nil {
		return tokenizer.Spec{}, err
	}
	if pipeline == "" {
		return readForeign(tokens)
	}
	s := tokenizer.Spec{Tokens: tokens}
	if s.Pipeline, err = tokenizer.ParsePipeline(pipeline); err != nil {
		return s, err
	}
	kind, err := f.String(keyModel)
	if err != nil {
		return s, err
	}
	s.Kind = tokenizer.Kind(kind)
	if s.Merges, err = f.StringsOr(keyMerges, nil); err != nil {
		return s, err
	}
	if s.Scores, err = readScores(f); err != nil {
		return s, err
	}
	types, err := f.IntsOr(keyTypes, nil)
	if err != nil {
		return s, err
	}
	for _, t := range types {
		s.Types = append(s.Types, tokenizer.TokenType(t))
	}
	for _, special := range []struct {
		key string
		id  *int32
	}{{keyBOS, &s.BOS}, {keyEOS, &s.EOS}, {keyPad, &s.Pad}, {keyUnk, &s.Unk}} {
		id, err := f.IntOr(special.key, int64(tokenizer.None))
		if err != nil {
			return s, err
		}
		if id < -1 || id >= int64(len(tokens)) {
			return s, fmt.Errorf("%s is %d, expected an id of the %d tokens", special.key, id, len(tokens))
		}
		*special.id = int32(id)
	}
	return s, nil
}

// narrow returns scores as float32, as other programs store them, where that loses nothing.
func narrow(scores []float64) any {
	short := make([]float32, len(scores))
	for i, x := range scores {
		short[i] = float32(x)
		if float64(short[i]) != x {
			return scores
		}
	}
	return short
}

func readScores(f *gguf.File) ([]float64, error) {
	if !f.Has(keyScores) {
		return nil, nil
	}
	v, err := f.Value(keyScores)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case []float64:
		return v, nil
	case []float32:
		scores := make([]float64, len(v))
		for i, x := range v {
			scores[i] = float64(x)
		}
		return scores, nil
	}
	return nil, fmt.Errorf("%s is a %T, expected an array of float32 or float64", keyScores, v)
}

// readForeign returns the tokeniser of a file that has only tokens: CLIP's, if they are CLIP's tokens.
func readForeign(tokens []string) (tokenizer.Spec, error) {
	s, err := tokenizer.OpenAICLIP()
	if err != nil {
		return s, err
	}
	if len(tokens) != len(s.Tokens) {
		return s, fmt.Errorf("%s has %d tokens and no merges, and is not CLIP's vocabulary of %d: texts can't be tokenised; "+
			"convert the original checkpoint instead", keyTokens, len(tokens), len(s.Tokens))
	}
	for i, token := range s.Tokens {
		if tokens[i] != token {
			return s, fmt.Errorf("%s: token %d is %.60q, expected CLIP's %.60q: without merges another vocabulary can't be used; "+
				"convert the original checkpoint instead", keyTokens, i, tokens[i], token)
		}
	}
	return s, nil
}

// ReadCrispEmbed returns the tokeniser in the text half of a CrispEmbed model: CLIP's class with the file's own merges, or
// SigLIP's with the pieces and scores of a SentencePiece model.
func ReadCrispEmbed(f *gguf.File) (tokenizer.Spec, error) {
	s, err := readCrispEmbed(f)
	if err != nil {
		return s, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return s, nil
}

func readCrispEmbed(f *gguf.File) (tokenizer.Spec, error) {
	tokens, err := f.Strings(keyTokens)
	if err != nil {
		return tokenizer.Spec{}, err
	}
	const sentencePiece = 2
	kind, err := f.IntOr("tokenizer.ggml.type", 1)
	if err != nil {
		return tokenizer.Spec{}, err
	}
	if kind == sentencePiece {
		scores, err := readScores(f)
		if err != nil {
			return tokenizer.Spec{}, err
		}
		return tokenizer.FromPieces(tokens, scores)
	}
	merges, err := f.StringsOr(keyMerges, nil)
	if err != nil {
		return tokenizer.Spec{}, err
	}
	if len(merges) == 0 {
		return readForeign(tokens)
	}
	return tokenizer.FromMerges(tokens, merges)
}
