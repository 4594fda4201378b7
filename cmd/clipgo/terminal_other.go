//go:build !unix

package main

import "io"

// terminalSize returns the size in characters of the terminal that w writes to; ok is false where it is none, or not known.
func terminalSize(io.Writer) (columns, rows int, ok bool) { return 0, 0, false }
