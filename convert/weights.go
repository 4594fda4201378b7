package convert

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clipgo/clipgo/internal/checkpoint"
	"github.com/clipgo/clipgo/internal/safetensors"
	"github.com/clipgo/clipgo/internal/torchfile"
)

// transformersWeights and openCLIPWeights are the files that the two libraries look for, the preferred ones first.
var (
	transformersWeights = []string{"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"}
	openCLIPWeights     = []string{"open_clip_model.safetensors", "open_clip_pytorch_model.bin", "model.safetensors", "pytorch_model.bin"}
)

type opener func(path string) (*checkpoint.Set, error)

// weightsFormat returns what opens a file of weights of this name, nil if it is none.
func weightsFormat(path string) opener {
	switch name := strings.ToLower(path); {
	case strings.HasSuffix(name, ".safetensors.index.json"):
		return shards(safetensors.Open)
	case strings.HasSuffix(name, ".bin.index.json"):
		return shards(torchfile.Open)
	case strings.HasSuffix(name, ".safetensors"):
		return safetensors.Open
	case isNPZ(name):
		return openBigVision
	case strings.HasSuffix(name, ".bin"), strings.HasSuffix(name, ".pt"), strings.HasSuffix(name, ".pth"):
		return torchfile.Open
	}
	return nil
}

// isNPZ reports whether a file of this name is big_vision's.
func isNPZ(path string) bool { return strings.HasSuffix(strings.ToLower(path), ".npz") }

// shards returns what opens an index of files that open opens.
func shards(open opener) opener {
	return func(path string) (*checkpoint.Set, error) { return checkpoint.OpenIndex(path, open) }
}

// openWeights opens path, or where it is "" the weights that the folder has.
func openWeights(dir, path string, names []string) (*checkpoint.Set, error) {
	if path == "" {
		var err error
		if path, err = findWeights(dir, names); err != nil {
			return nil, err
		}
	}
	return weightsFormat(path)(path)
}

// findWeights returns the path of the weights that the folder has.
func findWeights(dir string, names []string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var files []string
	for _, e := range entries {
		// a link may lead nowhere, as in a cache of which a part was removed
		if info, err := os.Stat(filepath.Join(dir, e.Name())); err == nil && !info.IsDir() {
			files = append(files, e.Name())
		}
	}
	name, others := chooseWeights(files, names)
	if name != "" {
		return filepath.Join(dir, name), nil
	}
	found := ""
	if len(others) > 0 {
		found = fmt.Sprintf(" (there are %s: give the path of one instead of the folder's)", strings.Join(others, ", "))
	}
	return "", fmt.Errorf("%s: there are no weights; expected %s%s", dir, expectedWeights(names), found)
}

// chooseWeights returns the first of names that is among the files of a folder, or the only other file of weights there: what
// open_clip's training writes is epoch_N.pt. Where it returns "", it returns those among which there is no choosing.
func chooseWeights(files, names []string) (chosen string, others []string) {
	for _, name := range names {
		if slices.Contains(files, name) {
			return name, nil
		}
	}
	for _, name := range files {
		if weightsFormat(name) != nil && !isNPZ(name) {
			others = append(others, name)
		}
	}
	if len(others) == 1 {
		return others[0], nil
	}
	return "", others
}

// expectedWeights says what chooseWeights finds.
func expectedWeights(names []string) string {
	return strings.Join(names, " or ") + ", or one other .safetensors, .bin or .pt"
}
