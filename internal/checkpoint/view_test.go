package checkpoint

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// counted is a storage of n float32: 0, 1, 2, ...
func counted(n int) *bytes.Reader {
	var b []byte
	for i := range n {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(i)))
	}
	return bytes.NewReader(b)
}

func TestView(t *testing.T) {
	for _, test := range []struct {
		offset         uint64
		shape, strides []uint64
		want           []float32
	}{
		{0, nil, nil, []float32{0}},
		{23, nil, nil, []float32{23}},
		{2, []uint64{3}, []uint64{1}, []float32{2, 3, 4}},
		{2, []uint64{3}, []uint64{7}, []float32{2, 9, 16}},
		{0, []uint64{2, 3}, []uint64{3, 1}, []float32{0, 1, 2, 3, 4, 5}},
		{0, []uint64{3, 2}, []uint64{1, 3}, []float32{0, 3, 1, 4, 2, 5}}, // transposed
		{1, []uint64{2, 2, 2}, []uint64{2, 4, 1}, []float32{1, 2, 5, 6, 3, 4, 7, 8}},
		{0, []uint64{1, 3, 1}, []uint64{99, 1, 1000}, []float32{0, 1, 2}}, // strides of single elements mean nothing
		{5, []uint64{2, 2}, []uint64{0, 1}, []float32{5, 6, 5, 6}},
		{99, []uint64{4, 0}, []uint64{1000, 1000}, []float32{}},
	} {
		data, err := View(counted(24), 24, F32, test.offset, test.shape, test.strides)
		require.NoError(t, err)
		tensor := &Tensor{Name: "t", File: "x", DType: F32, Shape: test.shape, Data: data}
		got := make([]float32, len(test.want))
		for range 2 { // again, after the first reading let go of its memory
			require.NoError(t, tensor.ReadFloat32(got, 0))
			assert.Equal(t, test.want, got)
			for i := range got {
				require.NoError(t, tensor.ReadFloat32(got[i:i+1], uint64(i)))
			}
			assert.Equal(t, test.want, got)
		}
	}
}

// FuzzView compares with the definition, element by element.
func FuzzView(f *testing.F) {
	f.Add(uint64(0), uint64(3), uint64(2), uint64(1), uint64(3))
	f.Add(uint64(1), uint64(2), uint64(2), uint64(0), uint64(math.MaxUint64))
	f.Add(uint64(0), uint64(1<<63), uint64(2), uint64(0), uint64(0))
	f.Fuzz(func(t *testing.T, offset, rows, cols, rowStride, colStride uint64) {
		const n = 64
		data, err := View(counted(n), n, F32, offset, []uint64{rows, cols}, []uint64{rowStride, colStride})
		if err != nil {
			return
		}
		got := make([]float32, rows*cols)
		tensor := &Tensor{DType: F32, Shape: []uint64{rows, cols}, Data: data}
		if err := tensor.ReadFloat32(got, 0); err != nil {
			t.Fatal(err)
		}
		for i := range rows {
			for j := range cols {
				if want := offset + i*rowStride + j*colStride; got[i*cols+j] != float32(want) {
					t.Fatalf("[%d, %d] is %v, expected %d", i, j, got[i*cols+j], want)
				}
			}
		}
	})
}

func TestGatherRefusesHalfElements(t *testing.T) {
	data, err := View(counted(6), 6, F32, 0, []uint64{3, 2}, []uint64{1, 3})
	require.NoError(t, err)
	for _, read := range []struct{ n, off int }{{3, 0}, {4, 1}, {4, -4}, {28, 0}, {4, 24}} {
		_, err := data.ReadAt(make([]byte, read.n), int64(read.off))
		assert.Error(t, err)
	}
}
