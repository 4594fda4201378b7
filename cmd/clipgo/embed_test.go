package main

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

type embeddings struct {
	Model      string `json:"model"`
	Dimension  int    `json:"dimension"`
	Embeddings []struct {
		Image     string    `json:"image"`
		Text      string    `json:"text"`
		Embedding []float64 `json:"embedding"`
	} `json:"embeddings"`
}

func TestEmbedJSON(t *testing.T) {
	owl, car := demo("owl.png"), demo("car.png")
	out := clip(t, "embed", model, "--text", "b, c", "--image", owl, "--json", "--text", "a", "--image", car, "-i", owl, "--text", "").done(t)
	require.Regexp(t, `^\{"model":"[^"]+","dimension":\d+,"embeddings":\[\{"image":"[^"]*owl\.png","embedding":\[`, out)
	e := decode[embeddings](t, out)
	var order []string
	for _, x := range e.Embeddings {
		order = append(order, x.Image+x.Text)
		require.Len(t, x.Embedding, e.Dimension)
		require.InDelta(t, 1, dot(x.Embedding, x.Embedding), 1e-5)
	}
	require.Equal(t, []string{owl, car, owl, "b, c", "a", ""}, order, "images first, each kind in the order given")
	require.Equal(t, e.Embeddings[0].Embedding, e.Embeddings[2].Embedding)

	raw := decode[embeddings](t, clip(t, "embed", model, "--json", "--raw", "--text", "a", "--image", owl).done(t))
	require.InDelta(t, 1, cosine(raw.Embeddings[0].Embedding, e.Embeddings[0].Embedding), 1e-5)
	require.InDelta(t, 1, cosine(raw.Embeddings[1].Embedding, e.Embeddings[4].Embedding), 1e-5)
	require.Greater(t, max(dot(raw.Embeddings[0].Embedding, raw.Embeddings[0].Embedding), 1.1), 1.1, "not of length 1")
}

func dot(a, b []float64) (sum float64) {
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

func TestEmbedLines(t *testing.T) {
	want := decode[embeddings](t, clip(t, "embed", model, "--json", "--text", "two\twords", "--image", demo("owl.png")).done(t))
	lines := strings.Split(strings.TrimSuffix(clip(t, "embed", model, "--text", "two\twords", "--image", demo("owl.png")).done(t), "\n"), "\n")
	require.Len(t, lines, 2)
	for i, kind := range []string{"image", "text"} {
		fields := strings.Split(lines[i], "\t")
		require.Len(t, fields, 2+want.Dimension)
		require.Equal(t, kind, fields[0])
		name, err := strconv.Unquote(fields[1])
		require.NoError(t, err)
		require.Equal(t, want.Embeddings[i].Image+want.Embeddings[i].Text, name)
		for j, field := range fields[2:] {
			x, err := strconv.ParseFloat(field, 64)
			require.NoError(t, err)
			require.InDelta(t, want.Embeddings[i].Embedding[j], x, 1e-6)
		}
	}
}

// TestEmbedFailures leaves out what failed and says so.
func TestEmbedFailures(t *testing.T) {
	r := clip(t, "embed", model, "--json", "--image", "/nonexistent.png", "--image", demo("owl.png"))
	require.Equal(t, exitPartial, r.code)
	require.Len(t, decode[embeddings](t, r.out).Embeddings, 1)
	require.Contains(t, r.err, "clipgo: image /nonexistent.png: no such file")

	r = clip(t, "embed", model, "--json", "--image", "/nonexistent.png", "--text", "a")
	require.Equal(t, exitPartial, r.code)
	require.Len(t, decode[embeddings](t, r.out).Embeddings, 1)

	clip(t, "embed", model, "--json", "--image", "/nonexistent.png").refused(t, "/nonexistent.png")
	clip(t, "embed", model, "--strict", "--image", demo("owl.png"), "--text", strings.Repeat("word ", 200)).refused(t, "shorten it")
}

func TestTokenize(t *testing.T) {
	type item struct {
		Text   string   `json:"text"`
		IDs    []int32  `json:"ids"`
		Tokens []string `json:"tokens"`
	}
	out := clip(t, "tokenize", model, "an Owl, a car", "--json", "").done(t)
	require.True(t, strings.HasPrefix(out, `[{"text":"an Owl, a car","ids":[`), out)
	items := decode[[]item](t, out)
	require.Len(t, items, 2)
	for _, it := range items {
		require.Len(t, it.Tokens, len(it.IDs))
		require.Equal(t, "<|startoftext|>", it.Tokens[0])
		require.Equal(t, "<|endoftext|>", it.Tokens[len(it.Tokens)-1])
	}
	require.Len(t, items[1].IDs, 2, "an empty text is a text")
	text := strings.Join(items[0].Tokens[1:len(items[0].Tokens)-1], "")
	require.Equal(t, "an owl, a car ", strings.ReplaceAll(strings.ReplaceAll(text, "</w>,</w>", ", "), "</w>", " "))

	long := clip(t, "tokenize", model, "--json", strings.Repeat("owl ", 300))
	cut := decode[[]item](t, long.done(t))[0]
	require.Equal(t, "<|endoftext|>", cut.Tokens[len(cut.Tokens)-1])
	require.Less(t, len(cut.IDs), 100)
	require.Contains(t, long.err, "warning")
	clip(t, "tokenize", model, "--strict", strings.Repeat("owl ", 300)).refused(t, "tokens", "shorten it")

	table := clip(t, "tokenize", model, "an owl", "x").done(t)
	require.Regexp(t, `(?s)^an owl\n +\d+  <\|startoftext\|>\n.* +\d+  <\|endoftext\|>\n\nx\n`, table)
}
