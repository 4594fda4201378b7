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
	signal.Ignore(syscall.SIGPIPE) // a closed pipe is an error of its write, which run takes for an end
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal doesn't wait for anything
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
