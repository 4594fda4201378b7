package clipgo_test

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo"
	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/diskcache"
	"github.com/clipgo/clipgo/internal/testutil"
)

// labelCache is a model in a file of its own and a folder for its cache.
type labelCache struct{ model, dir string }

func newLabelCache(t *testing.T) labelCache {
	t.Helper()
	c := labelCache{filepath.Join(t.TempDir(), "model.gguf"), filepath.Join(t.TempDir(), "cache")}
	data, err := os.ReadFile("testdata/demo.gguf")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(c.model, data, 0o600))
	c.settle()
	return c
}

// settle waits until the file is old enough to be told from a later state of it.
func (c labelCache) settle() { time.Sleep(150 * time.Millisecond) }

// scores are those of a new process, as far as the model knows.
func (c labelCache) scores(t *testing.T, labels []string, cached bool, opts ...clipgo.Option) []clipgo.Prediction {
	t.Helper()
	opts = append(opts, clipgo.WithLibrary(testutil.Engine(t)))
	if cached {
		opts = append(opts, clipgo.WithCache(c.dir))
	}
	m, err := clipgo.Open(c.model, opts...)
	require.NoError(t, err)
	defer m.Close()
	got, err := m.Classify(t.Context(), picture(t, "owl.png"), labels)
	require.NoError(t, err)
	return got
}

func (c labelCache) entries(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(c.dir, "labels", "*"))
	require.NoError(t, err)
	return found
}

var cachedLabels = []string{"owl", "car", "pizza"}

func TestLabelCache(t *testing.T) {
	c := newLabelCache(t)
	want := c.scores(t, cachedLabels, false)
	require.Equal(t, want, c.scores(t, cachedLabels, true))
	entries := c.entries(t)
	require.Len(t, entries, 1)
	require.Equal(t, want, c.scores(t, cachedLabels, true))
	require.Equal(t, entries, c.entries(t))

	// Another answer under the same key is believed: so it is the entry that was read.
	var key diskcache.Key
	_, err := hex.Decode(key[:], []byte(filepath.Base(entries[0])))
	require.NoError(t, err)
	folder := diskcache.Cache{Dir: filepath.Dir(entries[0]), MaxBytes: 1 << 20}
	data, found := folder.Read(key)
	require.True(t, found)
	require.NoError(t, folder.Write(key, make([]byte, len(data))))
	require.NotEqual(t, want, c.scores(t, cachedLabels, true))

	// One of another size, or a damaged one, is not, and gives way to what is computed.
	require.NoError(t, folder.Write(key, data[4:]))
	require.Equal(t, want, c.scores(t, cachedLabels, true))
	require.NoError(t, os.WriteFile(entries[0], data, 0o600))
	require.Equal(t, want, c.scores(t, cachedLabels, true))
	got, found := folder.Read(key)
	require.True(t, found)
	require.Equal(t, data, got)
}

// TestLabelCacheKey changes what a label's embedding depends on: each has an entry of its own.
func TestLabelCacheKey(t *testing.T) {
	c := newLabelCache(t)
	n := 0
	for name, ask := range map[string]func() []clipgo.Prediction{
		"labels":  func() []clipgo.Prediction { return c.scores(t, cachedLabels, true) },
		"fewer":   func() []clipgo.Prediction { return c.scores(t, cachedLabels[:2], true) },
		"order":   func() []clipgo.Prediction { return c.scores(t, []string{"car", "owl", "pizza"}, true) },
		"joined":  func() []clipgo.Prediction { return c.scores(t, []string{"owl car", "pizza"}, true) },
		"threads": func() []clipgo.Prediction { return c.scores(t, cachedLabels, true, clipgo.WithThreads(1)) },
		"ISA":     func() []clipgo.Prediction { return c.scores(t, cachedLabels, true, clipgo.WithISA("scalar")) },
		"activations": func() []clipgo.Prediction {
			return c.scores(t, cachedLabels, true, clipgo.WithActivations(clipgo.Float32))
		},
		"compat": func() []clipgo.Prediction {
			return c.scores(t, cachedLabels, true, clipgo.WithCompat(clipgo.CompatHF4))
		},
		"interpreter": func() []clipgo.Prediction { return c.scores(t, cachedLabels, true, clipgo.WithInterpreter()) },
	} {
		first := ask()
		n++
		require.Len(t, c.entries(t), n, name)
		require.Equal(t, first, ask(), name)
		require.Len(t, c.entries(t), n, name)
	}
	m, err := clipgo.Open(c.model, clipgo.WithLibrary(testutil.Engine(t)), clipgo.WithCache(c.dir))
	require.NoError(t, err)
	defer m.Close()
	for _, templates := range [][]string{{"a {}"}, {"{}"}, {"a {}", "{}"}} {
		_, err := m.NewClassifier(t.Context(), cachedLabels, clipgo.WithTemplates(templates...))
		require.NoError(t, err)
		n++
		require.Len(t, c.entries(t), n, "templates %q", templates)
	}
}

// TestLabelCacheChangedModel writes other weights into the model's file, of the same size and, as far as can be told by
// setting times, of the same age.
func TestLabelCacheChangedModel(t *testing.T) {
	c := newLabelCache(t)
	before := c.scores(t, cachedLabels, true)
	require.Len(t, c.entries(t), 1)
	st, err := os.Stat(c.model)
	require.NoError(t, err)

	f, err := gguf.Open(c.model)
	require.NoError(t, err)
	table, ok := f.Tensor("t.token_embd.weight")
	require.True(t, ok)
	require.NoError(t, f.Close())
	data, err := os.ReadFile(c.model)
	require.NoError(t, err)
	rows := data[table.Offset : table.Offset+table.Bytes]
	half := len(rows) / int(table.Rows()) * int(table.Rows()/2)
	copy(rows, rows[half:]) // tokens get the embeddings of others
	require.NoError(t, os.WriteFile(c.model, data, 0o600))
	require.NoError(t, os.Chtimes(c.model, st.ModTime(), st.ModTime()))

	// Too young to be cached, and then old enough.
	after := c.scores(t, cachedLabels, false)
	require.NotEqual(t, before, after)
	require.Equal(t, after, c.scores(t, cachedLabels, true))
	c.settle()
	require.Equal(t, after, c.scores(t, cachedLabels, true))
	require.Equal(t, after, c.scores(t, cachedLabels, true))
}

// TestLabelCacheCutText wants the word about a text that is too long each time.
func TestLabelCacheCutText(t *testing.T) {
	c := newLabelCache(t)
	var long string
	for range 100 {
		long += "owl "
	}
	for range 2 {
		var warnings []string
		c.scores(t, []string{long, "car"}, true, clipgo.WithWarnings(func(w string) { warnings = append(warnings, w) }))
		require.Len(t, warnings, 1)
		require.Contains(t, warnings[0], "the rest is left out")
	}
	require.Empty(t, c.entries(t))
}

// TestLabelCacheUnwritable wants answers where nothing can be kept.
func TestLabelCacheUnwritable(t *testing.T) {
	c := newLabelCache(t)
	want := c.scores(t, cachedLabels, false)
	require.NoError(t, os.WriteFile(c.dir, nil, 0o600)) // a file where the folder should be
	require.Equal(t, want, c.scores(t, cachedLabels, true))
}

// TestLabelCacheDemo: the demo model has no file, but the executable.
func TestLabelCacheDemo(t *testing.T) {
	c := labelCache{dir: filepath.Join(t.TempDir(), "cache")}
	c.settle() // the test's executable may just have been built
	want, err := openDemo(t).Classify(t.Context(), picture(t, "owl.png"), cachedLabels)
	require.NoError(t, err)
	for range 2 {
		got, err := openDemo(t, clipgo.WithCache(c.dir)).Classify(t.Context(), picture(t, "owl.png"), cachedLabels)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Len(t, c.entries(t), 1)
	}
}

// TestPanelCache keeps the packed weights of both towers, and takes them from there.
func TestPanelCache(t *testing.T) {
	defer clipgo.KeepAllPanels()()
	c := newLabelCache(t)
	want := c.scores(t, cachedLabels, false)
	require.Equal(t, want, c.scores(t, cachedLabels, true))
	entries, err := filepath.Glob(filepath.Join(c.dir, "packed", "*"))
	require.NoError(t, err)
	require.Len(t, entries, 2, "an image tower and a text tower")
	require.NoError(t, os.RemoveAll(filepath.Join(c.dir, "labels")))
	require.Equal(t, want, c.scores(t, cachedLabels, true))

	folder := diskcache.Cache{Dir: filepath.Dir(entries[0]), MaxBytes: 1 << 30}
	keys, panels := make([]diskcache.Key, len(entries)), make([][]byte, len(entries))
	for i, entry := range entries {
		_, err := hex.Decode(keys[i][:], []byte(filepath.Base(entry)))
		require.NoError(t, err)
		var found bool
		panels[i], found = folder.Read(keys[i])
		require.True(t, found)
	}
	scores := func() []clipgo.Prediction {
		require.NoError(t, os.RemoveAll(filepath.Join(c.dir, "labels")))
		return c.scores(t, cachedLabels, true)
	}
	for i := range entries {
		// Panels of another size are refused, and packed again.
		require.NoError(t, folder.Write(keys[i], panels[i][64:]))
		require.Equal(t, want, scores())
		got, found := folder.Read(keys[i])
		require.True(t, found)
		require.Equal(t, panels[i], got)

		// A damaged file too.
		b, err := os.ReadFile(entries[i])
		require.NoError(t, err)
		b[len(b)/2] ^= 1
		require.NoError(t, os.WriteFile(entries[i], b, 0o600))
		require.Equal(t, want, scores())
		got, found = folder.Read(keys[i])
		require.True(t, found)
		require.Equal(t, panels[i], got)

		// What is whole is believed: so it is what was used.
		require.NoError(t, folder.Write(keys[i], make([]byte, len(panels[i]))))
		require.NotEqual(t, want, scores())
		require.NoError(t, folder.Write(keys[i], panels[i]))
	}
}
