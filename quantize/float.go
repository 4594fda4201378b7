package quantize

import (
	"encoding/binary"
	"math"

	"github.com/clipgo/clipgo/internal/half"
)

// maxBF16 is the greatest number that BF16 doesn't round up to infinity.
const maxBF16 = 0x1.fefffep127

func decodeF32(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
}

func encodeF32(dst []byte, src, _ []float32) {
	for i, v := range src {
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(v))
	}
}

func decodeF16(dst []float32, src []byte)    { half.DecodeF16(dst, src) }
func encodeF16(dst []byte, src, _ []float32) { half.EncodeF16(dst, src) }

func decodeBF16(dst []float32, src []byte)    { half.DecodeBF16(dst, src) }
func encodeBF16(dst []byte, src, _ []float32) { half.EncodeBF16(dst, src) }
