package refvm

import (
	"fmt"

	"github.com/clipgo/clipgo/internal/program"
	"github.com/clipgo/clipgo/quantize"
)

// Weights gives the tensors of a program. Several goroutines call it at once.
type Weights interface {
	// Row fills dst with a row of a tensor, dequantised. The tensor is an index into Program.Tensors; dst is as long as it
	// has columns.
	Row(tensor int32, row int, dst []float32) error
}

type stored struct {
	program *program.Program
	tensors [][]byte
}

// Stored gives the tensors of p from their bytes, as stored in a file, in the order of p.Tensors.
func Stored(p *program.Program, tensors [][]byte) (Weights, error) {
	if len(tensors) != len(p.Tensors) {
		return nil, fmt.Errorf("%d tensors, expected the program's %d", len(tensors), len(p.Tensors))
	}
	for i, t := range p.Tensors {
		if !quantize.CanDequantize(t.Type) {
			return nil, fmt.Errorf("tensor %s: can't compute with type %s", t.Name, t.Type)
		}
		if want, err := t.Bytes(); err != nil || uint64(len(tensors[i])) != want {
			return nil, fmt.Errorf("tensor %s: has %d bytes, its shape and type need %d", t.Name, len(tensors[i]), want)
		}
	}
	return stored{p, tensors}, nil
}

func (s stored) Row(tensor int32, row int, dst []float32) error {
	t := s.program.Tensors[tensor]
	if err := quantize.DequantizeRow(dst, s.tensors[tensor], t.Type, row); err != nil {
		return fmt.Errorf("tensor %s: %w", t.Name, err)
	}
	return nil
}
