package main

import (
	"bufio"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"
)

func tokenizeCommand(s streams) *cli.Command {
	return newCommand(&cli.Command{
		Name:      "tokenize",
		Usage:     "print the tokens of texts, as the model is given them",
		ArgsUsage: "TEXT ...",
		Description: `Start and end tokens are included, padding is not. A text longer than the model's context is cut, with a warning.

Example:
  clipgo tokenize --json "a photo of a cat"`,
		Flags: modelFlags(
			&cli.BoolFlag{Name: "json", Usage: "print a JSON list"},
		),
		Action: func(c *cli.Context) error { return tokenize(c, s) },
	})
}

func tokenize(c *cli.Context, s streams) error {
	if c.NArg() == 0 {
		return errors.New("tokenize: no texts: give at least one")
	}
	m, err := openModel(c, s)
	if err != nil {
		return err
	}
	defer m.Close()
	announceDemo(c, s)
	type item struct {
		Text   string   `json:"text"`
		IDs    []int32  `json:"ids"`
		Tokens []string `json:"tokens"`
	}
	var items []item
	for _, text := range c.Args().Slice() {
		ids, tokens, err := m.Processor().Tokenize(text)
		if err != nil {
			return err
		}
		items = append(items, item{text, ids, tokens})
	}
	if c.Bool("json") {
		b, err := marshal(items)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(s.out, "%s\n", b)
		return err
	}
	w := bufio.NewWriter(s.out)
	for i, it := range items {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s\n", it.Text)
		for j, id := range it.IDs {
			fmt.Fprintf(w, "%8d  %s\n", id, it.Tokens[j])
		}
	}
	return w.Flush()
}
