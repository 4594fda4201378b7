//go:build !unix

package bindings

import (
	"fmt"
	"runtime"
)

func mapMemory(int) ([]byte, error) {
	return nil, fmt.Errorf("there is no clipgo engine for %s/%s yet", runtime.GOOS, runtime.GOARCH)
}

func unmapMemory([]byte) error { return nil }
