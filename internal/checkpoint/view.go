package checkpoint

import (
	"fmt"
	"io"
	"math/bits"
	"sync"
)

// maxSpan bounds the memory that a view which isn't contiguous takes while it is read.
const maxSpan = 256 << 20

// View returns the data of a tensor whose elements lie scattered in storage, an array of n elements of type d: element
// [i, j, ...] is number offset + i*strides[0] + j*strides[1] + ... of the storage. Everything is checked against n.
//
// A view that isn't contiguous is held in memory from its first read until its last element has been read.
func View(storage io.ReaderAt, n uint64, d DType, offset uint64, shape, strides []uint64) (io.ReaderAt, error) {
	if len(shape) != len(strides) {
		return nil, fmt.Errorf("%d strides for %d dimensions", len(strides), len(shape))
	}
	bytes, ok := Bytes(d, shape)
	if !ok {
		return nil, fmt.Errorf("size of shape %v of %s overflows", shape, d)
	}
	if bytes == 0 {
		return io.NewSectionReader(storage, 0, 0), nil
	}
	size := uint64(d.Size())
	if uint64(bytes)/size > n {
		return nil, fmt.Errorf("shape %v has more elements than the %d stored: it is an expanded view; save a contiguous copy", shape, n)
	}
	last, contiguous := offset, true
	run := uint64(1) // what the stride must be for the view to be contiguous
	for i := len(shape) - 1; i >= 0; i-- {
		hi, step := bits.Mul64(shape[i]-1, strides[i])
		var carry uint64
		last, carry = bits.Add64(last, step, 0)
		if hi != 0 || carry != 0 {
			return nil, fmt.Errorf("shape %v with strides %v overflows", shape, strides)
		}
		contiguous = contiguous && (shape[i] == 1 || strides[i] == run)
		run *= shape[i]
	}
	if last >= n {
		return nil, fmt.Errorf("shape %v with strides %v from element %d on reaches element %d of %d stored", shape, strides, offset, last, n)
	}
	section := io.NewSectionReader(storage, int64(offset*size), int64((last-offset+1)*size))
	if contiguous {
		return section, nil
	}
	if section.Size() > maxSpan {
		return nil, fmt.Errorf("shape %v with strides %v is scattered over %d bytes, expected %d at most: save a contiguous copy", shape, strides, section.Size(), maxSpan)
	}
	return &gather{span: section, size: int(size), shape: shape, strides: strides, bytes: bytes}, nil
}

// gather reads the elements of a view in the order of their indices.
type gather struct {
	span           *io.SectionReader
	size           int // of an element
	shape, strides []uint64
	bytes          int64 // of all elements

	mu     sync.Mutex
	loaded []byte
}

func (g *gather) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 || off%int64(g.size) != 0 || len(b)%g.size != 0 {
		return 0, fmt.Errorf("read of %d bytes at %d splits elements of %d bytes", len(b), off, g.size)
	}
	if off > g.bytes || int64(len(b)) > g.bytes-off {
		return 0, io.EOF
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.loaded == nil {
		loaded := make([]byte, g.span.Size())
		if n, err := g.span.ReadAt(loaded, 0); n < len(loaded) {
			return 0, err
		}
		g.loaded = loaded
	}
	index, at := g.seek(uint64(off) / uint64(g.size))
	for i := 0; i < len(b); i += g.size {
		copy(b[i:i+g.size], g.loaded[at*uint64(g.size):])
		at = g.next(index, at)
	}
	if off+int64(len(b)) == g.bytes {
		g.loaded = nil
	}
	return len(b), nil
}

// seek returns the indices of the given element and its place in the span.
func (g *gather) seek(element uint64) (index []uint64, at uint64) {
	index = make([]uint64, len(g.shape))
	for i := len(g.shape) - 1; i >= 0; i-- {
		index[i] = element % g.shape[i]
		element /= g.shape[i]
		at += index[i] * g.strides[i]
	}
	return index, at
}

// next moves index to the next element and returns its place in the span.
func (g *gather) next(index []uint64, at uint64) uint64 {
	for i := len(index) - 1; i >= 0; i-- {
		index[i]++
		at += g.strides[i]
		if index[i] < g.shape[i] {
			return at
		}
		at -= index[i] * g.strides[i]
		index[i] = 0
	}
	return at
}
