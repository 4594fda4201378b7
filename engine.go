package clipgo

import "github.com/clipgo/clipgo/bindings"

// NativeEngine describes the native library.
type NativeEngine struct {
	Library string   // its file
	Source  string   // which step of the search found it, such as "embedded in this binary"
	ISAs    []string // the instruction sets that it has and this processor runs, best first
}

// FindEngine loads the native library that Open would use. Its error lists the places where it was looked for.
func FindEngine() (*NativeEngine, error) {
	library, err := bindings.Open("")
	if err != nil {
		return nil, err
	}
	isas, err := library.ISAs()
	if err != nil {
		return nil, err
	}
	return &NativeEngine{Library: library.Path(), Source: library.Source(), ISAs: isas}, nil
}
