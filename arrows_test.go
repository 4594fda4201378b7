package clipgo_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/internal/testutil"
)

const module = "github.com/clipgo/clipgo"

// arrows says what a package may import: folders of this module (root: the library), other modules by their path; an
// ending /... takes in what lies below. The standard library is free. The longest key that fits a package rules it.
var arrows = map[string][]string{
	"cmd/clipgo": {"root", "convert", "quantize", "gguf", "internal/atomicfile", "internal/bench", "internal/cachedir", "internal/filelock",
		"internal/hub", "internal/npy", "github.com/urfave/cli/v2", "golang.org/x/sys/...", "golang.org/x/text/..."},
	"root":     {"bindings", "quantize", "gguf", "internal/..."},
	"convert":  {"quantize", "gguf", "internal/..."},
	"quantize": {"gguf", "internal/half", "internal/ordered", "internal/atomicfile"},
	"gguf":     {"internal/atomicfile", "golang.org/x/sys/..."},
	"bindings": {"internal/cachedir", "github.com/ebitengine/purego", "golang.org/x/sys/..."},
	// Below the library: tables and algorithms, which know nothing of the rooms that use them.
	"internal/...":    {"quantize", "gguf", "internal/...", "golang.org/x/image/...", "golang.org/x/text/...", "golang.org/x/sys/..."},
	"internal/engine": {"bindings", "gguf", "internal/program", "internal/refvm"},
	"internal/bench":  {"bindings", "quantize", "gguf", "internal/arch", "internal/engine", "internal/imageio", "internal/preprocess", "internal/program", "internal/tokenizer", "internal/tokenkeys"},
	"tools/...":       {"root", "convert", "quantize", "gguf", "internal/...", "golang.org/x/text/..."},
}

// TestArrows holds the imports of all packages, on every platform and with every build tag, to the arrows of
// docs/ARCHITECTURE.md.
func TestArrows(t *testing.T) {
	imports := readImports(t)
	require.Contains(t, imports, "root")
	require.Contains(t, imports["bindings"], "github.com/ebitengine/purego", "the reader of imports works")
	for pkg, list := range imports {
		allowed := rule(pkg)
		for _, imported := range list {
			if !slices.ContainsFunc(allowed, func(pattern string) bool { return fits(pattern, imported) }) {
				t.Errorf("%s imports %s, expected only %v", pkg, imported, allowed)
			}
		}
	}
	for _, pkg := range []string{"convert", "quantize", "gguf"} {
		if way := wayTo(imports, pkg, "bindings", nil); way != nil {
			t.Errorf("tools made of %s would need the native library's loader: %s", pkg, strings.Join(way, " -> "))
		}
	}
}

func rule(pkg string) (allowed []string) {
	longest := -1
	for key, list := range arrows {
		if fits(key, pkg) && len(key) > longest {
			longest, allowed = len(key), list
		}
	}
	return allowed
}

func fits(pattern, pkg string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "..."); ok {
		return strings.HasPrefix(pkg, prefix)
	}
	return pattern == pkg
}

// wayTo returns a chain of imports, nil where there is none.
func wayTo(imports map[string][]string, from, to string, seen []string) []string {
	if from == to {
		return []string{to}
	}
	for _, next := range imports[from] {
		if slices.Contains(seen, next) {
			continue
		}
		if way := wayTo(imports, next, to, append(slices.Clone(seen), from)); way != nil {
			return append([]string{from}, way...)
		}
	}
	return nil
}

// readImports returns what the packages of this module import, the standard library and tests left out.
func readImports(t *testing.T) map[string][]string {
	imports := map[string][]string{}
	err := filepath.WalkDir(testutil.Root(), func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if name == "testdata" || file != testutil.Root() && strings.HasPrefix(name, ".") {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(testutil.Root(), filepath.Dir(file))
		if err != nil {
			return err
		}
		pkg := folder(filepath.ToSlash(rel))
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			first, _, _ := strings.Cut(imported, "/")
			if imported == module || strings.HasPrefix(imported, module+"/") {
				imported = folder(strings.TrimPrefix(imported[len(module):], "/"))
			} else if !strings.Contains(first, ".") {
				continue // the standard library
			}
			if !slices.Contains(imports[pkg], imported) {
				imports[pkg] = append(imports[pkg], imported)
			}
		}
		return nil
	})
	require.NoError(t, err)
	return imports
}

func folder(rel string) string {
	if rel = path.Clean(rel); rel == "." {
		return "root"
	}
	return rel
}
