package clipgo

import (
	"fmt"

	"github.com/clipgo/clipgo/internal/arch"
	"github.com/clipgo/clipgo/quantize"
)

// positions returns the position embeddings of a picture of shape patches down and across, [patches, width]: the square
// table of the file, resized.
func (m *Model) positions(shape [2]int) ([]float32, error) {
	table, err := m.positionTable.get(func() ([]float32, error) {
		const name = "v.position_embd.weight"
		v := m.arch.Vision
		patches := v.Grid().Area()
		info, ok := m.file.Tensor(name)
		if !ok || info.Elements() != uint64(patches*v.Width) {
			return nil, fmt.Errorf("%s: tensor %q is missing or not [%d, %d]", m.file.Name(), name, patches, v.Width)
		}
		data, err := m.file.ReadTensor(name)
		if err != nil {
			return nil, err
		}
		table := make([]float32, patches*v.Width)
		return table, quantize.Dequantize(table, data, info.Type)
	})
	if err != nil {
		return nil, err
	}
	v := m.arch.Vision
	return arch.ResizePositions(table, v.Width, v.Grid().H, shape[0], shape[1]), nil
}
