package preprocess

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/clipgo/clipgo/internal/imageio"
	"github.com/stretchr/testify/require"
)

// noise is the picture that tools/image-goldens/preprocess.py makes.
func noise(mode imageio.Mode, w, h int) *imageio.Picture {
	channels := map[imageio.Mode]int{
		imageio.GreyAlpha: 2, imageio.Grey16: 2, imageio.RGB24: 3, imageio.RGBA32: 4, imageio.CMYK32: 4,
	}
	p := &imageio.Picture{Mode: mode, W: w, H: h, Pix: make([]byte, w*h*max(1, channels[mode]))}
	x := uint32(w)
	for i := range p.Pix {
		x = 1664525*x + 1013904223
		p.Pix[i] = byte(x >> 24)
		if mode == imageio.Bilevel {
			p.Pix[i] = 255 * (p.Pix[i] >> 7)
		}
	}
	if mode == imageio.Palette {
		for i := range 256 {
			p.Palette = append(p.Palette, [3]byte{byte(i), byte(255 - i), byte(i ^ 0x55)})
		}
	}
	return p
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])[:16]
}

func floatBytes(values []float32) []byte {
	b := make([]byte, 0, 4*len(values))
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// TestGoldenNoise compares with Pillow, torchvision, transformers 5 and 4, open_clip, OpenAI's clip and transformers.js on odd sizes, every filter and every colour mode.
func TestGoldenNoise(t *testing.T) {
	text, err := os.ReadFile("testdata/goldens.tsv")
	require.NoError(t, err)
	cases := map[string]int{}
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		what, mode, how, want := f[0], imageio.Mode(f[1]), f[4], f[7]
		size := [4]int{}
		for i, j := range []int{2, 3, 5, 6} {
			size[i] = must(strconv.Atoi(f[j]))
		}
		p := noise(mode, size[0], size[1])
		cases[what]++
		switch what {
		case "hf", "hf4", "hf5", "openclip", "openai", "tfjs":
			parse := func(b []byte) (Spec, error) { return ParseHF(b, "clip") }
			if what == "openclip" {
				parse = ParseOpenCLIP
			}
			spec, err := parse([]byte(how))
			require.NoError(t, err, line)
			spec, err = spec.With(Compat(what))
			require.NoError(t, err, line)
			got, err := spec.Apply(p, nil)
			require.NoError(t, err, line)
			if digest(floatBytes(got.Values)) != want {
				t.Errorf("differs: %s", line)
			}
			continue
		}
		spec := Spec{
			Resize: Exact, Width: size[2], Height: size[3], Filter: Filter(how), Backend: Pillow, CropRule: CropHF, Arithmetic: NumPy,
		}
		switch what {
		case "int16":
			spec.Backend = TorchInt16
		case "float32":
			spec.Backend = TorchFloat32
		}
		whole := func(n int) axis { return axis{size: n, out: n} }
		z := resizer{spec.Backend, spec.Filter, nil}
		got, err := z.resizeOwnMode(p, size[3], size[2], whole(size[3]), whole(size[2]), 0)
		require.NoError(t, err, line)
		if digest(got.Pix) != want {
			t.Errorf("differs: %s", line)
		}
	}
	require.Equal(t, map[string]int{"pillow": 210, "int16": 21, "float32": 14, "hf": 97, "hf4": 240, "hf5": 90, "openclip": 156, "openai": 96, "tfjs": 249}, cases)
}

// TestExtraPictures compares real pictures with lines that tools/image-goldens/modes.py wrote of them: CLIPGO_PICTURE_LINES=lines.tsv.
func TestExtraPictures(t *testing.T) {
	path := os.Getenv("CLIPGO_PICTURE_LINES")
	if path == "" {
		t.Skip("CLIPGO_PICTURE_LINES is not set")
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		var spec Spec
		if f[0] == "openclip" {
			spec, err = ParseOpenCLIP([]byte(f[3]))
		} else {
			spec, err = ParseHF([]byte(f[3]), "")
		}
		require.NoError(t, err, line)
		spec, err = spec.With(Compat(f[0]))
		require.NoError(t, err, line)
		got, err := spec.Apply(loadPicture(t, f[1]), nil)
		require.NoError(t, err, line)
		if digest(floatBytes(got.Values)) != f[4] {
			t.Errorf("differs: %s", line)
		}
	}
}
