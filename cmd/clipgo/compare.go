package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/clipgo/clipgo"
	"github.com/clipgo/clipgo/gguf"
)

func compareCommand(s streams) *cli.Command {
	flags := append([]cli.Flag{
		&cli.StringSliceFlag{Name: "images", Usage: "`FOLDER` (or file) with pictures like those to be classified; may be repeated"},
	}, labelFlags()...)
	flags = append(flags,
		&cli.BoolFlag{Name: "json", Usage: "print one JSON object"},
		&cli.StringFlag{Name: "html", Usage: "also write `FILE`, a report with plots and the worst pictures in it"},
	)
	return newCommand(&cli.Command{
		Name:      "compare",
		Usage:     "measure what a smaller model file lost and gained",
		ArgsUsage: "A.gguf B.gguf",
		Description: `Both models embed the pictures, and classify them if there are labels. A is what B is measured by.

Example:
  clipgo compare clip.gguf clip-Q4_K_M.gguf --images pictures/ --labels cat,dog,bird --html report.html

Exit status: 0 all pictures compared, 1 some of them failed, 2 nothing compared.`,
		Flags:  append(flags, engineFlags()...),
		Action: func(c *cli.Context) error { return compareAction(c, s) },
	})
}

func compareAction(c *cli.Context, s streams) error {
	if c.NArg() != 2 {
		return fmt.Errorf("compare: %d files, expected two: A.gguf B.gguf; see `clipgo compare --help`", c.NArg())
	}
	if len(c.StringSlice("images")) == 0 {
		return errors.New("compare: no pictures: give --images FOLDER")
	}
	options, err := engineOptions(c, s)
	if err != nil {
		return err
	}
	x := &comparing{images: c.StringSlice("images"), options: options}
	if err := x.readLabels(c); err != nil {
		return err
	}
	if x.a, err = modelPath(c.Context, s, c.Args().Get(0)); err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	if x.b, err = modelPath(c.Context, s, c.Args().Get(1)); err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	result, err := x.run(c.Context, s)
	if err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	if c.Bool("json") {
		err = printComparisonJSON(s.out, result)
	} else {
		err = printComparison(s.out, result)
	}
	if err != nil {
		return err
	}
	if path := c.String("html"); path != "" {
		if err := writeReport(c.Context, path, result, x.load); err != nil {
			return fmt.Errorf("compare: writing %s: %w", path, withoutPath(err))
		}
		s.warn("wrote %s", path)
	}
	if result.Failed > 0 {
		return errPartial
	}
	return nil
}

// comparing is a comparison to be made.
type comparing struct {
	a, b      string // files
	images    []string
	labels    []string
	templates []string
	options   []clipgo.Option

	load func(ctx context.Context, i int) (*clipgo.Image, error) // set by run
}

// readLabels reads the flags of labelFlags; no labels are fine here.
func (x *comparing) readLabels(c *cli.Context) (err error) {
	x.templates = c.StringSlice("template")
	if !slices.ContainsFunc([]string{"label", "labels", "labels-file"}, c.IsSet) {
		if len(x.templates) > 0 {
			return fmt.Errorf("%s: --template without labels: give --labels too", c.Command.Name)
		}
		return nil
	}
	x.labels, err = readLabels(c)
	return err
}

// run compares, and reports the pictures that failed.
func (x *comparing) run(ctx context.Context, s streams) (*comparison, error) {
	a, err := openToCompare(x.a)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	b, err := openToCompare(x.b)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	pictures, _ := expand(x.images)
	if x.load, err = loader(ctx, s, pictures, clipgo.ImageOptions{}); err != nil {
		return nil, err
	}
	bar := newProgress(s.err, "compare")
	defer bar.clear()
	failed := map[int]bool{}
	work := &measurement{load: x.load, labels: x.labels, templates: x.templates}
	for _, p := range pictures {
		work.names = append(work.names, shortName(p.name))
	}
	work.failed = func(i int, err error) {
		if !failed[i] { // what can't be read fails twice
			bar.clear()
			s.warn("%v", err)
		}
		failed[i] = true
	}
	warned := map[string]bool{} // what both models warn of is said once
	options := append(slices.Clip(x.options), clipgo.WithWarnings(func(text string) {
		if !warned[text] {
			bar.clear()
			s.warn("warning: %s", text)
		}
		warned[text] = true
	}))
	work.warmUp(ctx, options)
	var runs [2]*modelRun
	for i, path := range []string{x.a, x.b} {
		work.progress = func(done int) {
			bar.update(int64(i*len(pictures)+done), int64(2*len(pictures)), count)
		}
		runs[i], err = work.run(ctx, func() (*clipgo.Model, error) { return openFile(path, options) })
		if err != nil {
			return nil, err
		}
	}
	if err := x.time(ctx, work, runs, options); err != nil {
		return nil, err
	}
	result, err := compareRuns(work, runs[0], runs[1])
	if err != nil {
		return nil, err
	}
	if result.Pictures == 0 {
		return nil, errReported
	}
	result.A.File, result.A.Bytes = x.a, a.Size()
	result.B.File, result.B.Bytes = x.b, b.Size()
	if result.Tensors, result.Others, err = compareTensors(ctx, a, b); err != nil {
		return nil, err
	}
	return result, nil
}

// time opens both models again, side by side.
func (x *comparing) time(ctx context.Context, work *measurement, runs [2]*modelRun, options []clipgo.Option) error {
	var models [2]*clipgo.Model
	for k, path := range []string{x.a, x.b} {
		m, err := openFile(path, options)
		if err != nil {
			return err
		}
		defer m.Close()
		models[k] = m
	}
	return work.time(ctx, models, runs)
}

func openToCompare(path string) (*gguf.File, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, fmt.Errorf("%s: this is a folder, expected a GGUF file", path)
	}
	return gguf.Open(path)
}

func printComparisonJSON(w io.Writer, c *comparison) error {
	b, err := marshal(c)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// printComparison prints for people.
func printComparison(out io.Writer, c *comparison) error {
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, "A  %s\nB  %s\n\n", c.A.File, c.B.File)
	fmt.Fprintf(w, "%-18s%12s%12s%12s\n", "", "A", "B", "B / A")
	for _, row := range costs(c) {
		fmt.Fprintf(w, "%-18s%12s%12s%12s\n", row.Name, row.A, row.B, row.Ratio)
	}
	if c.A.Peak > 0 {
		fmt.Fprint(w, "(memory: the most that the process grew while the model was open, pictures included)\n")
	}
	fmt.Fprintf(w, "\nimage embeddings of %d pictures: cosine %.6f on average, %.6f at worst\n", c.Pictures, c.Images.Mean, c.Images.Worst)
	for _, p := range c.Worst {
		fmt.Fprintf(w, "  %.6f  %s\n", p.Cosine, p.Image)
	}
	if l := c.Labels; l != nil {
		fmt.Fprintf(w, "\n%d labels: the same one is best for %d of %d pictures (%.2f%%)\n", l.Count, l.SameTop, c.Pictures, 100*l.Agreement)
		fmt.Fprintf(w, "  largest change of a score: %.3f%% -> %.3f%%, %s in %s\n", 100*l.Change.A, 100*l.Change.B, l.Change.Label, l.Change.Image)
		fmt.Fprintf(w, "  text embeddings: cosine %.6f on average, %.6f at worst (%s)\n", l.Texts.Mean, l.Texts.Worst, l.WorstText)
	}
	fmt.Fprintf(w, "\n%d tensors in both files", len(c.Tensors))
	if n := len(c.Others); n > 0 {
		fmt.Fprintf(w, " (%d not compared, such as %s: %s)", n, c.Others[0].Name, c.Others[0].Why)
	}
	fmt.Fprint(w, "; the greatest errors |A - B| / |A|:\n")
	for _, t := range worstTensors(c.Tensors, 5) {
		fmt.Fprintf(w, "  %-10s  %-6s -> %-6s  %s\n", t.errorText(), t.A, t.B, t.Name)
	}
	return w.Flush()
}

// costRow is a line of the table of what the models cost.
type costRow struct{ Name, A, B, Ratio string }

func costs(c *comparison) []costRow {
	row := func(name string, a, b float64, format func(float64) string) costRow {
		return costRow{name, format(a), format(b), fmt.Sprintf("%.2f", b/a)}
	}
	size := func(n float64) string { return byteSize(int64(n)) }
	rows := []costRow{row("size of the file", float64(c.A.Bytes), float64(c.B.Bytes), size)}
	if c.A.Peak > 0 && c.B.Peak > 0 {
		rows = append(rows, row("peak memory", float64(c.A.Peak), float64(c.B.Peak), size))
	}
	return append(rows, row("time per picture", c.A.Seconds, c.B.Seconds, func(s float64) string { return fmt.Sprintf("%.2f ms", 1000*s) }))
}

func (t *tensorError) errorText() string {
	if t.Error == nil {
		return "undefined"
	}
	return fmt.Sprintf("%.6f", *t.Error)
}

// worstTensors returns at most n, those whose error is undefined first.
func worstTensors(tensors []tensorError, n int) []tensorError {
	sorted := slices.Clone(tensors)
	slices.SortStableFunc(sorted, func(x, y tensorError) int {
		if x.Error == nil || y.Error == nil {
			return cmp.Compare(defined(x), defined(y))
		}
		return cmp.Compare(*y.Error, *x.Error)
	})
	return sorted[:min(n, len(sorted))]
}

func defined(t tensorError) int {
	if t.Error == nil {
		return 0
	}
	return 1
}
