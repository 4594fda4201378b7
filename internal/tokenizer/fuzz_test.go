package tokenizer

import (
	"encoding/binary"
	"testing"
	"testing/fstest"
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
	for algorithm := byte(1); algorithm <= 4; algorithm++ {
		f.Add(smallSPM(algorithm))
	}
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
	f.Add(smallCharsmap(), "banana e\u0301\u0323 ﬁ\uff76\uff9e")
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
	for _, file := range []string{
		`{"model":{"type":"BPE","unk_token":"a","fuse_unk":true,"byte_fallback":true,"vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]},
		"normalizer":{"type":"Sequence","normalizers":[{"type":"NFD"},{"type":"StripAccents"},{"type":"Replace","pattern":{"String":" "},"content":"b"}]},
		"pre_tokenizer":{"type":"Split","pattern":{"String":"b"},"behavior":"MergedWithNext"},
		"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"a"}},{"Sequence":{"id":"A"}}],"special_tokens":{"a":{"ids":[0]}}},
		"added_tokens":[{"id":3,"content":"photo","lstrip":true,"single_word":true}]}`,
		`{"model":{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0],["▁a",-1.5],["o",-2]]},"pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"first"}}`,
		`{"model":{"type":"WordPiece","unk_token":"a","vocab":{"a":0,"##b":1}},"normalizer":{"type":"BertNormalizer","clean_text":true},"pre_tokenizer":{"type":"BertPreTokenizer"}}`,
	} {
		f.Add([]byte(`{}`), []byte(`{}`), []byte(``), []byte(`{"tokenizer_class":"TokenizersBackend"}`), []byte(file))
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

// smallSPM is a SentencePiece model of seven pieces.
func smallSPM(algorithm byte) []byte {
	var out []byte
	field := func(dst []byte, number byte, content []byte) []byte {
		return append(append(dst, number<<3|2, byte(len(content))), content...)
	}
	for i, piece := range []string{"<unk>", "</s>", "a", "▁a", "photo", "▁", "o"} {
		kind := []byte{2, 3, 1, 1, 4, 1, 5}[i]
		out = field(out, 1, append(field(nil, 1, []byte(piece)), 2<<3|5, 0, 0, byte(i), 0xC0, 3<<3, kind))
	}
	out = field(out, 2, []byte{3 << 3, algorithm})
	return field(out, 3, []byte{3 << 3, 1})
}

// smallCharsmap makes an X of every "a".
func smallCharsmap() []byte {
	units := make([]uint32, 256)
	for i := range units {
		units[i] = 1 << 31
	}
	units[0], units['a'] = 0, 'a'|256|1<<10
	out := binary.LittleEndian.AppendUint32(nil, 4*256)
	for _, unit := range units {
		out = binary.LittleEndian.AppendUint32(out, unit)
	}
	return append(out, 'X', 0)
}
