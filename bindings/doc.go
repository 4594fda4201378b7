// Package bindings loads the clipgo engine, a shared library, and gives one Go function for each of its C functions. It
// uses no cgo. ggml/include/clipgo.h is the manual: it defines programs, shapes, buffers and what each call does.
//
// A [Library] makes devices, a [Device] makes weights, [Weights] make programs, a [Program] makes contexts. Each handle is
// closed with Close, which may be called more than once and from any goroutine, waits for the calls in flight, and makes
// later calls fail with [ErrClosed]. The order in which handles are closed doesn't matter; the memory under the weights must
// outlive them all.
//
// What the engine refuses is an [*Error].
package bindings
