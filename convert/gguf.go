package convert

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/checkpoint"
	"github.com/clipgo/clipgo/quantize"
)

// addGGUF adds the tensors of a GGUF file to a set, under the names that rename gives them. Quantised ones become float32 as they
// are read.
func addGGUF(set *checkpoint.Set, f *gguf.File, rename func(name string) string) error {
	plain := map[gguf.Type]checkpoint.DType{gguf.F32: checkpoint.F32, gguf.F16: checkpoint.F16, gguf.BF16: checkpoint.BF16, gguf.F64: checkpoint.F64}
	for _, info := range f.Tensors() {
		data, err := f.TensorReader(info.Name)
		if err != nil {
			return err
		}
		t := &checkpoint.Tensor{Name: rename(info.Name), File: f.Name(), Shape: reversed(info.Dims)}
		if dtype, ok := plain[info.Type]; ok {
			t.DType, t.Data = dtype, data
		} else if quantize.CanDequantize(info.Type) {
			t.DType, t.Data = checkpoint.F32, &dequantizer{data: data, typ: info.Type}
		} else {
			return fmt.Errorf("%s: tensor %q has type %s, which can't be turned into numbers", f.Name(), info.Name, info.Type)
		}
		if err := set.Add(t); err != nil {
			return err
		}
	}
	return nil
}

// dequantizer reads blocks as little-endian float32.
type dequantizer struct {
	data *io.SectionReader
	typ  gguf.Type
}

const float32Bytes = 4

func (d *dequantizer) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 || off%float32Bytes != 0 || len(b)%float32Bytes != 0 {
		return 0, fmt.Errorf("read of %d bytes at %d splits numbers of 4 bytes", len(b), off)
	}
	block, size := int64(d.typ.BlockSize()), int64(d.typ.BlockBytes())
	first, last := off/float32Bytes, (off+int64(len(b)))/float32Bytes
	begin, end := first/block, min((last+block-1)/block, d.data.Size()/size)
	if last > end*block {
		return 0, io.EOF
	}
	blocks := make([]byte, (end-begin)*size)
	if n, err := d.data.ReadAt(blocks, begin*size); n < len(blocks) {
		return 0, err
	}
	values := make([]float32, (end-begin)*block)
	if err := quantize.Dequantize(values, blocks, d.typ); err != nil {
		return 0, err
	}
	values = values[first-begin*block:][:last-first]
	for i, v := range values {
		binary.LittleEndian.PutUint32(b[float32Bytes*i:], math.Float32bits(v))
	}
	return len(b), nil
}
