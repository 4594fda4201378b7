package tokenizer

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"
)

// tiny is a byte-level BPE that knows every byte and the word "cat".
func tiny() Spec {
	spec := Spec{Kind: BPE, Pipeline: clipPipeline()}
	for _, r := range byteRunes {
		spec.Tokens = append(spec.Tokens, string(r), string(r)+clipEndOfWord)
	}
	spec.Tokens = append(spec.Tokens, "ca", "cat</w>", clipStart, clipEnd)
	spec.Merges = []string{"c a", "ca t</w>"}
	n := int32(len(spec.Tokens))
	spec.BOS, spec.EOS, spec.Pad, spec.Unk = n-2, n-1, n-1, n-1
	p := &spec.Pipeline
	p.Added = []AddedToken{{ID: n - 2, Content: clipStart, Special: true}, {ID: n - 1, Content: clipEnd, Special: true}}
	p.Before, p.After = []int32{n - 2}, []int32{n - 1}
	return spec
}

// TestHostileSpec names the attacks of a vocabulary: ids outside of it, tokens that come twice, merges of unknown ones.
func TestHostileSpec(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Spec)
		want   string
	}{
		"empty":                     {func(s *Spec) { s.Tokens = nil }, "vocabulary is empty"},
		"duplicate token":           {func(s *Spec) { s.Tokens[7] = s.Tokens[3] }, "token 7 repeats token 3"},
		"merge of an unknown token": {func(s *Spec) { s.Merges[1] = "ca zzz" }, `merge 1, "ca zzz"`},
		"merge into unknown":        {func(s *Spec) { s.Merges[1] = "c t" }, "merge 1"},
		"merge of one token":        {func(s *Spec) { s.Merges[0] = "c" }, "merge 0"},
		"empty merge":               {func(s *Spec) { s.Merges[0] = "" }, "merge 0"},
		"end id too large":          {func(s *Spec) { s.EOS = int32(len(s.Tokens)) }, "the end token has id"},
		"padding id negative":       {func(s *Spec) { s.Pad = -2 }, "the padding token has id -2"},
		"unknown id too large":      {func(s *Spec) { s.Unk = 1 << 30 }, "the unknown token has id"},
		"template id":               {func(s *Spec) { s.Pipeline.After = []int32{9999} }, "the template has id 9999"},
		"added id":                  {func(s *Spec) { s.Pipeline.Added[0].ID = -1 }, "added token"},
		"added without text":        {func(s *Spec) { s.Pipeline.Added[0].Content = "" }, "expected text"},
		"added not UTF-8":           {func(s *Spec) { s.Pipeline.Added[0].Content = "\xff" }, "expected text"},
		"types":                     {func(s *Spec) { s.Types = []TokenType{Normal} }, "1 token types for"},
		"type":                      {func(s *Spec) { s.Types = make([]TokenType, len(s.Tokens)) }, "has type 0"},
		"scores":                    {func(s *Spec) { s.Scores = []float64{1} }, "1 scores for"},
		"kind":                      {func(s *Spec) { s.Kind = "gpt" }, `unknown kind "gpt"`},
		"normaliser":                {func(s *Spec) { s.Pipeline.Normalizers[0].Type = "Shout" }, `normaliser 1: type "Shout"`},
		"pre-tokeniser":             {func(s *Spec) { s.Pipeline.PreTokenizers[0].Type = "Chop" }, `pre-tokeniser 1: type "Chop"`},
		"regular expression":        {func(s *Spec) { s.Pipeline.PreTokenizers[0].Regex = "(a+)+$" }, `"(a+)+$" is not one`},
		"behaviour":                 {func(s *Spec) { s.Pipeline.PreTokenizers[0].Behavior = "Eaten" }, `behavior "Eaten"`},
		"byte level not last": {func(s *Spec) {
			s.Pipeline.PreTokenizers = append(s.Pipeline.PreTokenizers, Step{Type: "WhitespaceSplit"})
		}, "expected last"},
		"too many steps":  {func(s *Spec) { s.Pipeline.Normalizers = make([]Step, 1000) }, "1000 normalisers"},
		"negative length": {func(s *Spec) { s.Pipeline.PadTo = -1 }, "negative length"},
		"giant token":     {func(s *Spec) { s.Tokens[0] = strings.Repeat("x", maxTokenBytes+1) }, "token 0 has"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := tiny()
			c.change(&spec)
			_, err := New(spec)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "\n")
		})
	}
	_, err := New(tiny())
	require.NoError(t, err)
}

// TestHugeWord: a megabyte without a space must not cost its square.
func TestHugeWord(t *testing.T) {
	tok := openAI(t)
	for name, text := range map[string]string{
		"letters":     strings.Repeat("a", 1<<20),
		"punctuation": strings.Repeat("!", 1<<20),
		"marks":       "e" + strings.Repeat("\u0301", 1<<19),
		"added":       strings.Repeat("<|", 1<<19),
		"spaces":      strings.Repeat(" \u3000", 1<<18),
	} {
		start := time.Now()
		ids, truncated := tok.EncodeTo(text, 77)
		require.LessOrEqual(t, len(ids), 77, name)
		require.Equal(t, name != "spaces", truncated, name)
		require.Less(t, time.Since(start), 20*time.Second, name) // some 0.2 s on an idle core
	}
}

// TestLongWordsLikeShort: the queue gives what looking at every pair gives.
func TestLongWordsLikeShort(t *testing.T) {
	tok := openAI(t)
	b := tok.model.(*bpe)
	for _, line := range readGoldens(t, "testdata/clip.jsonl.gz")[:400] {
		word := strings.Join(strings.Fields(line.text), "")
		if word == "" {
			continue
		}
		short, long := new(bpeScratch), new(bpeScratch)
		short.ids, long.ids = b.symbols(nil, word), b.symbols(nil, word)
		require.Equal(t, b.mergeShort(nil, short), b.mergeLong(nil, long), word)
	}
}

// TestInvalidUTF8 holds what Python 3.11's bytes.decode("utf-8", "replace") gives.
func TestInvalidUTF8(t *testing.T) {
	for in, want := range map[string]string{
		"a\xffb":               "a\ufffdb",
		"\xff\xfe":             "\ufffd\ufffd",
		"\xe2\x82":             "\ufffd",
		"\xe2\x82x":            "\ufffdx",
		"\xe2\x28\xa1":         "\ufffd(\ufffd",
		"\xf0\x9f\x98":         "\ufffd",
		"\xf0\x80\x80\x80":     "\ufffd\ufffd\ufffd\ufffd",
		"\xed\xa0\x80":         "\ufffd\ufffd\ufffd",
		"\xf4\x90\x80\x80":     "\ufffd\ufffd\ufffd\ufffd",
		"\xc0\xaf":             "\ufffd\ufffd",
		"\xe0\x9f\x80":         "\ufffd\ufffd\ufffd",
		"\xf0\x9f\x98\x80\x80": "\U0001f600\ufffd",
	} {
		require.Equal(t, want, validUTF8(in), "%+q", in)
	}
	tok := openAI(t)
	require.Equal(t, tok.Encode("a\ufffdb"), tok.Encode("a\xffb"))
}

func TestConcurrent(t *testing.T) {
	tok := openAI(t)
	lines := readGoldens(t, "testdata/clip.jsonl.gz")[:300]
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for i := range lines {
				line := lines[(i*7+worker)%len(lines)]
				if got := tok.Encode(line.text); fmt.Sprint(got) != fmt.Sprint(line.ids) {
					t.Errorf("%+q", line.text)
				}
			}
		})
	}
	group.Wait()
}

// TestPipelineJSON: a pipeline survives its JSON, and nothing unknown is let in.
func TestPipelineJSON(t *testing.T) {
	spec := tiny()
	p, err := ParsePipeline(spec.Pipeline.JSON())
	require.NoError(t, err)
	require.Equal(t, spec.Pipeline, p)
	_, err = ParsePipeline(`{"mask":true,"shout":1}`)
	require.ErrorContains(t, err, "shout")
}

// TestHostileFiles: errors name the file and the field.
func TestHostileFiles(t *testing.T) {
	const vocab, merges = `{"a":0,"b</w>":1,"ab</w>":2,"<|startoftext|>":3,"<|endoftext|>":4}`, "#version: 0.2\na b</w>\n"
	good := func() fstest.MapFS {
		return fstest.MapFS{
			"config.json": {Data: []byte(`{"model_type":"clip"}`)},
			"vocab.json":  {Data: []byte(vocab)},
			"merges.txt":  {Data: []byte(merges)},
		}
	}
	spec, err := FromHF(good())
	require.NoError(t, err)
	tok, err := New(spec)
	require.NoError(t, err)
	require.Equal(t, []int32{3, 2, 4}, tok.Encode("AB"))

	for name, c := range map[string]struct{ file, data, want string }{
		"not JSON":          {"vocab.json", `{"a":`, "vocab.json: "},
		"a list":            {"vocab.json", `[["a",1],["a",2]]`, "repeats"},
		"a number":          {"vocab.json", `7`, "expected an object or a list"},
		"duplicate":         {"vocab.json", `{"a":0,"a":1}`, `token "a" comes twice`},
		"same id":           {"vocab.json", `{"a":0,"b":0}`, "have the same id 0"},
		"negative id":       {"vocab.json", `{"a":-1}`, "has id -1"},
		"huge id":           {"vocab.json", `{"a":2000000000}`, "greatest id is 2000000000"},
		"id no number":      {"vocab.json", `{"a":"x"}`, `the id of "a"`},
		"merge unknown":     {"merges.txt", "a c</w>\n", "merges.txt"},
		"merge of three":    {"merges.txt", "a b c\n", "line 1"},
		"class":             {"tokenizer_config.json", `{"tokenizer_class":"EvilTokenizer"}`, `"EvilTokenizer" is not supported`},
		"special no text":   {"tokenizer_config.json", `{"bos_token":7}`, "tokenizer_config.json: bos_token"},
		"no start":          {"tokenizer_config.json", `{"bos_token":null}`, "no token for the start"},
		"added key":         {"tokenizer_config.json", `{"added_tokens_decoder":{"x":{"content":"a"}}}`, `key "x"`},
		"added null":        {"tokenizer_config.json", `{"added_tokens_decoder":{"3":null}}`, "added_tokens_decoder.3 is null"},
		"config no object":  {"config.json", `[]`, "config.json: "},
		"tokenizer.json":    {"tokenizer.json", `{"model":{"vocab":{},"merges":[["a"]]}}`, "tokenizer.json: merges: entry 0"},
		"merges no list":    {"tokenizer.json", `{"model":{"vocab":{},"merges":"a b"}}`, "expected a list"},
		"tokenizer.json []": {"tokenizer.json", `{"model":{"vocab":[["a","b"]]}}`, "tokenizer.json: vocab: entry 0"},
	} {
		t.Run(name, func(t *testing.T) {
			files := good()
			files[c.file] = &fstest.MapFile{Data: []byte(c.data)}
			spec, err := FromHF(files)
			if err == nil {
				_, err = New(spec)
			}
			if name == "merge unknown" {
				require.ErrorContains(t, err, "merge 0")
				return
			}
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "\n")
		})
	}

	_, err = FromHF(fstest.MapFS{"config.json": {Data: []byte(`{"model_type":"clip"}`)}})
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "vocab.json")
}

// TestHostileSPM: a SentencePiece model is protobuf from outside.
func TestHostileSPM(t *testing.T) {
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":                 {nil, "no pieces"},
		"text":                  {[]byte("this is no model"), "wire type"},
		"cut off":               {[]byte{0x0A, 0x05, 0x0A}, "has 5 bytes"},
		"length over 2^63":      {[]byte{0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01}, "field 1 has"},
		"broken number":         {[]byte{0x80}, "broken field number"},
		"group":                 {[]byte{0x0B}, "wire type 3"},
		"score cut off":         {[]byte{0x0A, 0x02, 0x15, 0x00}, "piece 0: byte 0: field 2 is cut off"},
		"type 9":                {[]byte{0x0A, 0x02, 0x18, 0x09}, "piece 0: type 9"},
		"trainer cut off":       {[]byte{0x0A, 0x00, 0x12, 0x01, 0x18}, "trainer_spec"},
		"normalizer is cut off": {[]byte{0x0A, 0x00, 0x1A, 0x02, 0x12, 0x7F}, "normalizer_spec"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseSPM(c.data)
			require.ErrorContains(t, err, c.want)
		})
	}
	m, err := parseSPM([]byte{0x0A, 0x03, 0x0A, 0x01, 'a', 0x12, 0x02, 0x18, 0x03})
	require.NoError(t, err)
	_, err = m.spec()
	require.ErrorContains(t, err, "model_type is 3")
}

func TestHostileCharsmap(t *testing.T) {
	for name, data := range map[string][]byte{
		"three bytes":    {1, 2, 3},
		"no trie":        {0, 0, 0, 0},
		"size 3":         {3, 0, 0, 0, 1, 2, 3},
		"size too large": {0xFC, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0},
		"long text":      append([]byte{4, 0, 0, 0, 0, 0, 0, 0}, strings.Repeat("x", maxReplacement+1)...),
	} {
		_, err := newCharsmap(data)
		require.ErrorContains(t, err, "charsmap", name)
	}
	// Every unit points outside.
	m, err := newCharsmap(append([]byte{8, 0, 0, 0}, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0x7F, 'x'))
	require.NoError(t, err)
	require.Equal(t, "abc", m.byGrapheme("abc"))
}

// TestHostileModels: what a kind needs must be there.
func TestHostileModels(t *testing.T) {
	base := func(kind Kind) Spec {
		return Spec{Kind: kind, Tokens: []string{"<unk>", "a", "▁b"}, Scores: []float64{0, -1, -2}, BOS: None, EOS: None, Pad: None, Unk: 0}
	}
	for _, kind := range []Kind{Unigram, WordPiece, SentencePieceUnigram, SentencePieceBPE} {
		spec := base(kind)
		_, err := New(spec)
		require.NoError(t, err)
		spec.Unk = None
		_, err = New(spec)
		require.ErrorContains(t, err, "needs an unknown token")
		spec = base(kind)
		spec.Merges = []string{"a a"}
		_, err = New(spec)
		require.ErrorContains(t, err, "has no merges")
	}
	for _, kind := range []Kind{Unigram, SentencePieceUnigram, SentencePieceBPE} {
		spec := base(kind)
		spec.Scores = spec.Scores[:2]
		_, err := New(spec)
		require.ErrorContains(t, err, "2 scores for 3 tokens")
		spec = base(kind)
		spec.Scores[1] = math.NaN()
		_, err = New(spec)
		require.ErrorContains(t, err, "the score of token 1 is NaN")
	}
	spec := base(Unigram)
	for range 20 {
		spec.Pipeline.Normalizers = append(spec.Pipeline.Normalizers, Step{Type: "Replace", Pattern: "a", Content: "aa"})
	}
	_, err := New(spec)
	require.ErrorContains(t, err, "times as long")
	for _, step := range []Step{{Type: "Metaspace", Replacement: "xx", Prepend: "always"}, {Type: "Metaspace", Replacement: "x"}, {Type: "Split", Behavior: "Removed"},
		{Type: "Split", Pattern: "a", Behavior: "Isolate"}, {Type: "Split", Pattern: "a", Behavior: "Contiguous", Invert: true}, {Type: "Punctuation"}} {
		spec := base(Unigram)
		spec.Pipeline.PreTokenizers = []Step{step}
		_, err := New(spec)
		require.ErrorContains(t, err, "pre-tokeniser 1: ")
	}
	for _, step := range []Step{{Type: "Replace"}, {Type: "Replace", Regex: "x*"}, {Type: "Precompiled", Charsmap: []byte{1}}, {Type: "SentencePiece", Charsmap: []byte{1}}} {
		spec := base(Unigram)
		spec.Pipeline.Normalizers = []Step{step}
		_, err := New(spec)
		require.ErrorContains(t, err, "normaliser 1: ")
	}
}

// TestHugeTexts: no kind may need the square of a long text.
func TestHugeTexts(t *testing.T) {
	for _, name := range []string{"class-gemma", "class-siglip", "class-tipsv2", "class-xlmr", "class-bert", "spm-bpe-user", "unigram"} {
		tok := fromSample(t, name)
		for _, unit := range []string{"a", "▁", "e\u0301\u0323", "猫", "\U00010400", " ", "&amp;"} {
			start := time.Now()
			ids, _ := tok.EncodeTo(strings.Repeat(unit, 1<<18/len(unit)), 64)
			require.LessOrEqual(t, len(ids), 64)
			require.Less(t, time.Since(start), 20*time.Second, "%s %q", name, unit)
		}
	}
}

// fromSample makes the tokeniser of a folder of testdata.
func fromSample(t testing.TB, name string) *Tokenizer {
	dir := filepath.Join("testdata", name)
	if _, err := os.Stat(filepath.Join(dir, "config.json")); err != nil {
		return fromSPM(t, filepath.Join(dir, "spiece.model"))
	}
	return fromFolder(t, dir)
}

// TestHugeWordOfEveryKind: a letter again and again, random letters, ideographs and marks must not cost their square either.
func TestHugeWordOfEveryKind(t *testing.T) {
	random := make([]byte, 100_000)
	state := uint32(1)
	for i := range random {
		state = state*1664525 + 1013904223
		random[i] = 'a' + byte(state>>24)%26
	}
	for name, tok := range map[string]*Tokenizer{
		"clip": openAI(t), "gemma": fromFolder(t, "testdata/class-gemma"), "spm-bpe": fromSPM(t, "testdata/spm-bpe-user/spiece.model"),
		"unigram": fromFolder(t, "testdata/class-xlmr"), "bert": fromFolder(t, "testdata/class-bert"),
	} {
		for _, word := range []string{strings.Repeat("a", 100_000), string(random), strings.Repeat("\u4e00", 33_000), strings.Repeat("e\u0301", 33_000)} {
			start := time.Now()
			require.NotEmpty(t, tok.Encode(word), name)
			require.Less(t, time.Since(start), 20*time.Second, "%s: %.10q", name, word) // a tenth of a second on a machine at rest
		}
	}
}

// TestLettersAreNoMarks: x/text breaks no run of letters off, other than those that longMarks knows.
func TestLettersAreNoMarks(t *testing.T) {
	const joiner = "\u034f" // what x/text puts between too many marks
	for r := range rune(utf8.MaxRune) {
		if !utf8.ValidRune(r) || likeJamo(r) || classOf(r) != classLetter {
			continue
		}
		s := strings.Repeat(string(r), 40)
		for _, form := range []norm.Form{norm.NFC, norm.NFD, norm.NFKC, norm.NFKD} {
			if !form.IsNormalString(s) {
				require.NotContains(t, form.String(s), joiner, "%U", r)
			}
		}
	}
}

// TestExtraTokens: a list of extra tokens takes the place of the additional ones, an object comes before them (transformers 5.23).
func TestExtraTokens(t *testing.T) {
	vocab := `{"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "<|startoftext|>": 2, "<|endoftext|>": 3}, "merges": []}}`
	for config, want := range map[string][]string{
		`"additional_special_tokens": ["<x>", "<y>"]`:                                                               {"<x>", "<y>"},
		`"additional_special_tokens": ["<x>"], "extra_special_tokens": ["<y>"]`:                                     {"<y>"},
		`"additional_special_tokens": ["<x>"], "extra_special_tokens": []`:                                          nil,
		`"additional_special_tokens": ["<x>"], "extra_special_tokens": {"u_token": "<y>", "a": {"content": "<z>"}}`: {"<y>", "<z>", "<x>"},
		`"additional_special_tokens": null, "extra_special_tokens": null`:                                           nil,
	} {
		spec, err := FromHF(fstest.MapFS{
			"config.json":           {Data: []byte(`{"model_type": "clip"}`)},
			"tokenizer.json":        {Data: []byte(vocab)},
			"tokenizer_config.json": {Data: []byte("{" + config + "}")},
		})
		require.NoError(t, err, config)
		require.Equal(t, want, append([]string(nil), spec.Tokens[4:]...), config)
	}
}

// TestRowsOfOneLengthAreCut: transformers' pipeline gives SigLIP 64 ids, however many its model takes.
func TestRowsOfOneLengthAreCut(t *testing.T) {
	tok, err := New(Spec{Kind: WordPiece, Tokens: []string{"[UNK]", "a"}, Unk: 0, BOS: None, EOS: None, Pad: 0,
		Pipeline: Pipeline{PreTokenizers: []Step{{Type: "BertPreTokenizer"}}, MaxWordRunes: 9, PadTo: 4}})
	require.NoError(t, err)
	b := tok.EncodeBatch([]string{"a a a a a a", "a"}, 6)
	require.Equal(t, [][]int32{{1, 1, 1, 1}, {1, 0, 0, 0}}, b.IDs)
	require.Equal(t, []bool{true, false}, b.Truncated)
	b = tok.EncodeBatch([]string{"a a a a a a"}, 3)
	require.Equal(t, [][]int32{{1, 1, 1}}, b.IDs)
}
