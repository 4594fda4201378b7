package main

import (
	"strings"

	"github.com/urfave/cli/v2"
)

const appHelp = `{{.Name}} - {{.Usage}}

Usage:
  {{.Name}} COMMAND [flags] [arguments]

Commands:{{range .VisibleCommands}}
  {{.Name}}{{"\t"}}{{.Usage}}{{end}}

Examples:
  clipgo classify -l cat -l dog photo.jpg
  clipgo classify --labels "cat,dog,bird" --json holiday-pictures/
  clipgo pull openai/clip-vit-base-patch32:Q8_0
  clipgo classify -m openai/clip-vit-base-patch32:Q8_0 -l "a cat on a sofa" -l "an empty sofa" photo.jpg

Flags:
  -h, --help{{"\t"}}print this, or with a command's name before it the command's own help
  --version{{"\t"}}print the version
`

const commandHelp = `{{.HelpName}} - {{.Usage}}

Usage:
  {{.HelpName}} [flags]{{if .ArgsUsage}} {{.ArgsUsage}}{{end}}
{{if .Description}}
{{.Description}}
{{end}}
Flags:{{range .VisibleFlags}}
  {{.}}{{end}}
`

// Package cli keeps these in variables; set once, they race with nobody.
func init() {
	cli.FlagStringer = flagHelp
	cli.VersionFlag = &cli.BoolFlag{Name: "version", Usage: "print the version", DisableDefaultText: true}
	cli.HelpFlag = &cli.BoolFlag{Name: "help", Aliases: []string{"h"}, Usage: "print this", DisableDefaultText: true}
}

// flagHelp is a line of a command's help: the names of a flag, what its value is called, and its usage, in which that name
// stands between back quotes.
func flagHelp(f cli.Flag) string {
	doc := f.(cli.DocGenerationFlag) // every flag type of package cli is one
	var names []string
	for _, name := range f.Names() {
		if len(name) == 1 {
			names = append([]string{"-" + name}, names...)
		} else {
			names = append(names, "--"+name)
		}
	}
	value, usage := cutQuoted(doc.GetUsage())
	if doc.TakesValue() {
		value = " " + value
	} else {
		value = ""
	}
	if env := doc.GetEnvVars(); len(env) > 0 {
		usage += " [$" + strings.Join(env, ", $") + "]"
	}
	return strings.Join(names, ", ") + value + "\t" + usage
}

// cutQuoted returns the first word in back quotes, and the text without them.
func cutQuoted(text string) (word, plain string) {
	before, rest, _ := strings.Cut(text, "`")
	word, after, _ := strings.Cut(rest, "`")
	return word, before + word + after
}
