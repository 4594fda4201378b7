package gguf

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/clipgo/clipgo/internal/atomicfile"
)

// Writer collects keys and tensors, then writes a file of them. The same calls write the same bytes.
type Writer struct {
	keys      []string
	values    map[string]any
	alignment int64
	tensors   []TensorInfo // Offset counts from the start of the data section
	names     map[string]bool
	dataBytes int64 // of all tensors with their padding
}

// Fill writes the data of one tensor: exactly t.Bytes bytes.
type Fill func(t TensorInfo, w io.Writer) error

// NewWriter returns a Writer without keys and tensors.
func NewWriter() *Writer {
	return &Writer{values: map[string]any{}, alignment: defaultAlignment, names: map[string]bool{}}
}

// Set gives key a value, of any type that File.Value returns; a slice is kept, not copied. Keys are written in the
// order of their first Set, and a later one replaces the value. general.alignment must be set before any tensor.
func (w *Writer) Set(key string, v any) error {
	if len(key) < 1 || len(key) > maxKeyLength {
		return fmt.Errorf("gguf: key %s has %d bytes, expected 1 to %d", quote(key), len(key), maxKeyLength)
	}
	if _, _, ok := kindOf(v); !ok {
		return fmt.Errorf("gguf: key %s: %T is no type that a GGUF value can have", quote(key), v)
	}
	if key == alignmentKey {
		if err := w.setAlignment(v); err != nil {
			return fmt.Errorf("gguf: key %s: %w", quote(key), err)
		}
	}
	if _, ok := w.values[key]; !ok {
		w.keys = append(w.keys, key)
	}
	w.values[key] = v
	return nil
}

func (w *Writer) setAlignment(v any) error {
	n, ok := v.(uint32)
	if !ok {
		return fmt.Errorf("is a %T, expected a uint32", v)
	}
	if err := checkAlignment(uint64(n)); err != nil {
		return err
	}
	if len(w.tensors) > 0 && int64(n) != w.alignment {
		return fmt.Errorf("is set after tensor %s was placed", quote(w.tensors[0].Name))
	}
	w.alignment = int64(n)
	return nil
}

// AddTensor declares a tensor with dims as in TensorInfo. Tensors are written in the order of their declaration.
func (w *Writer) AddTensor(name string, typ Type, dims []uint64) error {
	if len(name) < 1 || len(name) > maxTensorName {
		return fmt.Errorf("gguf: tensor %s: name has %d bytes, expected 1 to %d", quote(name), len(name), maxTensorName)
	}
	if w.names[name] {
		return fmt.Errorf("gguf: tensor %s is declared twice", quote(name))
	}
	n, err := tensorBytes(typ, dims)
	if err != nil {
		return fmt.Errorf("gguf: tensor %s: %w", quote(name), err)
	}
	padded, ok := alignUp(n, w.alignment)
	if !ok || padded > math.MaxInt64-w.dataBytes {
		return fmt.Errorf("gguf: tensor %s: the size of all tensors overflows", quote(name))
	}
	w.names[name] = true
	w.tensors = append(w.tensors, TensorInfo{name, slices.Clone(dims), typ, w.dataBytes, n})
	w.dataBytes += padded
	return nil
}

// WriteFile writes the file at path, calling fill for each tensor in turn. The file appears whole or not at all: a
// reader of an older file at path keeps what it has opened.
func (w *Writer) WriteFile(path string, fill Fill) error {
	return atomicfile.Write(path, func(out io.Writer) error { return w.Write(out, fill) })
}

// Write writes the file to out, calling fill for each tensor in turn. fill may be nil if there are no tensors.
func (w *Writer) Write(out io.Writer, fill Fill) error {
	buf := bufio.NewWriterSize(out, 1<<20)
	head := w.head()
	dataStart, ok := alignUp(int64(len(head)), w.alignment)
	if !ok || dataStart > math.MaxInt64-w.dataBytes {
		return fmt.Errorf("gguf: the size of the file overflows")
	}
	if _, err := buf.Write(head); err != nil {
		return err
	}
	if err := pad(buf, dataStart-int64(len(head))); err != nil {
		return err
	}
	for _, t := range w.tensors {
		padded, _ := alignUp(t.Bytes, w.alignment) // AddTensor checked
		t.Offset += dataStart
		exact := &exactWriter{w: buf, left: t.Bytes}
		if err := fill(t, exact); err != nil {
			return fmt.Errorf("gguf: writing tensor %s: %w", quote(t.Name), err)
		}
		if exact.left != 0 {
			return fmt.Errorf("gguf: tensor %s got %d bytes, expected %d", quote(t.Name), t.Bytes-exact.left, t.Bytes)
		}
		// GGML's own reader wants the padding after the last tensor, too.
		if err := pad(buf, padded-t.Bytes); err != nil {
			return err
		}
	}
	return buf.Flush()
}

// head encodes all that comes before the data section.
func (w *Writer) head() []byte {
	le := binary.LittleEndian
	b := []byte(magic)
	b = le.AppendUint32(b, 3)
	b = le.AppendUint64(b, uint64(len(w.tensors)))
	b = le.AppendUint64(b, uint64(len(w.keys)))
	for _, key := range w.keys {
		b = appendString(b, key)
		b = appendValue(b, w.values[key])
	}
	for _, t := range w.tensors {
		b = appendString(b, t.Name)
		b = le.AppendUint32(b, uint32(len(t.Dims)))
		for _, d := range t.Dims {
			b = le.AppendUint64(b, d)
		}
		b = le.AppendUint32(b, uint32(t.Type))
		b = le.AppendUint64(b, uint64(t.Offset))
	}
	return b
}

func appendString(b []byte, s string) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(len(s)))
	return append(b, s...)
}

func appendValue(b []byte, v any) []byte {
	le := binary.LittleEndian
	k, count, _ := kindOf(v) // Set checked
	if count >= 0 {
		b = le.AppendUint32(b, uint32(kindArray))
	}
	b = le.AppendUint32(b, uint32(k))
	if count >= 0 {
		b = le.AppendUint64(b, uint64(count))
	}
	switch v := v.(type) {
	case string:
		return appendString(b, v)
	case []string:
		for _, s := range v {
			b = appendString(b, s)
		}
		return b
	}
	b, err := binary.Append(b, le, v)
	if err != nil {
		panic("gguf: " + err.Error()) // kindOf lets only numbers and booleans come here
	}
	return b
}

// kindOf returns the kind of v, or of the elements of v with their count, which is -1 for a scalar.
func kindOf(v any) (k kind, count int, ok bool) {
	switch v := v.(type) {
	case uint8:
		return kindUint8, -1, true
	case int8:
		return kindInt8, -1, true
	case uint16:
		return kindUint16, -1, true
	case int16:
		return kindInt16, -1, true
	case uint32:
		return kindUint32, -1, true
	case int32:
		return kindInt32, -1, true
	case float32:
		return kindFloat32, -1, true
	case bool:
		return kindBool, -1, true
	case string:
		return kindString, -1, true
	case uint64:
		return kindUint64, -1, true
	case int64:
		return kindInt64, -1, true
	case float64:
		return kindFloat64, -1, true
	case []uint8:
		return kindUint8, len(v), true
	case []int8:
		return kindInt8, len(v), true
	case []uint16:
		return kindUint16, len(v), true
	case []int16:
		return kindInt16, len(v), true
	case []uint32:
		return kindUint32, len(v), true
	case []int32:
		return kindInt32, len(v), true
	case []float32:
		return kindFloat32, len(v), true
	case []bool:
		return kindBool, len(v), true
	case []string:
		return kindString, len(v), true
	case []uint64:
		return kindUint64, len(v), true
	case []int64:
		return kindInt64, len(v), true
	case []float64:
		return kindFloat64, len(v), true
	}
	return 0, 0, false
}

// pad writes n zero bytes, n being less than the greatest alignment.
func pad(w io.Writer, n int64) error {
	_, err := w.Write(make([]byte, n))
	return err
}

// exactWriter refuses to write more than it has left.
type exactWriter struct {
	w    io.Writer
	left int64
}

func (e *exactWriter) Write(b []byte) (int, error) {
	if int64(len(b)) > e.left {
		return 0, fmt.Errorf("%d bytes more than expected", int64(len(b))-e.left)
	}
	n, err := e.w.Write(b)
	e.left -= int64(n)
	return n, err
}
