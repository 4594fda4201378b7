package main

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// prediction is an entry of transformers' answer.
type prediction struct {
	Score float64  `json:"score"`
	Label string   `json:"label"`
	Logit *float64 `json:"logit"`
}

// decode reads one JSON value that has no other fields than v.
func decode[T any](t *testing.T, text string) (v T) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&v), text)
	require.False(t, d.More(), text)
	return v
}

// classified classifies with the demo model and two labels.
func classified(t *testing.T, args ...string) result {
	t.Helper()
	return clip(t, append([]string{"classify", model, "-l", "owl", "-l", "car"}, args...)...)
}

func TestJSONOfOnePicture(t *testing.T) {
	out := classified(t, "--json", demo("owl.png")).done(t)
	require.Regexp(t, `^\[\{"score":[0-9.e-]+,"label":"owl"\},\{"score":[0-9.e-]+,"label":"car"\}\]\n$`, out)
	list := decode[[]prediction](t, out)
	require.InDelta(t, 1, list[0].Score+list[1].Score, 1e-9)
	require.Greater(t, list[0].Score, list[1].Score)
}

func TestLogits(t *testing.T) {
	list := decode[[]prediction](t, classified(t, "--json", "--logits", demo("owl.png")).done(t))
	// The scores are the logits' softmax.
	require.InDelta(t, 1/(1+math.Exp(*list[1].Logit-*list[0].Logit)), list[0].Score, 1e-6)
	table := classified(t, "--logits", demo("owl.png")).done(t)
	require.Contains(t, table, fmt.Sprintf("%9.4f  owl", *list[0].Logit))
}

// TestJSONOfSeveral wants the order given, repeats included, and null for a picture that failed.
func TestJSONOfSeveral(t *testing.T) {
	owl := decode[[]prediction](t, classified(t, "--json", demo("owl.png")).done(t))
	car := decode[[]prediction](t, classified(t, "--json", demo("car.png")).done(t))
	text := filepath.Join(t.TempDir(), "text.jpg")
	require.NoError(t, os.WriteFile(text, []byte("this is no picture\n"), 0o600))

	r := classified(t, "--json", demo("car.png"), demo("owl.png"), text, demo("car.png"), "/nonexistent.png")
	require.Equal(t, exitPartial, r.code)
	lists := decode[[][]prediction](t, r.out)
	require.Len(t, lists, 5)
	for i, want := range [][]prediction{car, owl, nil, car, nil} {
		require.Len(t, lists[i], len(want))
		for j := range want {
			require.Equal(t, want[j].Label, lists[i][j].Label)
			require.InDelta(t, want[j].Score, lists[i][j].Score, 1e-5)
		}
	}
	require.Equal(t, 2, strings.Count(r.err, "\n"), r.err)
	require.Contains(t, r.err, "clipgo: image "+text+": not a supported picture")
	require.Contains(t, r.err, "clipgo: image /nonexistent.png: no such file")

	t.Run("all bad", func(t *testing.T) {
		r := classified(t, "--json", text, text)
		require.Equal(t, exitUsage, r.code)
		require.Equal(t, [][]prediction{nil, nil}, decode[[][]prediction](t, r.out))
	})
	t.Run("the only one is bad", func(t *testing.T) {
		classified(t, "--json", text).refused(t, text, "not a supported picture", "JPEG, PNG")
		classified(t, text).refused(t, text)
		classified(t, "").refused(t, "empty")
	})
}

// TestManyPictures crosses the limits of a batch with failures inside.
func TestManyPictures(t *testing.T) {
	var args []string
	for i := range 29 {
		args = append(args, []string{demo("owl.png"), "/nonexistent.png", demo("car.png"), demo("cat.png"), demo("owl.png")}[i%5])
	}
	r := classified(t, append([]string{"--jsonl", "--top", "1"}, args...)...)
	require.Equal(t, exitPartial, r.code)
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	require.Len(t, lines, len(args))
	for i, line := range lines {
		item := decode[jsonLine](t, line)
		require.Equal(t, args[i], item.Image)
		require.Equal(t, i%5 == 1, item.Error != "")
		if i%5 == 0 || i%5 == 4 {
			require.Equal(t, "owl", item.Predictions[0].Label)
		}
		if i%5 == 2 {
			require.Equal(t, "car", item.Predictions[0].Label)
		}
	}
}

type jsonLine struct {
	Image       string       `json:"image"`
	Predictions []prediction `json:"predictions"`
	Error       string       `json:"error"`
}

func TestJSONL(t *testing.T) {
	r := classified(t, "--jsonl", demo("owl.png"), "/nonexistent.png")
	require.Equal(t, exitPartial, r.code)
	lines := strings.Split(strings.TrimSuffix(r.out, "\n"), "\n")
	require.Len(t, lines, 2)
	require.Regexp(t, `^\{"image":".*owl\.png","predictions":\[\{"score":[0-9.e-]+,"label":"owl"\},\{.*\}\]\}$`, lines[0])
	require.Regexp(t, `^\{"image":"/nonexistent\.png","error":"image /nonexistent\.png: no such file.*"\}$`, lines[1])

	r = classified(t, "--jsonl", "/nonexistent.png")
	require.Equal(t, exitUsage, r.code)
	require.Equal(t, "/nonexistent.png", decode[jsonLine](t, r.out).Image)
}

func TestCSV(t *testing.T) {
	r := clip(t, "classify", model, "-l", `an "owl", or a bird`, "-l", "car", "--csv", demo("owl.png"), "/nonexistent.png", demo("owl.png"))
	require.Equal(t, exitPartial, r.code)
	rows, err := csv.NewReader(strings.NewReader(r.out)).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 5)
	require.Equal(t, []string{"image", "label", "score"}, rows[0])
	require.Equal(t, demo("owl.png"), rows[1][0])
	require.ElementsMatch(t, []string{`an "owl", or a bird`, "car"}, []string{rows[1][1], rows[2][1]})
	require.True(t, strings.HasPrefix(classified(t, "--csv", "--logits", demo("owl.png")).done(t), "image,label,score,logit\n"))
}

func TestTable(t *testing.T) {
	require.Regexp(t, `^ *\d+\.\d{3}%  owl\n *\d+\.\d{3}%  car\n$`, classified(t, demo("owl.png")).done(t))
	several := classified(t, demo("owl.png"), demo("car.png")).done(t)
	require.Regexp(t, `(?s)^\S*owl\.png\n.*%  owl\n.*%  car\n\n\S*car\.png\n.*%  car\n.*%  owl\n$`, several)
}

func TestBar(t *testing.T) {
	require.Equal(t, "", bar(0, 10))
	require.Equal(t, "█████", bar(0.5, 10))
	require.Equal(t, "▌", bar(0.05, 10))
	require.Equal(t, strings.Repeat("█", 10), bar(1, 10))
}

func labelsOf(t *testing.T, args ...string) []string {
	t.Helper()
	var labels []string
	for _, p := range decode[[]prediction](t, clip(t, append([]string{"classify", model, "--json", demo("owl.png")}, args...)...).done(t)) {
		labels = append(labels, p.Label)
	}
	return labels
}

func TestLabels(t *testing.T) {
	file := filepath.Join(t.TempDir(), "labels.txt")
	require.NoError(t, os.WriteFile(file, []byte("\ufeffrocket\r\n\n  a cat, asleep \n"), 0o600))
	require.ElementsMatch(t, []string{"an owl, at night", "car"}, labelsOf(t, "-l", "an owl, at night", "--label", "car"))
	require.ElementsMatch(t, []string{"owl", "big car"}, labelsOf(t, "--labels", " owl,big car ,"))
	require.ElementsMatch(t, []string{"rocket", "a cat, asleep"}, labelsOf(t, "--labels-file", file))
	require.ElementsMatch(t, []string{"x,y", "a", "b", "rocket", "a cat, asleep"}, labelsOf(t, "--labels", "a,b", "--labels-file", file, "-l", "x,y"))
	require.Equal(t, []string{"owl"}, labelsOf(t, "--top", "1", "--labels", "car,owl,cat"))
	require.ElementsMatch(t, []string{"owl", "car"}, labelsOf(t, "--top", "5", "--labels", "car,owl"))
	require.ElementsMatch(t, []string{"owl", "owl"}, labelsOf(t, "-l", "owl", "-l", "owl"), "repeats stay")
	require.ElementsMatch(t, []string{`<b> & "q"`, "日本語"}, labelsOf(t, "-l", `<b> & "q"`, "-l", "日本語"))

	require.NoError(t, os.WriteFile(file, []byte("a\xff\n"), 0o600))
	clip(t, "classify", "--labels-file", file, demo("owl.png")).refused(t, file, "UTF-8")
	require.NoError(t, os.WriteFile(file, []byte("\n \n"), 0o600))
	clip(t, "classify", "--labels-file", file, demo("owl.png")).refused(t, "no labels")
}

// TestTemplates holds several templates to the mean of their normalised embeddings, normalised again.
func TestTemplates(t *testing.T) {
	embed := func(text string) []float64 {
		return decode[embeddings](t, clip(t, "embed", model, "--json", "--text", text).done(t)).Embeddings[0].Embedding
	}
	image := decode[embeddings](t, clip(t, "embed", model, "--json", "--image", demo("owl.png")).done(t)).Embeddings[0].Embedding
	logit := func(args ...string) float64 {
		out := clip(t, append([]string{"classify", model, "--json", "--logits", "-l", "owl", demo("owl.png")}, args...)...).done(t)
		return *decode[[]prediction](t, out)[0].Logit
	}
	a, b := embed("a picture of an owl, big"), embed("owl!")
	scale := logit("--template", "a picture of an {}, big") / cosine(image, a)
	require.InDelta(t, scale*cosine(image, b), logit("--template", "{}!"), 1e-3)
	mean := make([]float64, len(a))
	for i := range a {
		mean[i] = a[i] + b[i]
	}
	require.InDelta(t, scale*cosine(image, mean), logit("--template", "a picture of an {}, big", "--template", "{}!"), 1e-3)

	for template, n := range map[string]string{"no place": "0 {}", "{} and {}": "2 {}", "": "0 {}", "{label}": "0 {}"} {
		clip(t, "classify", model, "-l", "owl", "--template", template, demo("owl.png")).refused(t, n, "expected exactly one")
	}
}

func cosine(a, b []float64) float64 {
	var ab, aa, bb float64
	for i := range a {
		ab, aa, bb = ab+a[i]*b[i], aa+a[i]*a[i], bb+b[i]*b[i]
	}
	return ab / math.Sqrt(aa*bb)
}

// TestLongLabel wants a label over the context cut with a warning, and refused with --strict.
func TestLongLabel(t *testing.T) {
	long := strings.Repeat("owl ", 200)
	r := clip(t, "classify", model, "-l", long, "-l", "car", "--json", demo("owl.png"))
	require.Len(t, decode[[]prediction](t, r.done(t)), 2)
	require.Contains(t, r.err, "clipgo: warning: text ")
	require.Contains(t, r.err, "the rest is left out")
	clip(t, "classify", model, "--strict", "-l", long, demo("owl.png")).refused(t, "tokens", "shorten it")
}

// TestSources gives the same picture in every way.
func TestSources(t *testing.T) {
	data, err := os.ReadFile(demo("owl.png"))
	require.NoError(t, err)
	encoded := base64.StdEncoding.EncodeToString(data)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/owl", "/owl.png":
			w.Write(data)
		case "/moved":
			http.Redirect(w, r, "/owl.png", http.StatusFound)
		case "/page.png":
			fmt.Fprint(w, "<!DOCTYPE html><title>hello</title>")
		case "/cut.png":
			w.Write(data[:len(data)/2])
		case "/empty.png":
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()

	want := classified(t, "--json", demo("owl.png")).done(t)
	for _, source := range []string{
		server.URL + "/owl.png", server.URL + "/owl?size=big", server.URL + "/moved",
		"data:image/png;base64," + encoded, "data:image/jpeg;base64," + encoded, encoded, strings.TrimRight(encoded, "="),
	} {
		require.Equal(t, want, classified(t, "--json", source).done(t), shortName(source))
	}
	args := []string{"classify", model, "-l", "owl", "-l", "car", "--json", "-"}
	require.Equal(t, want, clipFrom(t, string(data), args...).done(t))
	t.Run("standard input twice", func(t *testing.T) {
		lists := decode[[][]prediction](t, clipFrom(t, string(data), append(args, "-")...).done(t))
		require.Equal(t, lists[0], lists[1])
	})
	t.Run("standard input is empty", func(t *testing.T) {
		clipFrom(t, "", args...).refused(t, "standard input", "empty")
	})
	t.Run("standard input is text", func(t *testing.T) {
		clipFrom(t, "hello", args...).refused(t, "standard input", "not a supported picture")
	})
	t.Run("long names are cut for people and whole for programs", func(t *testing.T) {
		source := "data:image/png;base64," + encoded
		table := classified(t, source, demo("owl.png")).done(t)
		require.True(t, strings.HasPrefix(table, "data:image/png;base64,iVBOR"), table[:50])
		require.Less(t, len(table), 600)
		first, _, _ := strings.Cut(classified(t, "--jsonl", source).done(t), "\n")
		require.Equal(t, source, decode[jsonLine](t, first).Image)
	})
	for source, want := range map[string]string{
		server.URL + "/none.png":  "404 Not Found",
		server.URL + "/page.png":  "not a supported picture",
		server.URL + "/cut.png":   "cut.png",
		server.URL + "/empty.png": "not a supported picture",
		"http://127.0.0.1:1/x":    "connection refused",
		"http://[::1/x":           "missing ']'",
		"ftp://127.0.0.1/x.png":   "expected a file, an http(s) address, a data:image/ URI or base64",
		"data:text/plain,hello":   "expected data:image/",
		"data:image/png;base64,*": "base64",
		"data:image/png;base64,":  "not a supported picture",
		strings.Repeat("no", 40):  "not a supported picture",
		"/nonexistent/owl.png":    "no such file",
	} {
		classified(t, "--json", source).refused(t, source, want)
	}
}

// TestFolder wants the pictures of a folder and its subfolders in path order, under the folder's name as it was given.
func TestFolder(t *testing.T) {
	data, err := os.ReadFile(demo("owl.png"))
	require.NoError(t, err)
	t.Chdir(t.TempDir())
	for _, name := range []string{"p/b.png", "p/a/z.PNG", "p/a/deep/er/owl.jpeg", "p/c.png", "p/B.webp", "one/owl.gif"} {
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
		require.NoError(t, os.WriteFile(name, data, 0o600))
	}
	require.NoError(t, os.WriteFile("p/notes.txt", []byte("not looked at"), 0o600))
	require.NoError(t, os.MkdirAll("empty/empty", 0o700))
	require.NoError(t, os.Symlink("p", "link"))

	names := func(args ...string) []string {
		var images []string
		for _, line := range strings.Split(strings.TrimSpace(classified(t, append(args, "--jsonl")...).done(t)), "\n") {
			images = append(images, decode[jsonLine](t, line).Image)
		}
		return images
	}
	tail := []string{"B.webp", "a/deep/er/owl.jpeg", "a/z.PNG", "b.png", "c.png"}
	under := func(prefix string) (all []string) {
		for _, name := range tail {
			all = append(all, prefix+name)
		}
		return all
	}
	require.Equal(t, under("p/"), names("p"))
	require.Equal(t, under("p/"), names("p/"))
	require.Equal(t, under("./p/"), names("./p"))
	require.Equal(t, under("link/"), names("link"))
	require.Equal(t, append(append([]string{"p/c.png"}, under("p/")...), "one/owl.gif"), names("p/c.png", "p", "one"))

	require.Len(t, decode[[][]prediction](t, classified(t, "--json", "p").done(t)), 5)
	require.Len(t, decode[[][]prediction](t, classified(t, "--json", "one").done(t)), 1, "a folder gives a list of lists, even with one picture")
	classified(t, "empty").refused(t, "folder empty", "no pictures")
	r := classified(t, "--jsonl", "empty", "one")
	require.Equal(t, exitPartial, r.code)

	require.NoError(t, os.WriteFile("p/a/bad.png", []byte("\x89PNG\r\n\x1a\nno"), 0o600))
	r = classified(t, "--json", "p")
	require.Equal(t, exitPartial, r.code)
	lists := decode[[][]prediction](t, r.out)
	require.Len(t, lists, 6)
	require.Nil(t, lists[1])
	require.Contains(t, r.err, "clipgo: image p/a/bad.png: ")
}

// TestBadPictures wants one line for pictures that are broken in ways of their own.
func TestBadPictures(t *testing.T) {
	data, err := os.ReadFile(demo("owl.png"))
	require.NoError(t, err)
	dir := t.TempDir()
	for name, content := range map[string][]byte{
		"text.jpg":  []byte("just text\nof two lines\n"),
		"empty.png": {},
		"cut.png":   data[:100],
		"noise.png": append([]byte("\x89PNG\r\n\x1a\n"), bytes.Repeat([]byte{7}, 500)...),
		"jpeg.jpg":  []byte("\xff\xd8\xff\xe0"),
	} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, content, 0o600))
		classified(t, path).refused(t, "image "+path+": ")
	}
}
