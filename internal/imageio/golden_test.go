package imageio

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/clipgo/clipgo/internal/testutil"
	"github.com/stretchr/testify/require"
)

type golden struct {
	path, format string
	mode         Mode
	w, h         int
	rgb, own     string
	failed       bool
}

// goldens reads a table of what Pillow made of some files (tools/image-goldens/decode.py).
func goldens(t testing.TB, table string) []golden {
	t.Helper()
	text, err := os.ReadFile(table)
	require.NoError(t, err)
	var out []golden
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		g := golden{path: f[0], format: f[1]}
		switch {
		case f[1] == "error":
			g.failed = true
		case f[2] == "other":
			continue
		default:
			g.mode = Mode(f[2])
			g.w, _ = strconv.Atoi(f[3])
			g.h, _ = strconv.Atoi(f[4])
			g.rgb, g.own = f[5], f[6]
		}
		out = append(out, g)
	}
	return out
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])[:16]
}

// lenient are files that Pillow refuses and we read, with the reason.
var lenient = map[string]string{
	"tricky/image-rs/images_bmp_images_lenient_pal8oversizepal.bmp": "colours beyond 256 are never referred to",
	"tricky/pillow/png_decompression_dos.png":                       "the bomb is in a text chunk, which is never inflated here",
}

// refusedHere are files that Pillow reads and we refuse, with the reason.
var refusedHere = map[string]string{
	"tricky/libjpeg-turbo/testimgari.jpg": "arithmetic coding",
}

func TestDecodeEqualsPillow(t *testing.T) {
	compare(t, testutil.Shared(t, "data"), "testdata/pillow.tsv")
}

// TestDecodeSamples is the same for the pictures in the repository.
func TestDecodeSamples(t *testing.T) {
	compare(t, "testdata", "testdata/samples.tsv")
}

func compare(t *testing.T, root, table string) {
	for _, g := range goldens(t, table) {
		data, err := os.ReadFile(root + "/" + g.path)
		require.NoError(t, err)
		p, err := Decode(data, Options{})
		if err == nil {
			p = p.Upright()
		}
		switch {
		case refusedHere[g.path] != "":
			require.Error(t, err, g.path)
		case lenient[g.path] != "":
			require.NoError(t, err, g.path)
		case g.failed && err == nil:
			t.Errorf("%s: Pillow refuses it, we don't", g.path)
		case g.failed:
		case err != nil:
			t.Errorf("%s (%s %s): %v", g.path, g.format, g.mode, err)
		case p.W != g.w || p.H != g.h:
			t.Errorf("%s: %d x %d, Pillow %d x %d", g.path, p.W, p.H, g.w, g.h)
		case digest(p.ToRGB().Pix) != g.rgb:
			t.Errorf("%s (%s %s): RGB differs; our mode is %s", g.path, g.format, g.mode, p.Mode)
		case g.mode == "I" || g.mode == "F": // Pillow's 32-bit greys: kept as 16 bits, or clipped to 8
			require.Contains(t, []Mode{Grey, Grey16}, p.Mode, g.path)
		case p.Mode != g.mode:
			t.Errorf("%s (%s): mode %s, Pillow %s", g.path, g.format, p.Mode, g.mode)
		case digest(p.Pix) != g.own:
			t.Errorf("%s (%s %s): own bytes differ", g.path, g.format, g.mode)
		}
	}
}
