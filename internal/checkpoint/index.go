package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clipgo/clipgo/internal/strictjson"
)

const (
	maxIndexBytes = 64 << 20 // far above any model's
	maxShards     = 4096     // all are open at once
)

// OpenIndex opens the index at path, such as model.safetensors.index.json, and all the shards that it names, which lie
// beside it and are opened by open. Every tensor must lie in the shard that the index gives, and a shard must have no others.
func OpenIndex(path string, open func(path string) (*Set, error)) (*Set, error) {
	weightMap, err := readIndex(path)
	if err != nil {
		return nil, err
	}
	all := &Set{}
	if err := all.addShards(path, weightMap, open); err != nil {
		all.Close()
		return nil, err
	}
	return all, nil
}

// Shards returns the names of the shards that the index at path names, sorted.
func Shards(path string) ([]string, error) {
	weightMap, err := readIndex(path)
	if err != nil {
		return nil, err
	}
	return shardsOf(path, weightMap)
}

func shardsOf(path string, weightMap map[string]string) ([]string, error) {
	seen := map[string]bool{}
	for tensor, shard := range weightMap {
		if err := checkShardName(shard); err != nil {
			return nil, fmt.Errorf("%s: tensor %.80q: shard %.80q %w", path, tensor, shard, err)
		}
		seen[shard] = true
	}
	if len(seen) > maxShards {
		return nil, fmt.Errorf("%s: the index names %d shards, expected %d at most", path, len(seen), maxShards)
	}
	return slices.Sorted(maps.Keys(seen)), nil
}

func (s *Set) addShards(path string, weightMap map[string]string, open func(path string) (*Set, error)) error {
	shards, err := shardsOf(path, weightMap)
	if err != nil {
		return err
	}
	for _, shard := range shards {
		f, err := open(filepath.Join(filepath.Dir(path), shard))
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: shard %.80q is missing: download it into the same folder", path, shard)
		}
		if err != nil {
			return err
		}
		s.files = append(s.files, f)
		for _, name := range f.Names() {
			if weightMap[name] != shard {
				return fmt.Errorf("%s: tensor %.80q lies in shard %.80q, but the index puts it in %.80q", path, name, shard, weightMap[name])
			}
			if err := s.Add(f.tensors[name]); err != nil {
				return err
			}
		}
	}
	for name, shard := range weightMap {
		if s.tensors[name] == nil {
			return fmt.Errorf("%s: tensor %.80q is missing from shard %.80q", path, name, shard)
		}
	}
	return nil
}

// checkShardName refuses what could lead out of the index's folder, on any system.
func checkShardName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\\:\x00") || !filepath.IsLocal(name) {
		return errors.New("is no plain file name")
	}
	return nil
}

func readIndex(path string) (map[string]string, error) {
	file, size, err := OpenFile(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if size > maxIndexBytes {
		return nil, fmt.Errorf("%s: the index has %d bytes, expected %d at most", path, size, maxIndexBytes)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(file, b); err != nil {
		return nil, fmt.Errorf("%s: reading the index: %w", path, err)
	}
	return parseIndex(b, path)
}

func parseIndex(b []byte, path string) (map[string]string, error) {
	p, err := strictjson.New(b, 0, path)
	if err != nil {
		return nil, err
	}
	var weightMap map[string]string
	err = p.Object("index", func(key string) error {
		if key == "weight_map" {
			weightMap = map[string]string{}
			return p.Strings(key, weightMap)
		}
		return p.Skip(key) // metadata has a total size, which many files get wrong
	})
	if err == nil {
		err = p.Finish("index")
	}
	if err == nil && len(weightMap) == 0 {
		err = fmt.Errorf("%s: the index has no weight_map, or an empty one", path)
	}
	return weightMap, err
}
