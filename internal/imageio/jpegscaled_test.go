package imageio

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// meanOf is a picture reduced by n, each pixel the mean of n x n.
func meanOf(p *Picture, n int) []float64 {
	w, h, c := ceilDiv(p.W, n), ceilDiv(p.H, n), p.Mode.bytesPerPixel()
	sums, counts := make([]float64, w*h*c), make([]float64, w*h)
	for y := range p.H {
		for x := range p.W {
			at := y/n*w + x/n
			counts[at]++
			for i := range c {
				sums[at*c+i] += float64(p.Pix[(y*p.W+x)*c+i])
			}
		}
	}
	for i := range sums {
		sums[i] /= counts[i/c]
	}
	return sums
}

// A scaled picture is about the mean of the whole one, for every sampling, baseline and progressive.
func TestScaledIsTheMean(t *testing.T) {
	tried := 0
	for name, data := range jpegs(t) {
		whole, err := Decode(data, Options{})
		if err != nil || min(whole.W, whole.H) < 32 || whole.W*whole.H > 1<<21 {
			continue
		}
		for _, n := range []int{2, 4, 8} {
			small, err := Decode(data, Options{ShortSide: ceilDiv(min(whole.W, whole.H), n)})
			require.NoError(t, err, name)
			require.Equal(t, []int{ceilDiv(whole.W, n), ceilDiv(whole.H, n)}, []int{small.W, small.H}, "%s by %d", name, n)
			require.Equal(t, whole.Mode, small.Mode, name)
			require.Equal(t, whole.Orientation, small.Orientation, name)
			want, off := meanOf(whole, n), 0.0
			// The mean over channels is near luma; chroma, which keeps fewer samples, all but cancels in it.
			channels := small.Mode.bytesPerPixel()
			for i := 0; i < len(want); i += channels {
				d := 0.0
				for c := range channels {
					d += (float64(small.Pix[i+c]) - want[i+c]) / float64(channels)
				}
				off += d * d
			}
			require.Less(t, off/float64(len(want)/channels), 36.0, "mean square of the difference, %s by %d", name, n)
			tried++
		}
	}
	require.Greater(t, tried, 3)
}

// Nothing smaller than was asked for, and nothing scaled that need not be.
func TestScaleFor(t *testing.T) {
	for _, c := range [][4]int{{4000, 3000, 375, 1}, {4000, 3000, 376, 2}, {3000, 4000, 336, 1}, {640, 480, 336, 8}, {640, 480, 240, 4}, {640, 480, 0, 8},
		{10, 9, 2, 1}, {10, 9, 3, 2}, {1, 1, 1, 1}} {
		require.Equal(t, c[3], scaleFor(c[0], c[1], c[2]), "%v", c)
	}
}

// Two goroutines read what one reads.
func TestScaledInParallel(t *testing.T) {
	for _, size := range [][2]int{{1600, 1200}, {1203, 901}} {
		data := photograph(t, size[0], size[1])
		for _, n := range []int{4, 8} {
			o := Options{ShortSide: ceilDiv(size[1], n)}
			before := runtime.GOMAXPROCS(1)
			want, err := Decode(data, o)
			runtime.GOMAXPROCS(max(2, before))
			require.NoError(t, err)
			got, err := Decode(data, o)
			require.NoError(t, err)
			require.Equal(t, want, got)
			for cut := len(data) - 1; cut > 1000; cut -= len(data) / 9 {
				_, err := Decode(data[:cut], o)
				if cut < len(data)-2 {
					require.ErrorIs(t, err, errTruncated, "%d of %d bytes", cut, len(data))
				}
			}
			runtime.GOMAXPROCS(before)
		}
	}
}

// Begun at a bit that is none of an MCU's, a reader falls into step with one that read all from the beginning.
func TestReadersFallIntoStep(t *testing.T) {
	data := photograph(t, 800, 600)
	j := &jpegReader{d: &decoder{Options: Options{MaxPixels: DefaultMaxPixels, ShortSide: 75}, data: data}}
	_, err := j.decode()
	require.NoError(t, err)
	s := &scanParams{comps: []*jpegComponent{&j.comps[0], &j.comps[1], &j.comps[2]}, r: bitReader{data: data}}
	for i := range s.comps {
		s.dc, s.ac = append(s.dc, j.tables[0][min(i, 1)]), append(s.ac, j.tables[1][min(i, 1)])
	}
	for _, h := range s.ac {
		h.skipTable()
	}
	s.r.interval(bytes.Index(data, []byte("\xff\xda")) + 14)
	n := 50 * 38
	whole := &lowRun{s: s, r: s.r, dc: make([]int, 3)}
	whole.readOn(n)
	require.Len(t, whole.starts, n)
	for _, from := range []int{1, 1000, 7777, s.r.end / 2} {
		late := &lowRun{s: s, r: s.r, dc: make([]int, 3)}
		late.r.at = from
		late.readOn(n)
		tail := late.starts[len(late.starts)-50:]
		require.Subset(t, whole.starts, tail, "from byte %d on", from)
	}
}

func FuzzScaled(f *testing.F) {
	for name, data := range samples(f) {
		if len(data) > 2 && data[0] == 0xff && data[1] == 0xd8 {
			f.Add(data, 1+len(name)%40)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, side int) {
		if side < 1 {
			return
		}
		p, err := Decode(data, Options{MaxPixels: 1 << 14, ShortSide: side})
		if err != nil {
			require.NotContains(t, err.Error(), "the decoder failed")
			return
		}
		require.Len(t, p.Pix, p.W*p.H*p.Mode.bytesPerPixel())
	})
}

func BenchmarkDecodeScaled(b *testing.B) {
	data := photograph(b, 4000, 3000)
	for _, n := range []int{2, 4, 8} {
		b.Run(fmt.Sprintf("12MP/%d", n), func(b *testing.B) {
			for b.Loop() {
				_, err := Decode(data, Options{ShortSide: 3000 / n})
				require.NoError(b, err)
			}
		})
	}
}
