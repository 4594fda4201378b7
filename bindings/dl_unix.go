//go:build (linux || darwin) && (amd64 || arm64) && !android && !ios

package bindings

import (
	"runtime"

	"github.com/ebitengine/purego"
)

// openLibrary opens the file and finds the symbols; the address of one that is missing is 0.
func openLibrary(path string, symbols []symbol) (addresses []uintptr, unload func(), err error) {
	// dlopen and the dlerror that tells of its failure are two calls, and dlerror speaks of its own thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	lib, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, nil, err
	}
	addresses = make([]uintptr, len(symbols))
	for i, s := range symbols {
		if a, err := purego.Dlsym(lib, s.name); err == nil {
			addresses[i] = a
		}
	}
	return addresses, func() { _ = purego.Dlclose(lib) }, nil
}

func registerFunc(fn any, address uintptr) { purego.RegisterFunc(fn, address) }
