package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/clipgo/clipgo/convert"
	"github.com/clipgo/clipgo/internal/cachedir"
	"github.com/clipgo/clipgo/internal/filelock"
	"github.com/clipgo/clipgo/internal/hub"
	"github.com/clipgo/clipgo/quantize"
)

// defaultHubType is what a checkpoint of the Hub becomes without a type in its name.
const defaultHubType = "F16"

// hubModels are the models of the Hub as GGUF files. What is converted lies in
//
//	STORE/models--ORG--NAME/COMMIT/NAME-TYPE.gguf
//
// and a model that is a GGUF file on the Hub, where that is linked to the Hub's cache. STORE/models--ORG--NAME/refs/REVISION
// is the commit that was pulled last. So a model that was pulled needs neither the network nor the Hub's cache any more.
type hubModels struct {
	s      streams
	client *hub.Client
	store  string
	bar    *progress
}

func newHubModels(s streams) (*hubModels, error) {
	root, err := cachedir.Root()
	if errors.Is(err, cachedir.ErrOff) {
		err = fmt.Errorf("%w, but models of the Hub need one; set it, or make a file with `clipgo convert ORG/NAME -o FILE`", err)
	}
	if err != nil {
		return nil, err
	}
	h, err := newHubClient(s)
	if err != nil {
		return nil, err
	}
	h.store = filepath.Join(root, "hub")
	return h, nil
}

// newHubClient is for a command that only downloads.
func newHubClient(s streams) (*hubModels, error) {
	client, err := hub.FromEnvironment()
	if err != nil {
		return nil, err
	}
	h := &hubModels{s: s, client: client, bar: newProgress(s.err, "download")}
	client.Notice = func(text string) {
		h.bar.clear()
		s.warn("%s", text)
	}
	client.Progress = func(done, total int64) { h.bar.update(done, total, byteSize) }
	return h, nil
}

// fileExtensions are those of names that are meant as files, even if they look like a model of the Hub and aren't there.
var fileExtensions = []string{".gguf", ".safetensors", ".bin", ".pt", ".pth", ".npz", ".json"}

// hubName takes a name for a model of the Hub, unless there is a file or folder of that name.
func hubName(name string) (n hub.Name, ok bool) {
	if _, err := os.Stat(name); err == nil || errors.Is(err, fs.ErrPermission) {
		return n, false
	}
	n, err := hub.ParseName(name)
	return n, err == nil && !slices.Contains(fileExtensions, path.Ext(n.Repo))
}

// modelPath returns the path of a GGUF file that a command was given by its path, or as a model of the Hub. What was pulled
// before is taken as it is; only clipgo pull asks the Hub for a newer one.
func modelPath(ctx context.Context, s streams, name string) (string, error) {
	n, ok := hubName(name)
	if !ok {
		return name, nil
	}
	h, err := newHubModels(s)
	if err != nil {
		return "", err
	}
	return h.file(ctx, n, false)
}

// file returns the path of a model's GGUF file, which it downloads and converts if need be. fresh asks the Hub what its
// revision is now.
func (h *hubModels) file(ctx context.Context, n hub.Name, fresh bool) (string, error) {
	policy, err := hubPolicy(n.Variant)
	if err != nil {
		return "", err
	}
	if !fresh {
		if commit, err := hub.ReadRef(h.dir(n), n.Revision); err == nil {
			if file, ok := h.kept(n, commit, policy); ok {
				return file, nil
			}
		}
	}
	snapshot, err := h.client.Snapshot(ctx, n.Repo, n.Revision)
	if err != nil && !fresh {
		err = fmt.Errorf("%w (and there is no file %s here)", err, n) // which may be what was meant
	}
	if err != nil {
		return "", err
	}
	file, ok := h.kept(n, snapshot.Commit, policy)
	if !ok {
		if file, err = h.make(ctx, n, snapshot, policy); err != nil {
			return "", err
		}
	}
	return file, hub.WriteRef(h.dir(n), n.Revision, snapshot.Commit)
}

// hubPolicy reads the type in a model's name; nil for the name of a file.
func hubPolicy(variant string) (*quantize.Policy, error) {
	if path.Ext(variant) == ".gguf" {
		return nil, nil
	}
	return quantize.ParsePolicy(cmp.Or(variant, defaultHubType))
}

// dir is a model's folder.
func (h *hubModels) dir(n hub.Name) string { return filepath.Join(h.store, hub.FolderName(n.Repo)) }

// path is where a model's file of a type lies; "": the one of a repository of GGUF files that is taken without a type.
func (h *hubModels) path(n hub.Name, commit, typeName string) string {
	name := path.Base(n.Repo)
	if typeName != "" {
		name += "-" + typeName
	}
	return filepath.Join(h.dir(n), commit, name+".gguf")
}

// kept finds a file that was made before.
func (h *hubModels) kept(n hub.Name, commit string, policy *quantize.Policy) (file string, ok bool) {
	var paths []string
	switch {
	case policy == nil:
		paths = []string{filepath.Join(h.dir(n), commit, n.Variant)}
	case n.Variant == "":
		paths = []string{h.path(n, commit, policy.Name()), h.path(n, commit, "")}
	default:
		paths = []string{h.path(n, commit, policy.Name())}
	}
	i := slices.IndexFunc(paths, func(path string) bool {
		_, err := os.Stat(path)
		return err == nil
	})
	if i < 0 {
		return "", false
	}
	return paths[i], true
}

// make downloads what a model's file is made of, and makes it.
func (h *hubModels) make(ctx context.Context, n hub.Name, snapshot *hub.Snapshot, policy *quantize.Policy) (file string, err error) {
	_, notCheckpoint := convert.Files(snapshot.Files)
	if policy == nil || notCheckpoint != nil && slices.ContainsFunc(snapshot.Files, isModelGGUF) {
		return h.fetchGGUF(ctx, n, snapshot, policy)
	}
	if err := h.fetchCheckpoint(ctx, snapshot); err != nil {
		return "", err
	}
	out := h.path(n, snapshot.Commit, policy.Name())
	return out, h.once(ctx, out, func() error {
		return runConvert(ctx, h.s, snapshot.Dir, out, convert.Options{Type: policy.Name(), Name: n.Repo})
	})
}

// fetch downloads files, with a bar.
func (h *hubModels) fetch(ctx context.Context, snapshot *hub.Snapshot, files []string) error {
	h.bar = newProgress(h.s.err, "download")
	h.bar.active = h.bar.active && !hub.NoProgressBars()
	defer h.bar.clear()
	return h.client.Fetch(ctx, snapshot, files)
}

// fetchCheckpoint downloads what convert reads.
func (h *hubModels) fetchCheckpoint(ctx context.Context, snapshot *hub.Snapshot) error {
	files, err := convert.Files(snapshot.Files)
	if err != nil {
		return fmt.Errorf("%s: %w", snapshot, err)
	}
	if err := h.fetch(ctx, snapshot, files); err != nil {
		return err
	}
	weights := files[len(files)-1]
	if !convert.IsIndex(weights) {
		return nil
	}
	shards, err := convert.Shards(filepath.Join(snapshot.Dir, weights))
	if err != nil {
		return err
	}
	return h.fetch(ctx, snapshot, shards)
}

// once calls work, which makes the file at out, in one process at a time, unless another has made it meanwhile.
func (h *hubModels) once(ctx context.Context, out string, work func() error) error {
	if err := os.MkdirAll(filepath.Dir(out), 0o777); err != nil {
		return err
	}
	lock, err := filelock.Acquire(ctx, out+".lock", func() { h.s.warn("another process makes %s; waiting", out) })
	if err != nil {
		return err
	}
	defer lock.Release()
	if _, err := os.Stat(out); err == nil {
		return nil
	}
	return work()
}

// fetchGGUF downloads the GGUF file that a repository holds ready, or makes one of another type of one.
func (h *hubModels) fetchGGUF(ctx context.Context, n hub.Name, snapshot *hub.Snapshot, policy *quantize.Policy) (string, error) {
	name, err := chooseGGUF(snapshot.Files, n.Variant, policy)
	if err != nil {
		return "", fmt.Errorf("%s: %w", snapshot, err)
	}
	if err := h.fetch(ctx, snapshot, []string{name}); err != nil {
		return "", err
	}
	source := filepath.Join(snapshot.Dir, filepath.FromSlash(name))
	var out string
	switch {
	case policy == nil:
		out = filepath.Join(h.dir(n), snapshot.Commit, n.Variant)
	case n.Variant == "":
		out = h.path(n, snapshot.Commit, "")
	case typeOf(name) == policy.Name():
		out = h.path(n, snapshot.Commit, policy.Name())
	default:
		out = h.path(n, snapshot.Commit, policy.Name())
		return out, h.once(ctx, out, func() error { return runQuantize(ctx, h.s, source, out, quantize.Options{Policy: policy}) })
	}
	// The link remembers the choice. Where there are no links the Hub is asked again.
	if os.MkdirAll(filepath.Dir(out), 0o777) != nil || os.Symlink(source, out) != nil {
		return source, nil
	}
	return out, nil
}

var partGGUF = regexp.MustCompile(`(?i)mmproj|text-model|vision-model|-\d{5}-of-\d{5}\.gguf$`)

// isModelGGUF says whether a repository's file is a whole model in GGUF: text and image tower, in one piece.
func isModelGGUF(name string) bool {
	return path.Ext(name) == ".gguf" && !partGGUF.MatchString(path.Base(name))
}

// typeOf is the type that the name of a GGUF file ends with, "" without one.
func typeOf(name string) string {
	stem := strings.TrimSuffix(path.Base(name), ".gguf")
	for i, c := range stem {
		if strings.ContainsRune("-_.", c) {
			if policy, err := quantize.ParsePolicy(stem[i+1:]); err == nil {
				return policy.Name()
			}
		}
	}
	return ""
}

// chooseGGUF returns the file that was asked for: by its name, by its type, or, where there is none of that type, one of full
// precision to make it of. Without a type it is one of the widest type that there is but F32. Files whose names have no type
// come last.
func chooseGGUF(files []string, variant string, policy *quantize.Policy) (string, error) {
	whole := where(files, isModelGGUF)
	var found []string
	if policy == nil {
		found = where(files, func(name string) bool { return path.Base(name) == variant })
	} else {
		types := []string{"F16", "BF16", "F32"}
		if variant == "" {
			types = append(types, quantize.Names()...)
		} else {
			types = slices.Insert(types, 0, policy.Name())
		}
		for _, t := range append(types, "") {
			if found = where(whole, func(name string) bool { return typeOf(name) == t }); len(found) > 0 {
				break
			}
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	return "", fmt.Errorf("%d of its GGUF files fit; there are %s; expected ORG/NAME:TYPE or ORG/NAME:FILE.gguf that names one", len(found), shorten(whole, 6))
}

func where(names []string, fits func(name string) bool) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !fits(name) })
}
