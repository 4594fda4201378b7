//go:build !clipgo_embed || !(linux || darwin)

package bindings

// embedded is the library's file, where the build put it into this binary.
var embedded []byte
