package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/clipgo/clipgo"
	"github.com/clipgo/clipgo/internal/cachedir"
)

// resourceFlags bound what a command takes of memory and disk; resourceOptions reads them.
func resourceFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "max-memory", Usage: "refuse a model, or a picture, that would take the process over `SIZE` of memory,\n\tsuch as 200M"},
		&cli.BoolFlag{Name: "no-cache", Usage: "neither use nor write what is kept between runs, in $CLIPGO_CACHE\n\t(default: clipgo in your cache folder; off for none)"},
	}
}

func resourceOptions(c *cli.Context) (options []clipgo.Option, err error) {
	if size := c.String("max-memory"); size != "" {
		n, err := parseSize(size)
		if err != nil {
			return nil, fmt.Errorf("%s: --max-memory: %w", c.Command.Name, err)
		}
		options = append(options, clipgo.WithMaxMemory(n))
	}
	// A command whose cache is off, or can't be had, does without.
	if root, err := cachedir.Root(); err == nil && !c.Bool("no-cache") {
		options = append(options, clipgo.WithCache(root))
	}
	return options, nil
}
