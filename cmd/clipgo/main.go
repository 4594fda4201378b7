// Command clipgo says what is in a picture: it classifies and embeds pictures with CLIP models, and converts and quantises
// their checkpoints.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args, streams{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// streams are what a command reads and writes; answers alone go to out.
type streams struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}
