package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/clipgo/clipgo"
)

// picture is one image that a command was given.
type picture struct {
	name string // as given; inside a folder, joined with the path in it
	err  error  // why it can't be read at all, known before trying
}

// imageExtensions are what a walk through a folder takes for pictures. A file that is named is tried whatever its name.
var imageExtensions = map[string]bool{
	".jpg": true, ".jpeg": true, ".jpe": true, ".jfif": true, ".png": true, ".gif": true, ".webp": true, ".bmp": true,
	".tif": true, ".tiff": true, ".ppm": true, ".pgm": true, ".pbm": true, ".pnm": true,
}

// expand replaces folders by the pictures in them, subfolders included, in path order. walked says whether there was one.
func expand(args []string) (pictures []picture, walked bool) {
	for _, arg := range args {
		if strings.Contains(arg, "://") || strings.HasPrefix(arg, "data:") || arg == "-" {
			pictures = append(pictures, picture{name: arg})
			continue
		}
		if info, err := os.Stat(arg); err != nil || !info.IsDir() {
			pictures = append(pictures, picture{name: arg})
			continue
		}
		walked = true
		pictures = append(pictures, walk(arg)...)
	}
	return pictures, walked
}

// walk lists the pictures in a folder, which may be a link to one. Their names begin with the folder's as it was given.
func walk(dir string) []picture {
	prefix := dir
	if !os.IsPathSeparator(dir[len(dir)-1]) {
		prefix += string(os.PathSeparator)
	}
	var found []picture
	err := filepath.WalkDir(prefix, func(path string, d fs.DirEntry, err error) error {
		if rel, relErr := filepath.Rel(dir, path); relErr == nil && rel != "." {
			path = prefix + rel
		}
		if err != nil {
			found = append(found, picture{name: path, err: fmt.Errorf("image %s: %w", path, err)})
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !d.IsDir() && imageExtensions[strings.ToLower(filepath.Ext(path))] {
			found = append(found, picture{name: path})
		}
		return nil
	})
	if err != nil {
		found = append(found, picture{name: dir, err: err})
	}
	if len(found) == 0 {
		found = []picture{{name: dir, err: fmt.Errorf("folder %s: there are no pictures in it", dir)}}
	}
	sort.SliceStable(found, func(a, b int) bool { return found[a].name < found[b].name })
	return found
}

// shortName is a picture's name for people: a data: URI can be megabytes long.
func shortName(name string) string {
	if len(name) <= 200 {
		return name
	}
	return strings.ToValidUTF8(name[:64], "") + "..."
}

// withoutPath drops the name of a file that an error of package os begins with; the message names it already.
func withoutPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// readStdin reads a picture. A read that waits for a person can't be interrupted, but it can be left behind.
func readStdin(ctx context.Context, s streams) ([]byte, error) {
	const limit = 256 << 20
	var data []byte
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		data, err = io.ReadAll(io.LimitReader(s.in, limit+1))
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if err == nil && len(data) > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	if err == nil && len(data) == 0 {
		err = errors.New("it is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("reading a picture from the standard input: %w", err)
	}
	return data, nil
}

// fastDecodeFlag is read by imageOptions.
func fastDecodeFlag() cli.Flag {
	return &cli.BoolFlag{Name: "fast-decode", Usage: "decode large JPEG files at a fraction of their size: faster,\n\tand not quite the same (docs/performance.md, Pictures)"}
}

// imageOptions say how pictures for m are loaded.
func imageOptions(c *cli.Context, m *clipgo.Model) (o clipgo.ImageOptions, err error) {
	o = m.ImageOptions()
	if c.Bool("fast-decode") {
		o.ShortSide, err = m.Processor().FastSide()
	}
	return o, err
}

// loader loads pictures for a command; "-" is the standard input, which can be read once.
func loader(ctx context.Context, s streams, pictures []picture, options clipgo.ImageOptions) (func(ctx context.Context, i int) (*clipgo.Image, error), error) {
	var stdin []byte
	if slices.ContainsFunc(pictures, func(p picture) bool { return p.name == "-" }) {
		var err error
		if stdin, err = readStdin(ctx, s); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context, i int) (*clipgo.Image, error) {
		p := pictures[i]
		if p.err != nil {
			return nil, p.err
		}
		if p.name != "-" {
			return clipgo.LoadImage(ctx, p.name, options)
		}
		m, err := clipgo.DecodeImage(bytes.NewReader(stdin), options)
		if err != nil {
			return nil, fmt.Errorf("image from the standard input: %w", err)
		}
		return m, nil
	}, nil
}
