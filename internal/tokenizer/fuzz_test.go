package tokenizer

import (
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// FuzzEncode runs a text through tokenisers of every kind.
func FuzzEncode(f *testing.F) {
	tokenizers := []*Tokenizer{openAI(f), fromOpenCLIP(f, "lower")}
	for _, name := range []string{"bpe-fused", "bytelevel", "class-bert", "class-gemma", "class-siglip", "class-tipsv2", "class-xlmr", "spm-bpe-user", "spm-suffix", "unigram"} {
		tokenizers = append(tokenizers, fromSample(f, name))
	}
	f.Add("a photo of a <|endoftext|>'s \xe2\x82 e\u0301\u0301", 5)
	f.Add("<mask> the cat\r\n[SEP]  &copy;\uff76\uff9e</s>", 0)
	f.Fuzz(func(t *testing.T, text string, maxLen int) {
		for _, tok := range tokenizers {
			ids, truncated := tok.EncodeTo(text, maxLen)
			if maxLen > 0 && len(ids) > maxLen || truncated && maxLen <= 0 {
				t.Fatalf("%d ids of %d, truncated %v", len(ids), maxLen, truncated)
			}
			for _, id := range ids {
				if id < 0 || int(id) >= len(tok.Spec().Tokens) {
					t.Fatalf("id %d is outside the vocabulary", id)
				}
			}
		}
	})
}

// FuzzSPM reads models and encodes with those that are accepted.
func FuzzSPM(f *testing.F) {
	for _, name := range []string{"spm-bpe-user", "spm-suffix"} {
		data, err := os.ReadFile(filepath.Join("testdata", name, "spiece.model"))
		require.NoError(f, err)
		f.Add(data)
	}
	f.Add([]byte{0x0A, 0x03, 0x0A, 0x01, 'a', 0x12, 0x02, 0x18, 0x02})
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseSPM(data)
		if err != nil {
			return
		}
		spec, err := m.spec()
		if err != nil {
			return
		}
		if tok, err := New(spec); err == nil {
			tok.EncodeTo("a photo of  Ünïcode ﬁ\uff76\uff9e</s>", 8)
		}
	})
}

func FuzzCharsmap(f *testing.F) {
	m, err := os.ReadFile(filepath.Join("testdata", "class-siglip", "spiece.model"))
	require.NoError(f, err)
	parsed, err := parseSPM(m)
	require.NoError(f, err)
	f.Add(parsed.charsmap, "e\u0301\u0323 ﬁ\uff76\uff9e")
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		m, err := newCharsmap(data)
		if err != nil {
			return
		}
		m.byGrapheme(text)
		for ; text != ""; text = text[1:] {
			m.prefix(text, false)
		}
	})
}

func FuzzFromHF(f *testing.F) {
	f.Add([]byte(`{"model_type":"clip"}`), []byte(`{"a":0,"b</w>":1,"ab</w>":2}`), []byte("a b</w>"), []byte(`{"pad_token":"<|endoftext|>"}`), []byte(``))
	f.Add([]byte(`{}`), []byte(``), []byte(``), []byte(`{"tokenizer_class":"CLIPTokenizer"}`), []byte(`{"model":{"vocab":{"a":0},"merges":[["a","a"]]},"added_tokens":[{"id":0,"content":"a"}]}`))
	for _, name := range []string{"bpe-fused", "unigram"} {
		var data [2][]byte
		for i, file := range []string{"config.json", "tokenizer.json"} {
			var err error
			data[i], err = os.ReadFile(filepath.Join("testdata", name, file))
			require.NoError(f, err)
		}
		f.Add(data[0], []byte(`{}`), []byte(``), []byte(`{"tokenizer_class":"TokenizersBackend"}`), data[1])
	}
	f.Fuzz(func(t *testing.T, config, vocab, merges, tokenizerConfig, tokenizer []byte) {
		files := fstest.MapFS{"config.json": {Data: config}, "vocab.json": {Data: vocab}, "merges.txt": {Data: merges}, "tokenizer_config.json": {Data: tokenizerConfig}}
		if len(tokenizer) > 0 {
			files["tokenizer.json"] = &fstest.MapFile{Data: tokenizer}
		}
		spec, err := FromHF(files)
		if err != nil {
			return
		}
		if tok, err := New(spec); err == nil {
			tok.EncodeTo("a photo of <|endoftext|> Ünïcode", 8)
		}
	})
}

func FuzzParsePipeline(f *testing.F) {
	f.Add(clipPipelineJSON())
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePipeline(text)
		if err != nil {
			return
		}
		spec := tiny()
		spec.Pipeline = p
		if tok, err := New(spec); err == nil {
			tok.EncodeTo("a photo of <|endoftext|> Ünïcode", 8)
		}
	})
}

func clipPipelineJSON() string { return clipPipeline().JSON() }
