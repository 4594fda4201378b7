// Package quantize turns numbers into GGML's blocks and back, and whole GGUF files into smaller ones.
//
// The codecs, [Quantize] and [Dequantize], are the reference that the engine's kernels are tested against: plain Go,
// the same bytes on every machine. [File] applies them to a model, with a [Policy] that says which tensor gets which
// type and an importance matrix ([Imatrix]) that says which columns matter.
package quantize
