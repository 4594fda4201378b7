package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/quantize"
)

func quantizeCommand(s streams) *cli.Command {
	return newCommand(&cli.Command{
		Name:      "quantize",
		Usage:     "make a GGUF file smaller",
		ArgsUsage: "IN.gguf|ORG/NAME [OUT.gguf] TYPE",
		Description: "TYPE is one of\n" + typeNames("\n") + ";\n" +
			"Q3_K, Q4_K and Q5_K mean their _M. With --target-size TYPE may be left out.\n" + `Without OUT.gguf the output lies beside the input, with the type in its name.

Examples:
  clipgo quantize clip.gguf Q8_0
  clipgo quantize clip.gguf small.gguf --target-size 60M`,
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "pure", Usage: "every tensor that is quantised gets TYPE itself, whatever its mix says"},
			&cli.StringSliceFlag{Name: "tensor-type", Usage: "`PATTERN=TYPE` for tensors whose name the regular expression matches;\n\tmay be repeated"},
			&cli.BoolFlag{Name: "allow-requantize", Usage: "take a file that is quantised already, and lose twice"},
			&cli.StringFlag{Name: "imatrix", Usage: "`FILE` with the importance of each column"},
			&cli.StringFlag{Name: "target-size", Usage: "the best mix of types whose file has at most `SIZE` bytes, such as 60M"},
			&cli.BoolFlag{Name: "dry-run", Usage: "print what each tensor would become, and write nothing"},
			&cli.StringSliceFlag{Name: "check", Usage: "at the end compare both files over the pictures in `FOLDER` (or file);\n\tmay be repeated. With labels, their scores too"},
			compatFlag(),
		}, labelFlags()...),
		Action: func(c *cli.Context) error { return quantizeAction(c, s) },
	})
}

// typeNames lists the types on two lines.
func typeNames(newline string) string {
	names := quantize.Names()
	half := len(names) / 2
	return strings.Join(names[:half], ", ") + "," + newline + strings.Join(names[half:], ", ")
}

func quantizeAction(c *cli.Context, s streams) error {
	in, out, typeName, err := quantizeArguments(c)
	if err != nil {
		return err
	}
	o := quantize.Options{AllowRequantize: c.Bool("allow-requantize")}
	if o.Policy, err = quantize.ParsePolicy(typeName); err != nil {
		return fmt.Errorf("quantize: %w", err)
	}
	if c.Bool("pure") {
		o.Policy.Pure()
	}
	for _, override := range c.StringSlice("tensor-type") {
		if err := o.Policy.ParseOverride(override); err != nil {
			return fmt.Errorf("quantize: --tensor-type: %w", err)
		}
	}
	if size := c.String("target-size"); size != "" {
		if o.TargetSize, err = parseSize(size); err != nil {
			return fmt.Errorf("quantize: --target-size: %w", err)
		}
	}
	if path := c.String("imatrix"); path != "" {
		if o.Imatrix, err = quantize.ReadImatrix(path); err != nil {
			return fmt.Errorf("quantize: %w", err)
		}
		o.ImatrixFile = path
	}
	if in, err = modelPath(c.Context, s, in); err != nil {
		return fmt.Errorf("quantize: %w", err)
	}
	check, err := newCheck(c, in, out)
	if err != nil {
		return err
	}
	if c.Bool("dry-run") {
		report, err := quantize.Plan(c.Context, in, o)
		if err != nil {
			return fmt.Errorf("quantize: %w", err)
		}
		return printPlan(s.out, report)
	}
	if err := runQuantize(c.Context, s, in, out, o); err != nil {
		return fmt.Errorf("quantize: %w", err)
	}
	if check == nil {
		return nil
	}
	return printCheck(c, s, check)
}

// runQuantize quantises, with a bar, and says what it wrote.
func runQuantize(ctx context.Context, s streams, in, out string, o quantize.Options) error {
	bar := newProgress(s.err, "quantize")
	o.Progress = func(done, total int64) { bar.update(done, total, byteSize) }
	report, err := quantize.File(ctx, in, out, o)
	bar.clear()
	if err != nil {
		return err
	}
	types := map[gguf.Type]int{}
	for i := range report.Tensors {
		types[report.Tensors[i].To]++
	}
	if n := report.Fallbacks(); n > 0 {
		s.warn("%d of %d tensors have rows that the blocks of their type don't divide, and are kept wider", n, len(report.Tensors))
	}
	s.warn("wrote %s: %s, %s instead of %s (%s)", out, report.Policy, byteSize(report.BytesOut), byteSize(report.BytesIn), typeCounts(types))
	return nil
}

// newCheck prepares the comparison of --check, nil without it.
func newCheck(c *cli.Context, in, out string) (*comparing, error) {
	x := &comparing{a: in, b: out, images: c.StringSlice("check")}
	if err := x.readLabels(c); err != nil {
		return nil, err
	}
	if len(x.images) == 0 {
		if len(x.labels) > 0 {
			return nil, errors.New("quantize: labels are for --check FOLDER, which is missing")
		}
		if c.IsSet("compat") {
			return nil, errors.New("quantize: --compat is for --check FOLDER, which is missing")
		}
		return nil, nil
	}
	var err error
	if x.options, err = compatOptions(c); err != nil {
		return nil, fmt.Errorf("quantize: %w", err)
	}
	if c.Bool("dry-run") {
		return nil, errors.New("quantize: --check needs the file that --dry-run doesn't write")
	}
	if a, err := os.Stat(in); err == nil {
		if b, err := os.Stat(out); err == nil && os.SameFile(a, b) {
			return nil, fmt.Errorf("quantize: --check needs %s, which the output would replace: name another output", in)
		}
	}
	return x, nil
}

// printCheck compares the file that was written with what it was made of. Even if no picture works, something was done.
func printCheck(c *cli.Context, s streams, check *comparing) error {
	result, err := check.run(c.Context, s)
	if errors.Is(err, errReported) {
		return errPartial
	}
	if err != nil {
		return fmt.Errorf("quantize: --check: %w", err)
	}
	if err := printComparison(s.out, result); err != nil {
		return err
	}
	if result.Failed > 0 {
		return errPartial
	}
	return nil
}

// quantizeArguments takes the arguments apart. Without OUT the output lies beside the input; of a model of the Hub, in the
// working directory.
func quantizeArguments(c *cli.Context) (in, out, typeName string, err error) {
	args := c.Args().Slice()
	target := c.IsSet("target-size")
	isType := func(s string) bool {
		_, err := quantize.ParsePolicy(s)
		return err == nil
	}
	switch {
	case len(args) == 3:
		return args[0], args[1], args[2], nil
	case len(args) == 2 && target && !isType(args[1]):
		return args[0], args[1], "Q4_K_M", nil
	case len(args) == 2:
		typeName = args[1]
	case len(args) == 1 && target:
		typeName = "Q4_K_M"
	default:
		return "", "", "", fmt.Errorf("quantize: %d arguments, expected IN.gguf [OUT.gguf] TYPE; see `clipgo quantize --help`", len(args))
	}
	name := strings.ToUpper(typeName)
	if target {
		name = strings.ToUpper(c.String("target-size"))
	}
	base := strings.TrimSuffix(args[0], filepath.Ext(args[0]))
	if n, ok := hubName(args[0]); ok {
		base = path.Base(n.Repo)
	}
	for _, known := range quantize.Names() {
		base = strings.TrimSuffix(base, "-"+known)
	}
	return args[0], base + "-" + name + ".gguf", typeName, nil
}

// parseSize reads a number of bytes with an optional unit: K, M, G of 1000, or Ki, Mi, Gi of 1024; a B may follow.
func parseSize(s string) (int64, error) {
	number, unit := s, 1.0
	for suffix, size := range map[string]float64{"K": 1e3, "M": 1e6, "G": 1e9, "KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30} {
		upper := strings.TrimSuffix(strings.ToUpper(s), "B")
		if rest, ok := strings.CutSuffix(upper, suffix); ok {
			number, unit = rest, size
		}
	}
	if unit == 1 {
		number = strings.TrimSuffix(strings.ToUpper(s), "B")
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !(n > 0) || n*unit > math.MaxInt64/2 {
		return 0, fmt.Errorf("%q is no size; expected a number of bytes such as 60M or 1.5G", s)
	}
	return int64(n * unit), nil
}

func printPlan(w io.Writer, report *quantize.Report) error {
	for i := range report.Tensors {
		t := &report.Tensors[i]
		why := t.Why
		if t.Fallback {
			why += " (fallback)"
		}
		fmt.Fprintf(w, "%-32s  %-6s -> %-6s  %12d -> %12d bytes  %s\n", t.Name, t.From, t.To, t.BytesIn, t.BytesOut, why)
	}
	_, err := fmt.Fprintf(w, "%d tensors, %s -> %s\n", len(report.Tensors), byteSize(report.BytesIn), byteSize(report.BytesOut))
	return err
}
