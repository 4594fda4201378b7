package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/clipgo/clipgo"
	"github.com/clipgo/clipgo/quantize"
)

func imatrixCommand(s streams) *cli.Command {
	return newCommand(&cli.Command{
		Name:  "imatrix",
		Usage: "gather which columns of the weights matter, for quantize --imatrix",
		Description: `The importance matrix tells the types of few bits where precision counts.

Example:
  clipgo imatrix -m clip.gguf --images pictures/ --texts prompts.txt -o clip.imatrix
  clipgo quantize clip.gguf Q4_K_M --imatrix clip.imatrix`,
		Flags: modelFlags(
			&cli.StringSliceFlag{Name: "images", Usage: "`FOLDER` (or file) with pictures like those to be classified; may be repeated"},
			&cli.StringFlag{Name: "texts", Usage: "`FILE` with a text on each line, as the text tower will see them"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FILE` to write, in llama.cpp's GGUF form"},
		),
		Action: func(c *cli.Context) error { return imatrix(c, s) },
	})
}

func imatrix(c *cli.Context, s streams) error {
	out := c.String("output")
	switch {
	case c.NArg() > 0:
		return fmt.Errorf("imatrix: unexpected argument %q: name pictures with --images", c.Args().First())
	case out == "":
		return errors.New("imatrix: no output: give -o FILE.imatrix")
	case len(c.StringSlice("images")) == 0 && c.String("texts") == "":
		return errors.New("imatrix: nothing to run over: give --images FOLDER, --texts FILE, or both")
	}
	var texts []string
	im := quantize.NewImatrix()
	if path := c.String("texts"); path != "" {
		var err error
		if texts, err = readLines(path); err != nil {
			return fmt.Errorf("imatrix: reading texts: %w", err)
		}
		if len(texts) == 0 {
			return fmt.Errorf("imatrix: reading texts: %s has no lines", path)
		}
		im.Datasets = append(im.Datasets, path)
	}
	im.Datasets = append(im.Datasets, c.StringSlice("images")...)
	pictures, _ := expand(c.StringSlice("images"))
	m, err := openModel(c, s)
	if err != nil {
		return err
	}
	defer m.Close()
	announceDemo(c, s)
	failed, err := observeAll(c.Context, s, m, im, pictures, texts)
	if err != nil {
		return err
	}
	done := len(pictures) + len(texts) - failed
	if done == 0 {
		return errReported
	}
	im.Chunks, im.ChunkSize = uint32(done), 1
	if err := im.WriteFile(out); err != nil {
		return fmt.Errorf("imatrix: writing %s: %w", out, withoutPath(err))
	}
	s.warn("wrote %s: %d tensors, %d pictures and texts", out, im.Len(), done)
	if failed > 0 {
		return errPartial
	}
	return nil
}

// observeAll runs pictures and texts through the model; pictures that can't be read are reported and counted.
func observeAll(ctx context.Context, s streams, m *clipgo.Model, im *quantize.Imatrix, pictures []picture, texts []string) (failed int, err error) {
	load, err := loader(ctx, s, pictures, clipgo.ImageOptions{})
	if err != nil {
		return 0, err
	}
	bar := newProgress(s.err, "imatrix")
	defer bar.clear()
	total := int64(len(pictures) + len(texts))
	for i := range pictures {
		image, err := load(ctx, i)
		if err == nil {
			err = m.ObserveImage(ctx, image, im)
		}
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		if err != nil {
			bar.clear()
			s.warn("%v", err)
			failed++
		}
		bar.update(int64(i+1), total, count)
	}
	for i, text := range texts {
		if err := m.ObserveText(ctx, text, im); err != nil {
			return 0, err
		}
		bar.update(int64(len(pictures)+i+1), total, count)
	}
	return failed, nil
}
