package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/clipgo/clipgo"
)

// modelFlags are the flags of every command that computes.
func modelFlags(more ...cli.Flag) []cli.Flag {
	return append(more,
		&cli.StringFlag{Name: "model", Aliases: []string{"m"}, EnvVars: []string{"CLIPGO_MODEL"}, Usage: "GGUF `FILE` of the model (default: the demo model inside)"},
		&cli.IntFlag{Name: "threads", Aliases: []string{"t"}, Usage: "threads that compute (default: the processors of this process)"},
		&cli.StringFlag{Name: "activations", Value: "int8", Usage: "with quantised weights: int8, int8-row or float32; with F16 and BF16 weights also bfloat16"},
		&cli.StringFlag{Name: "isa", Usage: "force an instruction set; `clipgo version` lists them"},
		&cli.BoolFlag{Name: "interpreter", Usage: "compute slowly in Go, without the native engine"},
		&cli.BoolFlag{Name: "strict", Usage: "a text longer than the model's context is an error"},
	)
}

var activations = map[string]clipgo.Activations{
	"int8":     clipgo.Int8PerBlock,
	"int8-row": clipgo.Int8PerRow,
	"float32":  clipgo.Float32,
	"bfloat16": clipgo.BFloat16,
}

// openModel opens the model that the flags name. The demo model says what it is, since nobody asked for it.
func openModel(c *cli.Context, s streams) (*clipgo.Model, error) {
	a, ok := activations[c.String("activations")]
	if !ok {
		return nil, fmt.Errorf("--activations is %q, expected int8, int8-row, float32 or bfloat16", c.String("activations"))
	}
	if c.Int("threads") < 0 {
		return nil, fmt.Errorf("--threads is %d, expected 1 or more", c.Int("threads"))
	}
	options := []clipgo.Option{
		clipgo.WithThreads(c.Int("threads")),
		clipgo.WithISA(c.String("isa")),
		clipgo.WithActivations(a),
		clipgo.WithWarnings(func(text string) { s.warn("warning: %s", text) }),
	}
	if c.Bool("interpreter") {
		options = append(options, clipgo.WithInterpreter())
	}
	if c.Bool("strict") {
		options = append(options, clipgo.WithStrict())
	}
	path := c.String("model")
	if path == "" {
		s.warn("no --model: using the demo model, which knows emoji and little else")
		return clipgo.OpenDemo(options...)
	}
	m, err := clipgo.Open(path, options...)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("model %s: no such file; make one with `clipgo convert`, or leave --model out for the demo model", path)
	}
	return m, err
}
