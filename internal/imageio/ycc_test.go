package imageio

import (
	"errors"
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
				got, err := Decode(data, Options{ShortSide: side, YCC: native})
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
