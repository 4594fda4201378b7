package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
)

// The exit codes.
const (
	exitDone    = 0
	exitPartial = 1 // some inputs failed
	exitUsage   = 2 // wrong usage, or nothing could be done
)

// errPartial ends a command some of whose inputs failed; each was reported when it did.
var errPartial = errors.New("some inputs failed")

// errReported ends a command none of whose inputs worked; each was reported when it failed.
var errReported = errors.New("every input failed")

// run runs one command line and returns its exit code.
func run(ctx context.Context, args []string, s streams) int {
	app := newApp(s)
	args, err := flagsFirst(app, args)
	if err == nil {
		err = app.RunContext(ctx, args)
	}
	switch {
	case err == nil, errors.Is(err, syscall.EPIPE): // the reader of a pipe has seen enough
		return exitDone
	case errors.Is(err, errPartial):
		return exitPartial
	case errors.Is(err, errReported):
		return exitUsage
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		err = errors.New("interrupted")
	}
	fmt.Fprintf(s.err, "clipgo: %s\n", oneLine(err))
	return exitUsage
}

// oneLine is an error's message without line breaks.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func newApp(s streams) *cli.App {
	cli.VersionFlag = &cli.BoolFlag{Name: "version", Usage: "print the version", DisableDefaultText: true}
	return &cli.App{
		Name:                      "clipgo",
		Usage:                     "say what is in a picture, with any labels, on this machine",
		Version:                   version(),
		Reader:                    s.in,
		Writer:                    s.out,
		ErrWriter:                 s.err,
		HideHelpCommand:           true,
		DisableSliceFlagSeparator: true,
		Suggest:                   true,
		Commands: []*cli.Command{
			classifyCommand(s),
			embedCommand(s),
			tokenizeCommand(s),
			preprocessCommand(s),
			convertCommand(s),
			quantizeCommand(s),
			inspectCommand(s),
			versionCommand(s),
		},
		// Errors are printed by run, and nothing exits before it.
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError:   func(_ *cli.Context, err error, _ bool) error { return err },
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return fmt.Errorf("there is no command %q; see `clipgo --help`", c.Args().First())
			}
			return cli.ShowAppHelp(c)
		},
	}
}

// newCommand fills in what all commands share.
func newCommand(c *cli.Command) *cli.Command {
	c.HideHelpCommand = true
	c.OnUsageError = func(ctx *cli.Context, err error, _ bool) error {
		return fmt.Errorf("%s: %w; see `clipgo %s --help`", c.Name, err, c.Name)
	}
	return c
}

// flagsFirst moves the flags of a command line before its arguments, since package cli stops at the first argument. A
// double dash ends the flags; a single one is an argument.
func flagsFirst(app *cli.App, args []string) ([]string, error) {
	if len(args) < 2 {
		return args, nil
	}
	command := app.Command(args[1])
	if command == nil {
		return args, nil
	}
	takesValue := map[string]bool{}
	for _, f := range command.Flags {
		_, isBool := f.(*cli.BoolFlag)
		for _, name := range f.Names() {
			takesValue[name] = !isBool
		}
	}
	flags, rest := args[:2:2], []string(nil)
	for i := 2; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			rest = append(rest, args[i+1:]...)
			break
		}
		if len(arg) < 2 || arg[0] != '-' {
			rest = append(rest, arg)
			continue
		}
		flags = append(flags, arg)
		name := strings.TrimLeft(arg, "-")
		if takesValue[name] {
			if i+1 == len(args) {
				return nil, fmt.Errorf("%s: %s needs a value", command.Name, arg)
			}
			i++
			flags = append(flags, args[i])
		}
	}
	return append(append(flags, "--"), rest...), nil
}

// warn prints a warning as one line.
func (s streams) warn(format string, args ...any) {
	fmt.Fprintf(s.err, "clipgo: %s\n", strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " "))
}

// isTerminal says whether w is a terminal.
func isTerminal(w io.Writer) bool {
	_, _, ok := terminalSize(w)
	return ok
}
