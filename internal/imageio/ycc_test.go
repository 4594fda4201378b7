package imageio

import (
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/bindings"
	"github.com/clipgo/clipgo/internal/testutil"
)

// Every instruction set of the engine makes the rows that Go makes, of whole pictures and of scaled ones.
func TestYCCRowsEqualGo(t *testing.T) {
	library, err := bindings.Open(testutil.Engine(t))
	require.NoError(t, err)
	isas, err := library.ISAs()
	require.NoError(t, err)
	files := jpegs(t)
	for _, size := range [][2]int{{3, 2}, {5, 5}, {6, 1}, {7, 31}, {40, 3}, {517, 17}, {1030, 20}, {1600, 600}} {
		files[string(rune('a'+len(files)))] = photograph(t, size[0], size[1])
	}
	for _, isa := range isas {
		device, err := library.NewDevice(bindings.DeviceOptions{ISA: isa, Threads: 1})
		require.NoError(t, err)
		defer device.Close()
		var rows atomic.Int64
		native := func(r *YCCRows) error {
			rows.Add(int64(r.Rows))
			return device.YCCRows((*bindings.YCCRows)(r))
		}
		for name, data := range files {
			if len(data) > 100_000 {
				continue
			}
			for _, side := range []int{0, 1, 9, 100} {
				want, wantErr := Decode(data, Options{ShortSide: side})
				got, err := Decode(data, Options{ShortSide: side, YCC: native, IDCT: device.IDCT})
				require.Equal(t, wantErr, err, name)
				if err == nil {
					require.True(t, string(want.Pix) == string(got.Pix), "%s: %s, short side %d", isa, name, side)
				}
			}
		}
		require.Greater(t, rows.Load(), int64(1000))
	}
}

// Where the engine refuses, Go does it.
func TestYCCRowsRefused(t *testing.T) {
	data := photograph(t, 64, 48)
	want, err := Decode(data, Options{})
	require.NoError(t, err)
	got, err := Decode(data, Options{YCC: func(*YCCRows) error { return errors.New("not today") }})
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// Every instruction set makes the samples that Go makes, of any coefficients.
func TestIDCTEqualsGo(t *testing.T) {
	library, err := bindings.Open(testutil.Engine(t))
	require.NoError(t, err)
	isas, err := library.ISAs()
	require.NoError(t, err)
	random := rand.New(rand.NewPCG(5, 6))
	for _, isa := range isas {
		device, err := library.NewDevice(bindings.DeviceOptions{ISA: isa, Threads: 1})
		require.NoError(t, err)
		defer device.Close()
		for blocks := 1; blocks < 40; blocks++ {
			coeffs, last := make([]int16, 64*blocks), make([]uint8, blocks)
			quant := new([64]int32)
			j := &jpegReader{d: &decoder{}}
			j.quant[0] = quant
			for k := range quant {
				quant[k] = random.Int32N(80)
			}
			if blocks%5 == 0 { // what no picture has
				quant[random.IntN(64)] = 65535
			}
			for b := range last {
				last[b] = uint8(random.IntN(64) * random.IntN(2))
				for k := range int(last[b]) + 1 {
					coeffs[64*b+k] = int16(random.IntN(81) - 40)
					if blocks%7 == 0 {
						coeffs[64*b+k] = int16(random.Uint32())
					}
				}
			}
			component := func() *jpegComponent {
				return &jpegComponent{side: 8, blocksW: blocks, blocksH: 2, plane: make([]byte, 64*blocks*2)}
			}
			want, got := component(), component()
			want.transformRow(j, coeffs, last, 1)
			called := false
			j.d.IDCT = func(c []int16, l []uint8, q *[64]int32, dst []byte, stride int) error {
				called = true
				return device.IDCT(c, l, q, dst, stride)
			}
			got.transformRow(j, coeffs, last, 1)
			require.True(t, called)
			require.Equal(t, want.plane, got.plane, "%s, %d blocks", isa, blocks)
		}
	}
}
