package safetensors

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clipgo/clipgo/internal/checkpoint"
)

// Sharded is the set of files that an index names.
type Sharded struct {
	shards []*File
	names  []string
	of     map[string]*File
}

// OpenIndex opens the index at path, such as model.safetensors.index.json, and all the shards that it names, which lie
// beside it. Every tensor must lie in the shard that the index gives, and a shard must have no others.
func OpenIndex(path string) (*Sharded, error) {
	weightMap, err := readIndex(path)
	if err != nil {
		return nil, err
	}
	s := &Sharded{of: map[string]*File{}}
	if err := s.open(path, weightMap); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Sharded) open(path string, weightMap map[string]string) error {
	shards := map[string]int{} // the number of tensors that the index puts there
	for tensor, shard := range weightMap {
		if err := checkShardName(shard); err != nil {
			return fmt.Errorf("%s: tensor %.80q: shard %.80q %w", path, tensor, shard, err)
		}
		shards[shard]++
	}
	var sorted []string
	for shard := range shards {
		sorted = append(sorted, shard)
	}
	slices.Sort(sorted)
	for _, shard := range sorted {
		f, err := Open(filepath.Join(filepath.Dir(path), shard))
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: shard %.80q is missing: download it into the same folder", path, shard)
		}
		if err != nil {
			return err
		}
		s.shards = append(s.shards, f)
		for _, name := range f.Names() {
			if weightMap[name] != shard {
				return fmt.Errorf("%s: tensor %.80q lies in shard %.80q, but the index puts it in %.80q", path, name, shard, weightMap[name])
			}
			s.names = append(s.names, name)
			s.of[name] = f
		}
	}
	for name, shard := range weightMap {
		if s.of[name] == nil {
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
	file, size, err := checkpoint.OpenFile(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if size > maxHeaderBytes {
		return nil, fmt.Errorf("%s: the index has %d bytes, expected %d at most", path, size, maxHeaderBytes)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(file, b); err != nil {
		return nil, fmt.Errorf("%s: reading the index: %w", path, err)
	}
	return parseIndex(b, path)
}

func parseIndex(b []byte, path string) (map[string]string, error) {
	p, err := newParser(b, 0, path)
	if err != nil {
		return nil, err
	}
	var weightMap map[string]string
	err = p.object("index", func(key string) error {
		if key == "weight_map" {
			weightMap = map[string]string{}
			return p.strings(key, weightMap)
		}
		return p.skip(key) // metadata has a total size, which many files get wrong
	})
	if err == nil {
		err = p.finish("index")
	}
	if err == nil && len(weightMap) == 0 {
		err = fmt.Errorf("%s: the index has no weight_map, or an empty one", path)
	}
	return weightMap, err
}

// Names returns the names of the tensors, shard by shard.
func (s *Sharded) Names() []string { return s.names }

// Tensor finds a tensor by name.
func (s *Sharded) Tensor(name string) (*checkpoint.Tensor, bool) {
	f, ok := s.of[name]
	if !ok {
		return nil, false
	}
	return f.Tensor(name)
}

// Close closes all shards. Closing twice is harmless.
func (s *Sharded) Close() error {
	var errs []error
	for _, f := range s.shards {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
