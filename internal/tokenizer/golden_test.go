package tokenizer

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/internal/testutil"
)

// goldenLine is a line of a file that tools/tokenizer-goldens/goldens.py wrote: [text, ids].
type goldenLine struct {
	text string
	ids  []int32
}

func (g *goldenLine) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &[]any{&g.text, &g.ids}) }

func readGoldens(t testing.TB, path string) (lines []goldenLine) {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	scanner := bufio.NewScanner(z)
	scanner.Buffer(nil, 64<<20)
	for scanner.Scan() {
		var line goldenLine
		require.NoError(t, json.Unmarshal(scanner.Bytes(), &line))
		lines = append(lines, line)
	}
	require.NoError(t, scanner.Err())
	require.NotEmpty(t, lines)
	return lines
}

// compare encodes every line and reports the first few that differ.
func compare(t *testing.T, tok *Tokenizer, lines []goldenLine) {
	t.Helper()
	wrong := 0
	for _, line := range lines {
		if got := tok.Encode(line.text); !slices.Equal(got, line.ids) {
			if wrong++; wrong <= 8 {
				t.Errorf("%+q\n got %v %q\nwant %v %q", line.text, got, tokens(tok, got), line.ids, tokens(tok, line.ids))
			}
		}
	}
	if wrong > 0 {
		t.Errorf("%d of %d lines differ", wrong, len(lines))
	}
}

func tokens(tok *Tokenizer, ids []int32) (out []string) {
	for _, id := range ids {
		out = append(out, tok.Token(id))
	}
	return out
}

func openAI(t testing.TB) *Tokenizer {
	t.Helper()
	spec, err := OpenAICLIP()
	require.NoError(t, err)
	tok, err := New(spec)
	require.NoError(t, err)
	return tok
}

func fromFolder(t testing.TB, dir string) *Tokenizer {
	t.Helper()
	spec, err := FromHF(os.DirFS(dir))
	require.NoError(t, err)
	tok, err := New(spec)
	require.NoError(t, err)
	return tok
}

// TestCLIPLines compares with CLIPTokenizer on mixed lines.
func TestCLIPLines(t *testing.T) {
	compare(t, openAI(t), readGoldens(t, filepath.Join("testdata", "clip.jsonl.gz")))
}

// TestSamples compares tokenisers of every kind, trained by variants.py, on mixed lines.
func TestSamples(t *testing.T) {
	folders, err := filepath.Glob("testdata/*/lines.jsonl.gz")
	require.NoError(t, err)
	require.Greater(t, len(folders), 10)
	for _, lines := range folders {
		dir := filepath.Dir(lines)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			tok := fromFolder
			if _, err := os.Stat(filepath.Join(dir, "config.json")); err != nil {
				tok, dir = fromSPM, filepath.Join(dir, "spiece.model")
			}
			compare(t, tok(t, dir), readGoldens(t, lines))
		})
	}
	for _, clean := range []string{"lower", "canonicalize"} {
		t.Run("open_clip-"+clean, func(t *testing.T) {
			compare(t, fromOpenCLIP(t, clean), readGoldens(t, filepath.Join("testdata", "open_clip-"+clean+".jsonl.gz")))
		})
	}
}

// TestExtraLines compares a checkpoint with as many lines as one likes, made by goldens.py:
// CLIPGO_TOKENIZER_LINES=name=folder=lines.jsonl.gz, several separated by commas.
func TestExtraLines(t *testing.T) {
	list := os.Getenv("CLIPGO_TOKENIZER_LINES")
	if list == "" {
		t.Skip("CLIPGO_TOKENIZER_LINES is not set")
	}
	for _, item := range strings.Split(list, ",") {
		part := strings.Split(item, "=")
		t.Run(part[0], func(t *testing.T) {
			read := fromFolder
			if strings.HasPrefix(part[1], "open_clip:") {
				read = fromOpenCLIP
			}
			if strings.HasSuffix(part[1], ".model") {
				read = fromSPM
			}
			compare(t, read(t, part[1]), readGoldens(t, part[2]))
		})
	}
}

// fromOpenCLIP makes open_clip's SimpleTokenizer with a way to clean texts: "open_clip:lower".
func fromOpenCLIP(t testing.TB, name string) *Tokenizer {
	t.Helper()
	spec, err := OpenCLIP(OpenCLIPOptions{Clean: strings.TrimPrefix(name, "open_clip:")})
	require.NoError(t, err)
	tok, err := New(spec)
	require.NoError(t, err)
	return tok
}

// fromSPM makes the tokeniser that the sentencepiece library makes of a model.
func fromSPM(t testing.TB, path string) *Tokenizer {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	m, err := parseSPM(data)
	require.NoError(t, err)
	spec, err := m.spec()
	require.NoError(t, err)
	tok, err := New(spec)
	require.NoError(t, err)
	return tok
}

// TestCaptions compares with published ids of 2,500 captions.
func TestCaptions(t *testing.T) {
	f, err := os.Open(testutil.Shared(t, "data", "token-vectors", "clip-caption-ids.tsv.gz"))
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	tok := openAI(t)
	scanner := bufio.NewScanner(z)
	n := 0
	for scanner.Scan() {
		field := strings.Split(scanner.Text(), "\t")
		if field[0] == "id" {
			continue
		}
		require.Len(t, field, 3)
		var want []int32
		require.NoError(t, json.Unmarshal([]byte(field[2]), &want))
		got, _ := tok.EncodeTo(field[1], clipContext)
		for len(got) < clipContext {
			got = append(got, tok.Spec().Pad)
		}
		require.Equal(t, want, got, field[1])
		n++
	}
	require.NoError(t, scanner.Err())
	require.Greater(t, n, 2000)
}

// TestOpenAITable compares the embedded table with the vocabulary and the merges that transformers publishes.
func TestOpenAITable(t *testing.T) {
	var vocab map[string]int32
	data, err := os.ReadFile(testutil.Shared(t, "data", "tokenizer", "clip-vocab.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &vocab))
	text, err := os.ReadFile(testutil.Shared(t, "data", "tokenizer", "clip-merges.txt"))
	require.NoError(t, err)
	spec, err := OpenAICLIP()
	require.NoError(t, err)
	require.Len(t, spec.Tokens, len(vocab))
	for id, token := range spec.Tokens {
		require.EqualValues(t, id, vocab[token], token)
	}
	merges, err := parseMerges(string(text))
	require.NoError(t, err)
	require.Equal(t, merges, spec.Merges)
}

// expected is the part of a checkpoint's expected.json that concerns text.
type expected struct {
	Texts    []string  `json:"texts"`
	IDs      [][]int32 `json:"input_ids"`
	Mask     [][]int32 `json:"attention_mask"`
	Unpadded [][]int32 `json:"input_ids_unpadded"`
}

func readExpected(t testing.TB, name string) (e expected) {
	t.Helper()
	data, err := os.ReadFile(testutil.Shared(t, "golden", name, "expected.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &e))
	require.NotEmpty(t, e.Texts)
	return e
}

// TestCheckpoints compares every golden checkpoint's ids, padding and mask.
func TestCheckpoints(t *testing.T) {
	for _, name := range []string{"clip-openai-style", "clip-laion-style", "clip-224", "clip-mixed", "clipseg",
		"siglip", "siglip2-fixed", "siglip2-naflex", "metaclip_2", "altclip", "chinese_clip", "align", "blip", "blip-itc", "blip-2", "tipsv2"} {
		t.Run(name, func(t *testing.T) {
			e := readExpected(t, name)
			tok := fromFolder(t, testutil.Shared(t, "golden", name))
			for i, text := range e.Texts {
				if e.Unpadded != nil {
					require.Equal(t, e.Unpadded[i], tok.Encode(text), text)
				}
			}
			b := tok.EncodeBatch(e.Texts, 0)
			require.Equal(t, e.IDs, b.IDs)
			require.Equal(t, e.Mask, b.Mask)
		})
	}
}

// TestOpenCLIPCheckpoints compares open_clip's rows, which are padded to the context.
func TestOpenCLIPCheckpoints(t *testing.T) {
	for _, name := range []string{"openclip-vit-quickgelu", "openclip-vit-custom-text", "openclip-coca"} {
		t.Run(name, func(t *testing.T) {
			e := readExpected(t, name)
			length := len(e.IDs[0])
			spec, err := OpenCLIP(OpenCLIPOptions{ContextLength: length})
			require.NoError(t, err)
			tok, err := New(spec)
			require.NoError(t, err)
			b := tok.EncodeBatch(e.Texts, length)
			require.Equal(t, e.IDs, b.IDs)
			require.Nil(t, b.Mask)
		})
	}
}

// TestPublishedIDs holds ids that others published.
func TestPublishedIDs(t *testing.T) {
	tok := openAI(t)
	require.Equal(t, []int32{49406, 589, 533, 320, 1628, 9696, 539, 4160, 49407}, tok.Encode("this is a test string of text"))
	require.Equal(t, []int32{49406, 320, 1125, 539, 320, 3240, 49407}, tok.Encode("a photo of a fox"))
	require.Equal(t, []string{clipStart, "a</w>", "photo</w>", "of</w>", "a</w>", "fox</w>", clipEnd}, tokens(tok, tok.Encode("a photo of a fox")))
	require.Equal(t, []int32{49406, 49407}, tok.Encode(""))
}

func TestTruncation(t *testing.T) {
	tok := openAI(t)
	long := strings.Repeat("a photo of a fox ", 100)
	ids, truncated := tok.EncodeTo(long, 77)
	require.True(t, truncated)
	require.Len(t, ids, 77)
	require.Equal(t, tok.Encode(long)[:76], ids[:76])
	require.EqualValues(t, 49407, ids[76])

	whole, truncated := tok.EncodeTo("a photo of a fox", 7)
	require.False(t, truncated)
	require.Equal(t, tok.Encode("a photo of a fox"), whole)

	for maxLen, want := range map[int][]int32{1: {49407}, 2: {49406, 49407}, 3: {49406, 320, 49407}} {
		ids, truncated := tok.EncodeTo("a photo", maxLen)
		require.True(t, truncated)
		require.Equal(t, want, ids, fmt.Sprint(maxLen))
	}
	spec := *tok.Spec()
	spec.Pipeline.TruncateLeft = true
	left, err := New(spec)
	require.NoError(t, err)
	ids, truncated = left.EncodeTo("a photo of a fox", 5)
	require.True(t, truncated)
	require.Equal(t, []int32{49406, 539, 320, 3240, 49407}, ids)

	require.Equal(t, []bool{true, false}, tok.EncodeBatch([]string{long, "a"}, 77).Truncated)
}
