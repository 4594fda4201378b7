package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"

	"github.com/clipgo/clipgo/bindings"
)

// version is the module's version, as the go command recorded it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func versionCommand(s streams) *cli.Command {
	return newCommand(&cli.Command{
		Name:  "version",
		Usage: "print the version, and which engine computes",
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return fmt.Errorf("version: unexpected argument %q", c.Args().First())
			}
			fmt.Fprintf(s.out, "clipgo %s\n%s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			library, err := bindings.Open("")
			if err != nil && os.Getenv(bindings.EnvLibrary) != "" {
				return err
			}
			if err != nil {
				fmt.Fprintf(s.out, "engine: Go interpreter (%s)\n", oneLine(err))
				return nil
			}
			isas, err := library.ISAs()
			if err != nil {
				return err
			}
			fmt.Fprintf(s.out, "engine: %s (%s), instruction sets %v\n", library.Path(), library.Source(), isas)
			return nil
		},
	})
}
