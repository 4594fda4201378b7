package clipgo_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo"
	"github.com/clipgo/clipgo/internal/testutil"
)

var compatModes = []clipgo.Compat{
	clipgo.CompatHF, clipgo.CompatHF5, clipgo.CompatHF4, clipgo.CompatOpenCLIP, clipgo.CompatOpenAI, clipgo.CompatTFJS,
}

func TestParseCompat(t *testing.T) {
	for _, mode := range compatModes {
		got, err := clipgo.ParseCompat(string(mode))
		require.NoError(t, err)
		require.Equal(t, mode, got)
	}
	_, err := clipgo.ParseCompat("hf6")
	require.ErrorContains(t, err, `"hf6" is not known, expected one of hf, hf5, hf4, openclip, openai, tfjs`)
	_, err = clipgo.OpenDemo(clipgo.WithInterpreter(), clipgo.WithCompat("pytorch"))
	require.ErrorContains(t, err, `"pytorch" is not known`)
}

// The default prompt has a full stop everywhere but in transformers.js.
func TestCompatTemplate(t *testing.T) {
	for _, mode := range compatModes {
		m, err := clipgo.OpenDemo(clipgo.WithInterpreter(), clipgo.WithCompat(mode))
		require.NoError(t, err)
		require.Equal(t, mode, m.Info().Compat)
		require.Equal(t, mode != clipgo.CompatTFJS, strings.HasSuffix(m.Info().Template, "{}."), mode)
		require.NoError(t, m.Close())
	}
}

// Without a mode it is the layout's own program.
func TestCompatDefault(t *testing.T) {
	for name, want := range map[string]clipgo.Compat{"siglip": clipgo.CompatHF, "openclip-coca": clipgo.CompatOpenCLIP} {
		m, err := clipgo.Open((&golden{dir: testutil.Shared(t, "golden", name)}).convert(t, "F16"), clipgo.WithInterpreter())
		require.NoError(t, err)
		require.Equal(t, want, m.Info().Compat)
		require.NoError(t, m.Close())
	}
}

// OpenAI's package refuses a text that is too long, whatever the options say.
func TestCompatOpenAIRefusesLongTexts(t *testing.T) {
	long := strings.Repeat("owl ", 200)
	m, err := clipgo.OpenDemo(clipgo.WithInterpreter(), clipgo.WithCompat(clipgo.CompatOpenAI))
	require.NoError(t, err)
	defer m.Close()
	_, err = m.EncodeText(t.Context(), long)
	require.ErrorContains(t, err, "shorten it")
}

// Only programs that have a model's family are taken for it, and the error names them.
func TestCompatFits(t *testing.T) {
	all := "hf hf5 hf4 openclip openai tfjs"
	for name, fitting := range map[string]string{
		"clip-224": all, "siglip": "hf hf5 hf4 openclip tfjs", "siglip2-fixed": "hf hf5 hf4 openclip tfjs",
		"siglip2-naflex": "hf hf5 hf4", "metaclip_2": "hf hf5 hf4 openclip", "chinese_clip": "hf hf5 hf4 tfjs", "clipseg": "hf hf5 hf4 tfjs",
		"altclip": "hf hf5 hf4", "align": "hf hf5 hf4", "blip": "hf hf5 hf4", "blip-2": "hf hf5 hf4", "tipsv2": "hf hf5",
		"openclip-vit-quickgelu": all, "openclip-vit-custom-text": "openclip", "openclip-coca": "openclip",
	} {
		path := (&golden{dir: testutil.Shared(t, "golden", name)}).convert(t, "F32")
		for _, mode := range compatModes {
			m, err := clipgo.Open(path, clipgo.WithInterpreter(), clipgo.WithCompat(mode))
			if strings.Contains(" "+fitting+" ", " "+string(mode)+" ") {
				require.NoError(t, err, "%s %s", name, mode)
				_, _, err := m.Processor().Tokenize("A photo")
				require.NoError(t, err, "%s %s", name, mode)
				_, err = m.Processor().Pixels(picture(t, "owl.png"))
				require.NoError(t, err, "%s %s", name, mode)
				require.NoError(t, m.Close())
				continue
			}
			require.ErrorContains(t, err, strings.ReplaceAll(fitting, " ", ", "), "%s %s", name, mode)
			require.ErrorContains(t, err, path)
		}
	}
}

// TestCompatAnswers holds every mode to the logits that its program's own pixel values and ids give (tools/parity/answers.py).
func TestCompatAnswers(t *testing.T) {
	data, err := os.ReadFile("testdata/compat.json")
	require.NoError(t, err)
	var expected struct {
		Images  []string `json:"images"`
		Texts   []string `json:"texts"`
		Answers []struct {
			Checkpoint string      `json:"checkpoint"`
			Mode       string      `json:"mode"`
			Logits     [][]float64 `json:"logits_per_image"`
		} `json:"answers"`
	}
	require.NoError(t, json.Unmarshal(data, &expected))
	if testing.Short() {
		expected.Images = expected.Images[:1]
	}
	modes := map[string]bool{}
	for _, a := range expected.Answers {
		modes[a.Mode] = true
		t.Run(filepath.Base(a.Checkpoint)+" "+a.Mode, func(t *testing.T) {
			dir := a.Checkpoint
			if !strings.HasPrefix(dir, "tools/") {
				dir = testutil.Shared(t, "golden", a.Checkpoint)
			}
			m, err := clipgo.Open((&golden{dir: dir}).convert(t, "F32"), clipgo.WithInterpreter(), clipgo.WithCompat(clipgo.Compat(a.Mode)))
			require.NoError(t, err)
			defer m.Close()
			tokens, err := m.Processor().Tokens(expected.Texts...)
			require.NoError(t, err)
			for i, name := range expected.Images {
				image, err := clipgo.LoadImage(t.Context(), name)
				require.NoError(t, err)
				pixels, err := m.Processor().Pixels(image)
				require.NoError(t, err)
				out, err := m.Forward(t.Context(), pixels, tokens)
				require.NoError(t, err)
				worst := 0.0
				for j, want := range a.Logits[i] {
					worst = max(worst, math.Abs(want-float64(out.LogitsPerImage[0][j])))
				}
				require.Less(t, worst, 1e-4, name) // another GELU alone makes 1e-3
			}
		})
	}
	require.Len(t, modes, len(compatModes))
}

// open_clip's SigLIP has GELU itself in both towers, its SigLIP 2 in this image tower alone; transformers approximates everywhere.
func TestCompatGELU(t *testing.T) {
	for name, want := range map[string][2]bool{"siglip": {false, false}, "siglip2-fixed": {false, true}} {
		path := (&golden{dir: testutil.Shared(t, "golden", name)}).convert(t, "F32")
		for _, mode := range compatModes {
			m, err := clipgo.Open(path, clipgo.WithInterpreter(), clipgo.WithCompat(mode))
			if mode == clipgo.CompatOpenAI {
				require.Error(t, err)
				continue
			}
			require.NoError(t, err)
			image, text, err := m.Programs()
			require.NoError(t, err)
			for i, listing := range []string{image, text} {
				require.Equal(t, mode != clipgo.CompatOpenCLIP || want[i], strings.Contains(listing, "gelu_tanh"), "%s %s\n%s", name, mode, listing)
			}
			require.NoError(t, m.Close())
		}
	}
}

// TestCompatTorchvision holds hf5 to the logits that transformers gave with its torchvision processors, from the pictures on.
func TestCompatTorchvision(t *testing.T) {
	library := testutil.Engine(t)
	for _, name := range families {
		g := readGolden(t, name)
		data, err := os.ReadFile(filepath.Join(g.dir, "expected.json"))
		require.NoError(t, err)
		var expected struct {
			Logits [][]float64 `json:"logits_per_image_torchvision"`
		}
		require.NoError(t, json.Unmarshal(data, &expected))
		if expected.Logits == nil {
			continue // open_clip's, and tipsv2, which has this processor alone
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := clipgo.Open(g.convert(t, "F32"), clipgo.WithLibrary(library), clipgo.WithCompat(clipgo.CompatHF5))
			require.NoError(t, err)
			defer m.Close()
			var images []*clipgo.Image
			for _, name := range g.Images {
				image, err := clipgo.LoadImage(t.Context(), testutil.Shared(t, "data", "images", name))
				require.NoError(t, err)
				images = append(images, image)
			}
			pixels, err := m.Processor().Pixels(images...)
			require.NoError(t, err)
			out, err := m.Forward(t.Context(), pixels, &clipgo.Tokens{IDs: g.IDs, Mask: g.Mask})
			require.NoError(t, err)
			for i, row := range expected.Logits {
				for j, want := range row {
					require.InDelta(t, want, out.LogitsPerImage[i][j], 1e-3, "%s, %q", g.Images[i], g.Texts[j])
				}
			}
		})
	}
}
