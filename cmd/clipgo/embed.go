package main

import (
	"bufio"
	"errors"
	"fmt"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/clipgo/clipgo"
)

func embedCommand(s streams) *cli.Command {
	return newCommand(&cli.Command{
		Name:  "embed",
		Usage: "print the embeddings of pictures and texts",
		Description: `Without --json each embedding is a line of values separated by tabs: image or text, its quoted name, the numbers.

Examples:
  clipgo embed --image cat.jpg --image pictures/ --json >embeddings.json
  clipgo embed --text "a photo of a cat"`,
		Flags: append(modelFlags(
			&cli.StringSliceFlag{Name: "image", Aliases: []string{"i"}, Usage: "a `PICTURE`: file, folder, address, data: URI or -; may be repeated"},
			&cli.StringSliceFlag{Name: "text", Usage: "a `TEXT`, taken as it is; may be repeated"},
			&cli.BoolFlag{Name: "raw", Usage: "as the tower gives them, not divided by their length"},
			fastDecodeFlag(),
			&cli.BoolFlag{Name: "json", Usage: "print one JSON object"},
		), resourceFlags()...),
		Action: func(c *cli.Context) error { return embed(c, s) },
	})
}

func embed(c *cli.Context, s streams) error {
	if c.NArg() > 0 {
		return fmt.Errorf("embed: unexpected argument %q: name pictures with --image and texts with --text", c.Args().First())
	}
	if len(c.StringSlice("image")) == 0 && len(c.StringSlice("text")) == 0 {
		return errors.New("embed: nothing to embed: give --image or --text")
	}
	pictures, _ := expand(c.StringSlice("image"))
	texts := c.StringSlice("text")
	resources, err := resourceOptions(c)
	if err != nil {
		return err
	}
	m, err := openModel(c, s, resources...)
	if err != nil {
		return err
	}
	defer m.Close()
	announceDemo(c, s)
	p := &embedPrinter{w: bufio.NewWriter(s.out), json: c.Bool("json"), dimension: m.Info().Dimension, pictures: pictures}
	p.start(m.Info().Name)

	encode := m.EncodeTexts
	if c.Bool("raw") {
		encode = m.EncodeTextsRaw
	}
	// Texts are encoded before anything is printed, so that a text that can't be leaves no half answer.
	var textEmbeddings [][]float32
	if len(texts) > 0 {
		if textEmbeddings, err = encode(c.Context, texts); err != nil {
			return err
		}
		if err := m.Release(clipgo.TextTower); err != nil {
			return err
		}
	}
	var partial error
	if len(pictures) > 0 {
		each := m.EncodeEach
		if c.Bool("raw") {
			each = m.EncodeEachRaw
		}
		err := forEach(c, s, m, each, pictures, p, func(i int, e []float32) error { return p.item("image", pictures[i].name, e) })
		if errors.Is(err, errReported) && len(texts) > 0 {
			err = errPartial
		}
		if err != nil && !errors.Is(err, errPartial) {
			return err
		}
		partial = err
	}
	for i, e := range textEmbeddings {
		if err := p.item("text", texts[i], e); err != nil {
			return err
		}
	}
	if err := p.end(); err != nil {
		return err
	}
	return partial
}

// embedPrinter prints embeddings as one JSON object, or as lines of tab-separated values: kind, name, numbers.
type embedPrinter struct {
	w         *bufio.Writer
	json      bool
	dimension int
	pictures  []picture
	printed   bool
}

func (p *embedPrinter) start(model string) {
	if p.json {
		name, _ := marshal(model) // a string always has a JSON form
		fmt.Fprintf(p.w, `{"model":%s,"dimension":%d,"embeddings":[`, name, p.dimension)
	}
}

func (p *embedPrinter) item(kind, name string, e []float32) error {
	if !p.json {
		fmt.Fprintf(p.w, "%s\t%s", kind, strconv.Quote(name))
		for _, x := range e {
			fmt.Fprintf(p.w, "\t%v", x)
		}
		return p.w.WriteByte('\n')
	}
	var value any = e
	if len(e) > p.dimension { // several rows for one picture
		var rows [][]float32
		for ; len(e) >= p.dimension; e = e[p.dimension:] {
			rows = append(rows, e[:p.dimension])
		}
		value = rows
	}
	b, err := marshal(value)
	if err != nil {
		return fmt.Errorf("%s %s: %w", kind, name, err)
	}
	quoted, err := marshal(name)
	if err != nil {
		return err
	}
	if p.printed {
		p.w.WriteString(",\n")
	}
	p.printed = true
	_, err = fmt.Fprintf(p.w, `{%q:%s,"embedding":%s}`, kind, quoted, b)
	return err
}

// failed leaves a picture out: it was reported.
func (p *embedPrinter) failed(int, error) error { return nil }

func (p *embedPrinter) finish() error { return nil }

func (p *embedPrinter) end() error {
	if p.json {
		p.w.WriteString("]}\n")
	}
	return p.w.Flush()
}
