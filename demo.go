package clipgo

import (
	"bytes"
	_ "embed"
	"slices"
)

//go:embed testdata/demo.gguf
var demoModel []byte

// OpenDemo opens the model that is part of this package: a small CLIP that was trained on emoji, and knows little else. See
// tools/demo-model.
func OpenDemo(opts ...Option) (*Model, error) {
	opts = append(slices.Clip(opts), func(o *options) { o.embedded = true })
	return OpenReader(bytes.NewReader(demoModel), int64(len(demoModel)), "the demo model", opts...)
}
