package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/clipgo/clipgo"
	"github.com/clipgo/clipgo/gguf"
)

// modelFlags are the flags of every command that computes.
func modelFlags(more ...cli.Flag) []cli.Flag {
	more = append(more,
		&cli.StringFlag{Name: "model", Aliases: []string{"m"}, EnvVars: []string{"CLIPGO_MODEL"}, Usage: "`MODEL`: a GGUF file, or ORG/NAME[@REVISION][:TYPE] of the Hub\n\t(default: the demo model inside)"})
	return append(more, engineFlags()...)
}

// engineFlags say how to compute; engineOptions reads them.
func engineFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "threads", Aliases: []string{"t"}, Usage: "at most `N` threads compute (default: one for each processor that this process may use)"},
		activationsFlag(), fastFlag(), isaFlag(),
		&cli.BoolFlag{Name: "interpreter", Usage: "compute slowly in Go, without the native engine"},
		compatFlag(),
		&cli.BoolFlag{Name: "strict", Usage: "a text longer than the model's context is an error"},
	}
}

func activationsFlag() cli.Flag {
	return &cli.StringFlag{Name: "activations", Value: "int8", Usage: "`KIND` of left sides of products: int8 (default), int8-block or float32\n\twith quantised weights (int8 also lets attention round where that is faster);\n\tbfloat16 also with F16 and BF16 ones"}
}

func fastFlag() cli.Flag {
	return &cli.BoolFlag{Name: "fast", Usage: "the same as --activations bfloat16: with F16 and BF16 weights, products of bfloat16\n\twhere the processor has them, and attention that may round"}
}

func isaFlag() cli.Flag {
	return &cli.StringFlag{Name: "isa", Usage: "force the instruction set `NAME`; clipgo version lists them"}
}

var activations = map[string]clipgo.Activations{
	"int8":       clipgo.Int8,
	"int8-block": clipgo.Int8PerBlock,
	"float32":    clipgo.Float32,
	"bfloat16":   clipgo.BFloat16,
}

// chosenActivations reads --activations and --fast.
func chosenActivations(c *cli.Context) (clipgo.Activations, error) {
	name := c.String("activations")
	a, ok := activations[name]
	if !ok {
		return a, fmt.Errorf("--activations is %q, expected int8, int8-block, float32 or bfloat16", name)
	}
	if c.Bool("fast") {
		if c.IsSet("activations") && a != clipgo.BFloat16 {
			return a, fmt.Errorf("--fast stands for --activations bfloat16, but --activations is %q: give one of them", name)
		}
		a = clipgo.BFloat16
	}
	return a, nil
}

func engineOptions(c *cli.Context, s streams) ([]clipgo.Option, error) {
	a, err := chosenActivations(c)
	if err != nil {
		return nil, err
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
	compat, err := compatOptions(c)
	if err != nil {
		return nil, err
	}
	options = append(options, compat...)
	if c.Bool("interpreter") {
		options = append(options, clipgo.WithInterpreter())
	}
	if c.Bool("strict") {
		options = append(options, clipgo.WithStrict())
	}
	return options, nil
}

func compatFlag() cli.Flag {
	return &cli.StringFlag{Name: "compat", Usage: "give the numbers of another `PROGRAM`: hf, hf5, hf4, openclip, openai or tfjs (default: hf;\n\tfor models from open_clip openclip); docs/parity.md tells what differs"}
}

// compatOptions reads compatFlag.
func compatOptions(c *cli.Context) ([]clipgo.Option, error) {
	if !c.IsSet("compat") {
		return nil, nil
	}
	mode, err := clipgo.ParseCompat(c.String("compat"))
	if err != nil {
		return nil, fmt.Errorf("--compat: %w", err)
	}
	return []clipgo.Option{clipgo.WithCompat(mode)}, nil
}

// openModel opens the model that the flags name.
func openModel(c *cli.Context, s streams, more ...clipgo.Option) (*clipgo.Model, error) {
	options, err := engineOptions(c, s)
	if err != nil {
		return nil, err
	}
	options = append(options, more...)
	path := c.String("model")
	if path == "" {
		return clipgo.OpenDemo(options...)
	}
	if path, err = modelPath(c.Context, s, path); err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("model %s: no such file; make one with `clipgo convert`, get one with `clipgo pull`, or leave --model out for the demo model", path)
	}
	return openFile(path, options)
}

func openFile(path string, options []clipgo.Option) (*clipgo.Model, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, fmt.Errorf("model %s: this is a folder, expected a GGUF file; make one with `clipgo convert %s`", path, path)
	}
	m, err := clipgo.Open(path, options...)
	var broken *gguf.FormatError
	if errors.As(err, &broken) {
		return nil, fmt.Errorf("model %w; copy the file again, or make it with `clipgo convert`", err)
	}
	return m, err
}

// announceDemo says that nobody chose the model, once it is clear that it will be used.
func announceDemo(c *cli.Context, s streams) {
	if c.String("model") == "" {
		s.warn("no --model: using the demo model, which knows emoji and little else")
	}
}
