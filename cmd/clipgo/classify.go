package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
	"golang.org/x/text/width"

	"github.com/clipgo/clipgo"
)

func classifyCommand(s streams) *cli.Command {
	return newCommand(&cli.Command{
		Name:      "classify",
		Usage:     "score labels for pictures, best first",
		ArgsUsage: "IMAGE|FOLDER|URL|data:URI|- ...",
		Description: `Labels are words or phrases of your own. A folder is searched with its subfolders; - is the standard input.
Scores are those of transformers' zero-shot-image-classification pipeline; --compat gives another program's.

Examples:
  clipgo classify -l cat -l dog photo.jpg
  clipgo classify --labels-file animals.txt --top 3 --csv pictures/ >animals.csv
  curl -s https://example.org/cat.jpg | clipgo classify --labels cat,dog --json -

Exit status: 0 all pictures done, 1 some of them failed, 2 nothing done.`,
		Flags: append(modelFlags(append(labelFlags(),
			&cli.IntFlag{Name: "top", Usage: "print only the `N` best labels"},
			&cli.BoolFlag{Name: "logits", Usage: "also print the logits, scale and bias included"},
			&cli.BoolFlag{Name: "json", Usage: "print a list of scores and labels; for several pictures\n\ta list of such lists, with null for one that failed"},
			&cli.BoolFlag{Name: "jsonl", Usage: "print a line with a JSON object for each picture, as it is done"},
			fastDecodeFlag(),
			&cli.BoolFlag{Name: "csv", Usage: "print comma-separated values: image, label, score"},
		)...), resourceFlags()...),
		Action: func(c *cli.Context) error { return classify(c, s) },
	})
}

// labelFlags name the labels, which readLabels reads, and the prompts made of them.
func labelFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "label", Aliases: []string{"l"}, Usage: "a `LABEL`; may be repeated"},
		&cli.StringFlag{Name: "labels", Usage: "labels separated by commas: `A,B,C`"},
		&cli.StringFlag{Name: "labels-file", Usage: "`FILE` with a label on each line"},
		&cli.StringSliceFlag{Name: "template", Usage: "`TEXT` with one {} for the label (default: the model's own);\n\tmay be repeated, which averages"},
	}
}

func classify(c *cli.Context, s streams) error {
	if c.NArg() == 0 {
		return errors.New("classify: no pictures: give files, folders, addresses, data: URIs, or - for the standard input")
	}
	labels, err := readLabels(c)
	if err != nil {
		return err
	}
	if c.IsSet("top") && c.Int("top") < 1 {
		return fmt.Errorf("classify: --top is %d, expected 1 or more", c.Int("top"))
	}
	pictures, walked := expand(c.Args().Slice())
	printer, err := newPrinter(c, s, pictures, walked)
	if err != nil {
		return err
	}
	resources, err := resourceOptions(c)
	if err != nil {
		return err
	}
	m, err := openModel(c, s, resources...)
	if err != nil {
		return err
	}
	defer m.Close()
	var options []clipgo.ClassifyOption
	if templates := c.StringSlice("template"); len(templates) > 0 {
		options = append(options, clipgo.WithTemplates(templates...))
	}
	classifier, err := m.NewClassifier(c.Context, labels, options...)
	if err != nil {
		return fmt.Errorf("classify: %w", err)
	}
	if err := m.Release(clipgo.TextTower); err != nil {
		return err
	}
	announceDemo(c, s)
	return forEach(c, s, m, m.EncodeEach, pictures, printer, func(i int, embedding []float32) error {
		predictions, err := classifier.Score(embedding)
		if err != nil {
			return err
		}
		if top := c.Int("top"); top > 0 && top < len(predictions) {
			predictions = predictions[:top]
		}
		return printer.predictions(i, predictions)
	})
}

// resultPrinter prints what became of pictures, in order.
type resultPrinter interface {
	failed(i int, err error) error
	finish() error
}

// encodeEach is clipgo.Model's EncodeEach or EncodeEachRaw.
type encodeEach func(ctx context.Context, n int, load func(ctx context.Context, i int) (*clipgo.Image, error),
	emit func(i int, embedding []float32, err error) error) error

// forEach embeds pictures, reports those that fail, and draws progress. done gets each embedding.
func forEach(c *cli.Context, s streams, m *clipgo.Model, each encodeEach, pictures []picture, printer resultPrinter,
	done func(i int, embedding []float32) error) error {
	options, err := imageOptions(c, m)
	if err != nil {
		return err
	}
	if options.MaxPixels, err = m.MaxPixels(c.Context); err != nil {
		return err
	}
	options.Once = true
	load, err := loader(c.Context, s, pictures, options)
	if err != nil {
		return err
	}
	bar := newProgress(s.err, "pictures")
	bar.active = bar.active && len(pictures) > 8
	failures := 0
	err = each(c.Context, len(pictures), load, func(i int, embedding []float32, err error) error {
		bar.clear()
		if err != nil {
			failures++
			s.warn("%v", err)
			if err := printer.failed(i, err); err != nil {
				return err
			}
		} else if err := done(i, embedding); err != nil {
			return err
		}
		bar.update(int64(i+1), int64(len(pictures)), count)
		return nil
	})
	bar.clear()
	if err != nil {
		return err
	}
	if err := printer.finish(); err != nil {
		return err
	}
	switch {
	case failures == len(pictures):
		return errReported
	case failures > 0:
		return errPartial
	}
	return nil
}

// readLabels collects the labels of all three flags, in the order label, labels, labels-file.
func readLabels(c *cli.Context) ([]string, error) {
	labels := c.StringSlice("label")
	if list := c.String("labels"); list != "" {
		for _, label := range strings.Split(list, ",") {
			if label = strings.TrimSpace(label); label != "" {
				labels = append(labels, label)
			}
		}
	}
	if path := c.String("labels-file"); path != "" {
		lines, err := readLines(path)
		if err != nil {
			return nil, fmt.Errorf("%s: reading labels: %w", c.Command.Name, err)
		}
		labels = append(labels, lines...)
	}
	if len(labels) == 0 {
		return nil, fmt.Errorf("%s: no labels: give -l LABEL (repeatable), --labels a,b,c or --labels-file FILE", c.Command.Name)
	}
	return labels, nil
}

// readLines returns the lines of a text file, without white space around them and without empty ones.
func readLines(path string) (lines []string, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("%s is not UTF-8 text", path)
	}
	for _, line := range strings.Split(strings.TrimPrefix(string(data), "\ufeff"), "\n") {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// predictionPrinter prints in one of the forms.
type predictionPrinter interface {
	resultPrinter
	predictions(i int, p []clipgo.Prediction) error
}

func newPrinter(c *cli.Context, s streams, pictures []picture, walked bool) (predictionPrinter, error) {
	forms := 0
	for _, form := range []string{"json", "jsonl", "csv"} {
		if c.Bool(form) {
			forms++
		}
	}
	if forms > 1 {
		return nil, errors.New("classify: --json, --jsonl and --csv exclude each other")
	}
	base := printerBase{pictures: pictures, logits: c.Bool("logits"), several: walked || len(pictures) > 1}
	switch {
	case c.Bool("json"):
		return &jsonPrinter{printerBase: base, w: bufio.NewWriter(s.out)}, nil
	case c.Bool("jsonl"):
		return &jsonlPrinter{printerBase: base, w: s.out}, nil
	case c.Bool("csv"):
		return newCSVPrinter(base, s.out)
	}
	return &tablePrinter{printerBase: base, w: s.out}, nil
}

type printerBase struct {
	pictures []picture
	logits   bool
	several  bool // a list of results is expected, however many there are
}

// entry is a prediction as JSON.
type entry struct {
	Score float64  `json:"score"`
	Label string   `json:"label"`
	Logit *float64 `json:"logit,omitempty"`
}

func (b *printerBase) entries(p []clipgo.Prediction) []entry {
	list := make([]entry, len(p))
	for i := range p {
		list[i] = entry{Score: p[i].Score, Label: p[i].Label}
		if b.logits {
			list[i].Logit = &p[i].Logit
		}
	}
	return list
}

// jsonPrinter prints a list of predictions, or a list of such lists.
type jsonPrinter struct {
	printerBase
	w *bufio.Writer
}

func (p *jsonPrinter) predictions(i int, list []clipgo.Prediction) error {
	return p.item(i, p.entries(list))
}

func (p *jsonPrinter) failed(i int, _ error) error {
	if !p.several {
		return nil
	}
	return p.item(i, nil)
}

func (p *jsonPrinter) item(i int, list []entry) error {
	b, err := marshal(list)
	if err != nil {
		return fmt.Errorf("%s: %w", p.pictures[i].name, err)
	}
	if p.several {
		p.w.WriteString(map[bool]string{true: "[", false: ",\n"}[i == 0])
	}
	if !p.several {
		b = append(b, '\n')
	}
	_, err = p.w.Write(b)
	return err
}

func (p *jsonPrinter) finish() error {
	if p.several {
		p.w.WriteString("]\n")
	}
	return p.w.Flush()
}

// jsonlPrinter prints a line for each picture, as soon as it is done.
type jsonlPrinter struct {
	printerBase
	w io.Writer
}

func (p *jsonlPrinter) predictions(i int, list []clipgo.Prediction) error {
	return p.line(struct {
		Image       string  `json:"image"`
		Predictions []entry `json:"predictions"`
	}{p.pictures[i].name, p.entries(list)})
}

func (p *jsonlPrinter) failed(i int, err error) error {
	return p.line(struct {
		Image string `json:"image"`
		Error string `json:"error"`
	}{p.pictures[i].name, oneLine(err)})
}

func (p *jsonlPrinter) line(v any) error {
	b, err := marshal(v)
	if err != nil {
		return err
	}
	_, err = p.w.Write(append(b, '\n'))
	return err
}

func (p *jsonlPrinter) finish() error { return nil }

// csvPrinter prints a row for each label.
type csvPrinter struct {
	printerBase
	w *csv.Writer
}

func newCSVPrinter(base printerBase, w io.Writer) (*csvPrinter, error) {
	p := &csvPrinter{printerBase: base, w: csv.NewWriter(w)}
	head := []string{"image", "label", "score"}
	if base.logits {
		head = append(head, "logit")
	}
	return p, p.w.Write(head)
}

func (p *csvPrinter) predictions(i int, list []clipgo.Prediction) error {
	for _, x := range list {
		row := []string{p.pictures[i].name, x.Label, strconv.FormatFloat(x.Score, 'g', -1, 64)}
		if p.logits {
			row = append(row, strconv.FormatFloat(x.Logit, 'g', -1, 64))
		}
		if err := p.w.Write(row); err != nil {
			return err
		}
	}
	p.w.Flush()
	return p.w.Error()
}

func (p *csvPrinter) failed(int, error) error { return nil }

func (p *csvPrinter) finish() error {
	p.w.Flush()
	return p.w.Error()
}

// tablePrinter prints for people: on a terminal with a bar for each score.
type tablePrinter struct {
	printerBase
	w       io.Writer
	printed bool
}

func (p *tablePrinter) predictions(i int, list []clipgo.Prediction) error {
	w := bufio.NewWriter(p.w)
	if p.several {
		if p.printed {
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w, shortName(p.pictures[i].name))
	}
	p.printed = true
	labelWidth := 0
	for _, x := range list {
		labelWidth = max(labelWidth, columns(x.Label))
	}
	all, _, terminal := terminalSize(p.w)
	taken := labelWidth + 13 // beside the bar: score, gaps, and a column that stays free
	if p.logits {
		taken += 11
	}
	barWidth := max(0, min(40, all-taken))
	for _, x := range list {
		fmt.Fprintf(w, "%7.3f%%  ", 100*x.Score)
		if p.logits {
			fmt.Fprintf(w, "%9.4f  ", x.Logit)
		}
		fmt.Fprint(w, x.Label)
		if b := bar(x.Score, barWidth); terminal && b != "" {
			fmt.Fprint(w, strings.Repeat(" ", labelWidth-columns(x.Label)+2), b)
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

// columns counts the columns that s takes on a terminal.
func columns(s string) (n int) {
	for _, r := range s {
		switch width.LookupRune(r).Kind() {
		case width.EastAsianWide, width.EastAsianFullwidth:
			n += 2
		default:
			n++
		}
	}
	return n
}

// bar draws a fraction in eighths of a character.
func bar(fraction float64, width int) string {
	eighths := int(fraction*float64(8*width) + 0.5)
	s := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		s += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	return s
}

func (p *tablePrinter) failed(int, error) error { return nil }
func (p *tablePrinter) finish() error           { return nil }
