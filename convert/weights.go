package convert

import (
	"fmt"
	"os"
	"path/filepath"
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

// openWeights opens path, or where it is "" the first of names that the folder has.
func openWeights(dir, path string, names []string) (*checkpoint.Set, error) {
	for _, name := range names {
		if path != "" {
			break
		}
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			path = filepath.Join(dir, name)
		}
	}
	if path == "" {
		return nil, fmt.Errorf("%s: there are no weights; expected %s; if the file has another name, give its path instead of the folder's", dir, strings.Join(names, " or "))
	}
	return weightsFormat(path)(path)
}
