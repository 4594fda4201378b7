package convert

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/clipgo/clipgo/internal/checkpoint"
	"github.com/clipgo/clipgo/internal/tokenizer"
)

// Files returns those files of a repository that Convert reads, of the paths of all its files: one that downloads it needs no
// others. Where the weights are in several files, their index stands for them; Shards then tells the rest.
func Files(paths []string) ([]string, error) {
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(paths, name) })
	}
	described, weights := []string{"config.json", "processor_config.json", "preprocessor_config.json"}, transformersWeights
	if preferOpenCLIP(has) {
		described, weights = []string{openCLIPConfig}, openCLIPWeights
	} else if !has("config.json") {
		return nil, fmt.Errorf("there is neither config.json nor %s; expected a checkpoint as Hugging Face's save_pretrained or open_clip's push_to_hf_hub writes it", openCLIPConfig)
	}
	inFolders := func(path string) bool { return strings.Contains(path, "/") }
	chosen, _ := chooseWeights(slices.DeleteFunc(slices.Clone(paths), inFolders), weights)
	if chosen == "" {
		return nil, fmt.Errorf("there are no weights that can be read%s; expected %s", others(paths), expectedWeights(weights))
	}
	files := slices.DeleteFunc(described, func(name string) bool { return !has(name) })
	return append(append(files, tokenizer.HFFiles(paths)...), chosen), nil
}

// IsIndex says whether a file of this name is the index of weights that lie in several files.
func IsIndex(name string) bool { return strings.HasSuffix(name, ".index.json") }

// Shards returns the names of the files that an index of weights names, which lie beside it.
func Shards(index string) ([]string, error) { return checkpoint.Shards(index) }

// others names a few files that may be weights, but in a form that isn't read, or among others like them.
func others(paths []string) string {
	var found []string
	for _, p := range paths {
		if slices.Contains([]string{".safetensors", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx", ".npz", ".mlmodel", ".tflite"}, path.Ext(p)) {
			found = append(found, p)
		}
	}
	if len(found) == 0 {
		return ""
	}
	return " (there is " + strings.Join(found[:min(len(found), 3)], ", ") + ")"
}
