package tokenizer

import (
	"bytes"
	"compress/gzip"
	_ "embed" // CLIP's table
	"fmt"
	"io"
	"strings"
	"sync"
)

const (
	clipStart = "<|startoftext|>"
	clipEnd   = "<|endoftext|>"
	// clipMerges is how many merges CLIP takes of its table, from the second line on: 49,408 tokens less 512 symbols
	// and two special ones.
	clipMerges  = 48894
	clipContext = 77
)

// clipTable is bpe_simple_vocab_16e6.txt.gz of OpenAI's CLIP (MIT, see LICENSE.openai-clip).
//
//go:embed bpe_simple_vocab_16e6.txt.gz
var clipTable []byte

// OpenAICLIP returns the tokeniser of OpenAI's CLIP, for checkpoints that bring none. Its ids are those of
// transformers' CLIPTokenizer. The slices are shared and must not be changed.
func OpenAICLIP() (Spec, error) { return openAICLIP() }

var openAICLIP = sync.OnceValues(func() (Spec, error) {
	z, err := gzip.NewReader(bytes.NewReader(clipTable))
	if err != nil {
		return Spec{}, fmt.Errorf("reading CLIP's embedded vocabulary: %w", err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		return Spec{}, fmt.Errorf("reading CLIP's embedded vocabulary: %w", err)
	}
	lines := strings.SplitN(string(text), "\n", clipMerges+2)
	spec := Spec{Kind: BPE, Merges: lines[1 : clipMerges+1], Pipeline: clipPipeline()}

	// Printable bytes come first in CLIP's alphabet, in their own order; the others follow.
	var alphabet []string
	for _, printable := range []bool{true, false} {
		for b, r := range byteRunes {
			if printable == (int(r) == b) {
				alphabet = append(alphabet, string(r))
			}
		}
	}
	spec.Tokens = append(spec.Tokens, alphabet...)
	for _, symbol := range alphabet {
		spec.Tokens = append(spec.Tokens, symbol+clipEndOfWord)
	}
	for _, merge := range spec.Merges {
		spec.Tokens = append(spec.Tokens, strings.Replace(merge, " ", "", 1))
	}
	start := int32(len(spec.Tokens))
	spec.Tokens = append(spec.Tokens, clipStart, clipEnd)
	spec.BOS, spec.EOS, spec.Pad, spec.Unk = start, start+1, start+1, start+1
	p := &spec.Pipeline
	p.Added = []AddedToken{{ID: start, Content: clipStart, Special: true}, {ID: start + 1, Content: clipEnd, Special: true}}
	p.Before, p.After = []int32{start}, []int32{start + 1}
	p.MaxLength, p.Mask = clipContext, true
	return spec, nil
})

const clipEndOfWord = "</w>"

// clipPipeline is what CLIPTokenizer does to a text.
func clipPipeline() Pipeline {
	return Pipeline{
		EndOfWord: clipEndOfWord,
		Normalizers: []Step{
			{Type: "NFC"},
			{Type: "Replace", Regex: `\s+`, Content: " "},
			{Type: "Lowercase"},
		},
		PreTokenizers: []Step{
			{Type: "Split", Regex: clipWord, Behavior: "Removed", Invert: true},
			{Type: "ByteLevel", UseRegex: true},
		},
	}
}
