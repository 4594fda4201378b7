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
		Flags: modelFlags(
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FILE` to write, in NumPy's format: float32 [1, 3, height, width]"},
		),
		Action: func(c *cli.Context) error { return preprocess(c, s) },
	})
}

func preprocess(c *cli.Context, s streams) error {
	if c.NArg() != 1 {
		return fmt.Errorf("preprocess: %d pictures, expected one", c.NArg())
	}
	out := c.String("output")
	if out == "" {
		return errors.New("preprocess: no output: give -o FILE.npy")
	}
	load, err := loader(s, []picture{{name: c.Args().First()}})
	if err != nil {
		return err
	}
	image, err := load(c.Context, 0)
	if err != nil {
		return err
	}
	m, err := openModel(c, s)
	if err != nil {
		return err
	}
	defer m.Close()
	pixels, err := m.Processor().Pixels(image)
	if err != nil {
		return err
	}
	err = atomicfile.Write(out, func(w io.Writer) error { return npy.WriteFloat32(w, pixels.Shape, pixels.Values) })
	if err != nil {
		return fmt.Errorf("preprocess: %w", err)
	}
	return nil
}
