package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"

	"github.com/clipgo/clipgo"
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
		Usage: "print the version, which engine computes, and what decodes JPEG",
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return fmt.Errorf("version: unexpected argument %q", c.Args().First())
			}
			fmt.Fprintf(s.out, "clipgo %s\n%s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			engine, err := clipgo.FindEngine()
			switch {
			case err == nil:
				_, err = fmt.Fprintf(s.out, "engine: %s (%s), instruction sets %v\n", engine.Library, engine.Source, engine.ISAs)
			case os.Getenv("CLIPGO_LIBRARY") == "":
				_, err = fmt.Fprintf(s.out, "engine: Go interpreter (%s)\n", oneLine(err))
			}
			if err != nil {
				return err
			}
			if library, why := clipgo.FindJPEGDecoder(); why == nil {
				_, err = fmt.Fprintf(s.out, "JPEG: libjpeg-turbo, %s\n", library)
			} else {
				_, err = fmt.Fprintf(s.out, "JPEG: Go (%s)\n", oneLine(why))
			}
			return err
		},
	})
}
