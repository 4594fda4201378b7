package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
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
	args, err := arrange(app, args)
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
	case ctx.Err() != nil:
		err = errors.New("interrupted")
	}
	fmt.Fprintf(s.err, "clipgo: %s\n", oneLine(err))
	return exitUsage
}

// oneLine is an error's message without line breaks.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func newApp(s streams) *cli.App {
	return &cli.App{
		Name:                      "clipgo",
		Usage:                     "say what is in a picture, with any labels, on this machine",
		Version:                   version(),
		Reader:                    s.in,
		Writer:                    s.out,
		ErrWriter:                 s.err,
		CustomAppHelpTemplate:     appHelp,
		HideHelpCommand:           true,
		DisableSliceFlagSeparator: true,
		Commands: []*cli.Command{
			classifyCommand(s),
			embedCommand(s),
			tokenizeCommand(s),
			preprocessCommand(s),
			pullCommand(s),
			modelsCommand(s),
			convertCommand(s),
			quantizeCommand(s),
			imatrixCommand(s),
			compareCommand(s),
			inspectCommand(s),
			benchCommand(s),
			versionCommand(s),
		},
		// Errors are printed by run, and nothing exits before it.
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError:   func(_ *cli.Context, err error, _ bool) error { return err },
		Action:         func(c *cli.Context) error { return cli.ShowAppHelp(c) },
	}
}

// newCommand fills in what all commands share.
func newCommand(c *cli.Command) *cli.Command {
	c.HideHelpCommand = true
	c.CustomHelpTemplate = commandHelp
	c.Before, c.After = limitThreads()
	c.OnUsageError = func(_ *cli.Context, err error, _ bool) error {
		return fmt.Errorf("%s: %w; see `clipgo %s --help`", c.Name, err, c.Name)
	}
	return c
}

// limitThreads makes --threads a limit for what Go does beside the engine, too: decoding, resizing. after takes it back.
func limitThreads() (before cli.BeforeFunc, after cli.AfterFunc) {
	all := runtime.GOMAXPROCS(0)
	before = func(c *cli.Context) error {
		if n := c.Int("threads"); n > 0 && n < all {
			runtime.GOMAXPROCS(n)
		}
		return nil
	}
	after = func(*cli.Context) error {
		if runtime.GOMAXPROCS(0) != all {
			runtime.GOMAXPROCS(all)
		}
		return nil
	}
	return before, after
}

// arrange moves the flags of a command line before its arguments, since package cli stops at the first argument. A double
// dash ends the flags; a single one is an argument. `help COMMAND` means `COMMAND --help`. What package cli would explain
// less well is an error here: no such command, no such flag, no value after a flag.
func arrange(app *cli.App, args []string) ([]string, error) {
	if len(args) < 2 {
		return args, nil
	}
	name, given := args[1], args[2:]
	if name == "help" {
		if len(given) == 0 {
			return []string{args[0], "--help"}, nil
		}
		name, given = given[0], []string{"--help"}
	}
	switch command := app.Command(name); {
	case command != nil:
		return arrangeFlags(args[0], command, given)
	case name == "--help", name == "-h", name == "--version":
		return []string{args[0], name}, nil
	case strings.HasPrefix(name, "-"):
		return nil, fmt.Errorf("%q stands where a command is expected: clipgo COMMAND [flags] [arguments]; see `clipgo --help`", name)
	}
	var names []string
	for _, c := range app.Commands {
		names = append(names, c.Name)
	}
	return nil, fmt.Errorf("there is no command %q, expected one of %s; see `clipgo --help`", name, strings.Join(names, ", "))
}

func arrangeFlags(program string, command *cli.Command, given []string) ([]string, error) {
	byName := map[string]cli.Flag{"help": cli.HelpFlag, "h": cli.HelpFlag}
	for _, f := range command.Flags {
		for _, name := range f.Names() {
			byName[name] = f
		}
	}
	flags, arguments := []string{program, command.Name}, []string(nil)
	for i := 0; i < len(given); i++ {
		arg := given[i]
		if arg == "--" {
			arguments = append(arguments, given[i+1:]...)
			break
		}
		if len(arg) < 2 || arg[0] != '-' {
			arguments = append(arguments, arg)
			continue
		}
		name, value, hasValue := strings.Cut(strings.TrimPrefix(arg[1:], "-"), "=")
		flag, known := byName[name]
		if !known {
			return nil, fmt.Errorf("%s: there is no flag %q; see `clipgo %s --help` (an argument that begins with a dash comes after --)",
				command.Name, arg, command.Name)
		}
		if flag == cli.HelpFlag {
			return []string{program, command.Name, "--help"}, nil
		}
		if _, isBool := flag.(*cli.BoolFlag); !isBool && !hasValue {
			if i++; i == len(given) {
				return nil, fmt.Errorf("%s: %s needs a value; see `clipgo %s --help`", command.Name, arg, command.Name)
			}
			value, hasValue = given[i], true
		}
		// Package cli takes but one of a flag's names in a command line.
		name = "--" + flag.Names()[0]
		if hasValue {
			name += "=" + value
		}
		flags = append(flags, name)
	}
	return append(append(flags, "--"), arguments...), nil
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
