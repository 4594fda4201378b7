//go:build !((linux || darwin) && (amd64 || arm64) && !android && !ios)

package bindings

import (
	"fmt"
	"runtime"
)

func openLibrary(string, []symbol) (addresses []uintptr, unload func(), err error) {
	return nil, nil, fmt.Errorf("there is no clipgo engine for %s/%s yet", runtime.GOOS, runtime.GOARCH)
}

func registerFunc(any, uintptr) {}
