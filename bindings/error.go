package bindings

import (
	"errors"
	"fmt"
	"unsafe"
)

// Code is a status of the engine.
type Code int32

// The codes of errors, as in clipgo.h.
const (
	CodeArgument    Code = iota + 1 // an option or a size is out of range
	CodeMemory                      // allocation failed; Detail is the number of bytes asked for
	CodeTensor                      // a tensor's type, shape or place is wrong; Detail is its index
	CodeProgram                     // an op or a value is wrong; Detail is its index
	CodeInput                       // a run-time size or an input is wrong
	CodeCancelled                   // the run was cancelled
	CodeUnsupported                 // this build of the engine, or this processor, can't
	CodeSystem                      // the operating system refused; Detail is errno
)

// String returns a word for the code.
func (c Code) String() string {
	names := [...]string{"ok", "argument", "memory", "tensor", "program", "input", "cancelled", "unsupported", "system"}
	if c < 0 || int(c) >= len(names) {
		return fmt.Sprintf("status %d", int32(c))
	}
	return names[c]
}

// Error is what the engine said about a call that failed.
type Error struct {
	Call    string // what was being done, such as "create device"
	Code    Code
	Detail  int64 // what it means depends on Code
	Message string
}

// Error returns one line.
func (e *Error) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("%s: %s error (detail %d)", e.Call, e.Code, e.Detail)
	}
	return e.Call + ": " + e.Message
}

// ErrClosed is what a call on a closed handle returns, wrapped.
var ErrClosed = errors.New("already closed")

func newErrorRecord() *errorRecord { return &errorRecord{Size: uint32(unsafe.Sizeof(errorRecord{}))} }

// result turns a status and the record that the call filled into an error.
func (r *errorRecord) result(call string, status int32) error {
	if status == 0 {
		return nil
	}
	return &Error{Call: call, Code: Code(status), Detail: r.Detail, Message: cString(r.Message[:])}
}
