//go:build !unix

package gguf

import "os"

func mapFile(*os.File, int64) []byte { return nil }

func unmapFile([]byte) {}
