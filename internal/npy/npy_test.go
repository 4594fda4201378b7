package npy

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
)

// Made by numpy.save of numpy.array([[[1, -2], [0.5, 3]]], dtype="<f4"), NumPy 2.
const saved = "934e554d5059010076007b276465736372273a20273c6634272c2027666f727472616e5f6f72646572273a2046616c73652c" +
	"20277368617065273a2028312c20322c2032292c207d20202020202020202020202020202020202020202020202020202020" +
	"2020202020202020202020202020202020202020202020202020200a0000803f000000c00000003f00004040"

func TestWriteFloat32(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, WriteFloat32(&b, []int{1, 2, 2}, []float32{1, -2, 0.5, 3}))
	want, err := hex.DecodeString(saved)
	require.NoError(t, err)
	require.Equal(t, want, b.Bytes())
	require.ErrorContains(t, WriteFloat32(&b, []int{2}, []float32{1}), "shape")
}
