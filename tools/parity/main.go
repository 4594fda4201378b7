// Command parity measures what the compatibility modes change, and writes the tables of docs/parity.md:
//
//	go run ./tools/parity PICTURES
//
// PICTURES is the folder of pictures in the shared test material (../shared/data/images). Scores are those of the shipped model's
// checkpoint in float32 by the interpreter, so that they are the same everywhere.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/clipgo/clipgo"
	"github.com/clipgo/clipgo/convert"
	"github.com/clipgo/clipgo/internal/imageio"
	"github.com/clipgo/clipgo/internal/preprocess"
)

const page = "docs/parity.md"

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: parity PICTURES")
	}
	text, err := os.ReadFile(page)
	if err == nil {
		text, err = update(context.Background(), ".", os.Args[1], text)
	}
	if err == nil {
		err = os.WriteFile(page, text, 0o644)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// update returns the page with its tables made anew, from the repository at root.
func update(ctx context.Context, root, pictures string, text []byte) ([]byte, error) {
	for name, table := range map[string]func() (string, error){
		"pixels":  func() (string, error) { return pixelTable(pictures) },
		"scores":  func() (string, error) { return scoreTable(ctx, root) },
		"answers": func() (string, error) { return answerTable(root) },
		"checked": func() (string, error) { return checkedTable(root) },
	} {
		begin, end := fmt.Sprintf("<!-- begin %s -->\n", name), fmt.Sprintf("<!-- end %s -->", name)
		before, rest, found := bytes.Cut(text, []byte(begin))
		_, after, closed := bytes.Cut(rest, []byte(end))
		if !found || !closed {
			return nil, fmt.Errorf("%s has no %q followed by %q", page, begin, end)
		}
		made, err := table()
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", name, err)
		}
		text = bytes.Join([][]byte{before, []byte(begin + made + end), after}, nil)
	}
	return text, nil
}

var modes = []clipgo.Compat{
	clipgo.CompatHF, clipgo.CompatHF5, clipgo.CompatHF4, clipgo.CompatOpenCLIP, clipgo.CompatOpenAI, clipgo.CompatTFJS,
}

// configurations are those of the public checkpoints.
var configurations = []struct{ name, json string }{
	{"CLIP: bicubic, short side 224, cropped", `{"image_processor_type": "CLIPImageProcessor"}`},
	{"SigLIP: bicubic, squashed to 224", `{"image_processor_type": "SiglipImageProcessor"}`},
	{"SigLIP 2: bilinear, squashed to 256", `{"image_processor_type": "SiglipImageProcessor", "resample": 2, "size": {"height": 256, "width": 256}}`},
}

// difference of two lists of bytes.
type difference struct {
	values, different, sum, most int
}

func (d *difference) add(a, b []byte) {
	d.values += len(a)
	for i := range a {
		n := int(a[i]) - int(b[i])
		if n != 0 {
			d.different++
		}
		n = max(n, -n)
		d.sum, d.most = d.sum+n, max(d.most, n)
	}
}

func (d *difference) String() string {
	if d.different == 0 {
		return "0"
	}
	return fmt.Sprintf("%.2f %%, mean %.3f, most %d", 100*float64(d.different)/float64(d.values), float64(d.sum)/float64(d.values), d.most)
}

// pixelTable compares the resized pictures of each mode with those of hf, before they become floats.
func pixelTable(folder string) (string, error) {
	photos, err := filepath.Glob(filepath.Join(folder, "photos", "*"))
	if err != nil || len(photos) < 100 {
		return "", fmt.Errorf("%d photos in %s, expected the 200 of the shared test material: %v", len(photos), folder, err)
	}
	var some []string
	for i := 0; i < len(photos); i += 5 {
		some = append(some, photos[i])
	}
	others := []string{
		"CLIP.png", "skimage/horse.png", "formats/chess-queen.gif", "formats/bee_animated.gif", "formats/magpie.pbm", "skimage/camera.png",
		"skimage/page.png", "formats/parrot-and-flowers.pgm",
	}
	for i := range others {
		others[i] = filepath.Join(folder, others[i])
	}
	var out strings.Builder
	fmt.Fprintf(&out, "| | mode | %d photographs | %d with alpha, a palette, grey or 1 bit |\n|---|---|---|---|\n", len(some), len(others))
	for _, c := range configurations {
		spec, err := preprocess.ParseHF([]byte(c.json), "")
		if err != nil {
			return "", err
		}
		for _, mode := range modes[1:] {
			if mode == clipgo.CompatOpenAI && c.name[:4] != "CLIP" {
				continue // the package has no SigLIP
			}
			columns := make([]string, 2)
			for i, names := range [][]string{some, others} {
				if columns[i], err = compare(spec, preprocess.Compat(mode), names); err != nil {
					return "", err
				}
			}
			fmt.Fprintf(&out, "| %s | %s | %s | %s |\n", c.name, mode, columns[0], columns[1])
		}
	}
	return out.String(), nil
}

func compare(spec preprocess.Spec, mode preprocess.Compat, names []string) (string, error) {
	other, err := spec.With(mode)
	if err != nil {
		return "", err
	}
	if mode == preprocess.CompatOpenCLIP {
		other.Filter = preprocess.Bicubic // SigLIP 2's too
	}
	var d difference
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		p, err := imageio.Decode(data, imageio.Options{})
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		a, err := spec.Resized(p, nil)
		if err != nil {
			return "", err
		}
		b, err := other.Resized(p, nil)
		if err != nil {
			return "", err
		}
		d.add(a.Pix, b.Pix)
	}
	return d.String(), nil
}

// scoreTable classifies the shipped pictures with the shipped checkpoint in every mode.
func scoreTable(ctx context.Context, root string) (string, error) {
	dir, err := os.MkdirTemp("", "parity")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "demo.gguf")
	if _, err := convert.Convert(ctx, filepath.Join(root, "tools/demo-model/checkpoint"), file, convert.Options{Type: "F32"}); err != nil {
		return "", err
	}
	labels := []string{"owl", "car", "cat", "pizza", "guitar", "rocket"}
	// classify returns the predictions for each picture by label, and which is best: with the mode's own prompts and with hf's.
	classify := func(mode clipgo.Compat) (all [2][]map[string]clipgo.Prediction, best []string, err error) {
		m, err := clipgo.Open(file, clipgo.WithInterpreter(), clipgo.WithCompat(mode))
		if err != nil {
			return all, nil, err
		}
		defer m.Close()
		own, err := m.NewClassifier(ctx, labels)
		if err != nil {
			return all, nil, err
		}
		same, err := m.NewClassifier(ctx, labels, clipgo.WithTemplates("This is a photo of {}."))
		if err != nil {
			return all, nil, err
		}
		for _, label := range labels {
			image, err := clipgo.LoadImage(ctx, filepath.Join(root, "testdata", label+".png"))
			if err != nil {
				return all, nil, err
			}
			embedding, err := m.EncodeImage(ctx, image)
			if err != nil {
				return all, nil, err
			}
			for i, classifier := range []*clipgo.Classifier{own, same} {
				predictions, err := classifier.Score(embedding)
				if err != nil {
					return all, nil, err
				}
				byLabel := map[string]clipgo.Prediction{}
				for _, p := range predictions {
					byLabel[p.Label] = p
				}
				all[i] = append(all[i], byLabel)
				if i == 0 {
					best = append(best, predictions[0].Label)
				}
			}
		}
		return all, best, nil
	}
	var out strings.Builder
	out.WriteString("| mode | largest change of a logit | with the same prompts | largest change of a score | best label |\n|---|---|---|---|---|\n")
	want, first, err := classify(clipgo.CompatHF)
	if err != nil {
		return "", err
	}
	for _, mode := range modes[1:] {
		got, best, err := classify(mode)
		if err != nil {
			return "", err
		}
		var logit, sameLogit, score float64
		agree := 0
		for i := range labels {
			for label, w := range want[0][i] {
				logit = max(logit, math.Abs(got[0][i][label].Logit-w.Logit))
				sameLogit = max(sameLogit, math.Abs(got[1][i][label].Logit-w.Logit))
				score = max(score, math.Abs(got[0][i][label].Score-w.Score))
			}
			if best[i] == first[i] {
				agree++
			}
		}
		fmt.Fprintf(&out, "| %s | %.2g | %.2g | %.1g | %d of %d the same |\n", mode, logit, sameLogit, score, agree, len(labels))
	}
	return out.String(), nil
}

// answerTable is about the programs alone: how far the logits that their own inputs lead to lie from those of hf.
func answerTable(root string) (string, error) {
	data, err := os.ReadFile(filepath.Join(root, "testdata", "compat.json"))
	if err != nil {
		return "", err
	}
	var expected struct {
		Answers []struct {
			Checkpoint string      `json:"checkpoint"`
			Mode       string      `json:"mode"`
			Logits     [][]float64 `json:"logits_per_image"`
		} `json:"answers"`
	}
	if err := json.Unmarshal(data, &expected); err != nil {
		return "", err
	}
	hf := map[string][][]float64{} // by checkpoint
	for _, a := range expected.Answers {
		if a.Mode == "hf" {
			hf[a.Checkpoint] = a.Logits
		}
	}
	var gelu float64
	var out strings.Builder
	out.WriteString("| checkpoint | mode | RGB | with alpha | palette | grey | 16-bit grey | 1 bit |\n|---|---|---|---|---|---|---|---|\n")
	for _, a := range expected.Answers {
		want := hf[a.Checkpoint]
		if a.Mode == "hf" || want == nil {
			continue
		}
		fmt.Fprintf(&out, "| %s | %s |", strings.Replace(a.Checkpoint, "tools/demo-model/checkpoint", "the shipped model", 1), a.Mode)
		for i := range want {
			most := 0.0
			for j := range want[i] {
				most = max(most, math.Abs(a.Logits[i][j]-want[i][j]))
			}
			fmt.Fprintf(&out, " %.2g |", most)
		}
		out.WriteString("\n")
		if a.Checkpoint == "siglip" && a.Mode == "openclip" {
			// The first picture is RGB and the last text has neither capitals nor punctuation: nothing else differs for them.
			gelu = math.Abs(a.Logits[0][len(want[0])-1] - want[0][len(want[0])-1])
		}
	}
	fmt.Fprintf(&out, "\nThe kind of GELU alone (siglip, openclip, an RGB picture and a text that is canonical already) changes a logit by %.2g.\n", gelu)
	return out.String(), nil
}

// checkedTable counts the program's own results that each mode is held to in the tests.
func checkedTable(root string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, "internal/preprocess/testdata/goldens.tsv"))
	if err != nil {
		return "", err
	}
	pictures := map[string]int{}
	for line := range strings.Lines(string(text)) {
		what, _, _ := strings.Cut(line, "\t")
		pictures[what]++
	}
	ran := map[clipgo.Compat]string{
		clipgo.CompatHF:       "transformers 5.23.0, Pillow 13.0",
		clipgo.CompatHF5:      "transformers 5.23.0, torchvision 0.23, ATEN_CPU_CAPABILITY=avx2",
		clipgo.CompatHF4:      "transformers 4.57.6, tokenizers 0.22.2",
		clipgo.CompatOpenCLIP: "open_clip 3.3.0, timm 1.0.31",
		clipgo.CompatOpenAI:   "openai-clip 1.0.1",
		clipgo.CompatTFJS:     "transformers.js 4.2.0, sharp 0.34.5, libvips 8.17.3, Node 20",
	}
	var out strings.Builder
	out.WriteString("| mode | the program that was run | noise pictures, equal to the bit |\n|---|---|---|\n")
	for _, mode := range modes {
		fmt.Fprintf(&out, "| %s | %s | %d |\n", mode, ran[mode], pictures[string(mode)])
	}
	return out.String(), nil
}
