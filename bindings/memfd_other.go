//go:build !linux

package bindings

func memoryFile([]byte) (string, error) { return "", errNotApplicable }
