package imageio

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// On one processor a large picture is decoded block by block, on several in bands: the pixels, and the errors, are the same.
func TestBandsEqualBlocks(t *testing.T) {
	large := map[string][]byte{"1600x1201": photograph(t, 1600, 1201), "1023x770": photograph(t, 1023, 770)}
	for name, data := range jpegs(t) {
		if len(data) > 200_000 {
			large[name] = data
		}
	}
	for _, whole := range []string{"1600x1201", "1023x770"} {
		data := large[whole]
		large[whole+", cut"], large[whole+", cut in half"] = data[:len(data)-40], data[:len(data)/2]
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for name, data := range large {
		runtime.GOMAXPROCS(1)
		want, wantErr := Decode(data, Options{})
		runtime.GOMAXPROCS(3)
		got, err := Decode(data, Options{})
		require.Equal(t, wantErr, err, name)
		if err == nil && string(want.Pix) != string(got.Pix) {
			t.Errorf("%s: the pixels are others", name)
		}
	}
}
