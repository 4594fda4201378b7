package preprocess

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/bindings"
	"github.com/clipgo/clipgo/internal/imageio"
	"github.com/clipgo/clipgo/internal/testutil"
)

// natives returns the resamplers of every instruction set that the engine has here.
func natives(t testing.TB) map[string]Resampler {
	library, err := bindings.Open(testutil.Engine(t))
	require.NoError(t, err)
	isas, err := library.ISAs()
	require.NoError(t, err)
	all := map[string]Resampler{}
	for _, isa := range isas {
		device, err := library.NewDevice(bindings.DeviceOptions{ISA: isa, Threads: 1})
		require.NoError(t, err)
		t.Cleanup(func() { device.Close() })
		all[isa] = func(p *Pass) error { return device.Resample((*bindings.Resampling)(p)) }
	}
	return all
}

// Every instruction set makes the bytes that Go makes: all filters, channels and orders of passes, sizes that leave tails.
func TestNativeEqualsGo(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	sizes := [][4]int{{1, 1, 3, 2}, {2, 5, 1, 1}, {5, 1, 17, 9}, {53, 71, 20, 31}, {200, 33, 33, 200}, {33, 900, 31, 12}, {777, 5, 6, 5}, {21, 22, 21, 10}}
	for range 12 {
		sizes = append(sizes, [4]int{1 + random.IntN(300), 1 + random.IntN(300), 1 + random.IntN(90), 1 + random.IntN(90)})
	}
	for isa, native := range natives(t) {
		for _, b := range []Backend{Pillow, TorchInt16} {
			for _, f := range pilFilters[1:] {
				if b != Pillow && (f == Box || f == Hamming) {
					continue
				}
				for _, s := range sizes {
					for n := 1; n <= 4; n++ {
						src := newRaster(s[0], s[1], n)
						for i := range src.pix {
							src.pix[i] = byte(random.Uint32()) | byte(int8(random.Uint32())>>7) // many at the upper end: sums overshoot
						}
						x, y := span{s[2] / 5, s[2]}, span{0, s[3] - s[3]/5}
						want := must(resizer{b, f, nil}.resize(src, 0, s[2], s[3], x, y))
						got := must(resizer{b, f, native}.resize(src, 0, s[2], s[3], x, y))
						require.Equal(t, want, got, "%s %s %s %v x %d", isa, b, f, s, n)
					}
				}
			}
		}
	}
}

// A turned picture is resized as the upright one is.
func TestTurnedEqualsUpright(t *testing.T) {
	for _, size := range [][2]int{{120, 80}, {61, 200}, {224, 31}, {7, 9}} {
		for _, c := range []Compat{CompatHF, CompatHF5, CompatOpenCLIP} {
			for _, mode := range []imageio.Mode{imageio.RGB24, imageio.RGBA32, imageio.Grey16, imageio.Palette} {
				for _, f := range pilFilters {
					spec := hfClasses["CLIP"].spec
					spec.Height, spec.Width, spec.CropHeight, spec.CropWidth = 31, 31, 30, 25
					spec.Filter = f
					spec, err := spec.With(c)
					if err != nil {
						continue // torchvision lacks that filter
					}
					p := noise(mode, size[0], size[1])
					for o := imageio.Orientation(0); o <= 9; o++ {
						p.Orientation = o
						want, err := spec.Resized(p.Upright(), nil)
						require.NoError(t, err)
						got, err := spec.Resized(p, nil)
						require.NoError(t, err)
						require.Equal(t, want, got, "%s %s %s %v orientation %d", c, mode, f, size, o)
					}
				}
			}
		}
	}
}

func BenchmarkResize(b *testing.B) {
	ways := natives(b)
	ways["go"] = nil
	for _, size := range [][2]int{{640, 480}, {4000, 3000}, {3000, 4000}} {
		p := noise(imageio.RGB24, size[0], size[1])
		spec := hfClasses["CLIP"].spec
		for _, o := range []imageio.Orientation{1, 6} {
			p.Orientation = o
			for name, r := range ways {
				b.Run(fmt.Sprintf("%dx%d/orientation=%d/%s", size[0], size[1], o, name), func(b *testing.B) {
					for b.Loop() {
						_, err := spec.Resized(p, r)
						require.NoError(b, err)
					}
				})
			}
		}
	}
}
