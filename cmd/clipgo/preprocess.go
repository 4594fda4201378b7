package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/clipgo/clipgo/internal/atomicfile"
	"github.com/clipgo/clipgo/internal/npy"
)

func preprocessCommand(s streams) *cli.Command {
	return newCommand(&cli.Command{
		Name:      "preprocess",
		Usage:     "write the pixel values that the model is given for a picture",
		ArgsUsage: "IMAGE",
		Description: `Example:
  clipgo preprocess cat.jpg -o pixels.npy`,
		Flags: modelFlags(
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FILE` to write, in NumPy's format: float32 [1, 3, height, width]"},
			fastDecodeFlag(),
		),
		Action: func(c *cli.Context) error { return preprocess(c, s) },
	})
}

func preprocess(c *cli.Context, s streams) error {
	if c.NArg() != 1 {
		return fmt.Errorf("preprocess: %d pictures, expected one; see `clipgo preprocess --help`", c.NArg())
	}
	out := c.String("output")
	if out == "" {
		return errors.New("preprocess: no output: give -o FILE.npy")
	}
	m, err := openModel(c, s)
	if err != nil {
		return err
	}
	defer m.Close()
	options, err := imageOptions(c, m)
	if err != nil {
		return err
	}
	load, err := loader(c.Context, s, []picture{{name: c.Args().First()}}, options)
	if err != nil {
		return err
	}
	image, err := load(c.Context, 0)
	if err != nil {
		return err
	}
	announceDemo(c, s)
	pixels, err := m.Processor().Pixels(image)
	if err != nil {
		return err
	}
	err = atomicfile.Write(out, func(w io.Writer) error { return npy.WriteFloat32(w, pixels.Shape, pixels.Values) })
	if err != nil {
		return fmt.Errorf("preprocess: writing %s: %w", out, withoutPath(err))
	}
	return nil
}
