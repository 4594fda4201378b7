//go:build clipgo_embed

package bindings

import _ "embed"

// embedded is the library's file. The build copies it to where it is embedded from.
//
//go:embed embed/libclipgo.so
var embedded []byte
