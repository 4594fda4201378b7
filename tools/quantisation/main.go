// Command quantisation measures what each weight type costs: the zero-shot accuracy of a CLIP trained on CIFAR-10 over the
// 10,000 test pictures, as a table in Markdown.
//
//	go run ./tools/quantisation CHECKPOINT TEST.tar TRAIN.tar [TYPE]... >>docs/quantisation.md
//
// Without types it measures all. The archives hold pictures in folders named after their classes. The importance matrix is gathered over every 100th
// training picture, and the labels' prompts.
package main

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/clipgo/clipgo"
	"github.com/clipgo/clipgo/convert"
	"github.com/clipgo/clipgo/quantize"
)

func main() {
	if len(os.Args) < 4 {
		log.Fatal("usage: quantisation CHECKPOINT TEST.tar TRAIN.tar [TYPE]...")
	}
	types := os.Args[4:]
	if len(types) == 0 {
		types = quantize.Names()
	}
	if err := run(context.Background(), os.Args[1], os.Args[2], os.Args[3], types); err != nil {
		log.Fatal(err)
	}
}

// sample is a picture and its class.
type sample struct {
	class string
	image *clipgo.Image
}

// readTar decodes every step-th picture of an archive.
func readTar(name string, step int) ([]sample, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var samples []sample
	n := 0
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err == io.EOF {
			return samples, nil
		}
		if err != nil {
			return nil, err
		}
		if path.Ext(h.Name) != ".jpg" {
			continue
		}
		if n++; n%step != 0 {
			continue
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		image, err := clipgo.DecodeImage(bytes.NewReader(data), clipgo.ImageOptions{})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", h.Name, err)
		}
		samples = append(samples, sample{path.Base(path.Dir(h.Name)), image})
	}
}

var labels = []string{"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}

func run(ctx context.Context, checkpoint, testTar, trainTar string, types []string) error {
	dir, err := os.MkdirTemp("", "quantisation")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	source := filepath.Join(dir, "F32.gguf")
	if _, err := convert.Convert(ctx, checkpoint, source, convert.Options{Type: "F32"}); err != nil {
		return err
	}
	tests, err := readTar(testTar, 1)
	if err != nil {
		return err
	}
	im, err := observe(ctx, source, trainTar)
	if err != nil {
		return err
	}
	reference, err := evaluate(ctx, source, tests, nil, clipgo.WithActivations(clipgo.Float32))
	if err != nil {
		return err
	}
	fmt.Println("| type | file, MB | top-1 % | lost | cosine, mean | cosine, worst | with imatrix: top-1 % | lost | cosine, mean |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|")
	fmt.Printf("| F32, float32 activations | %.2f | %.2f | | | | | | |\n", megabytes(source), reference.top1)
	for _, name := range types {
		row := fmt.Sprintf("| %s |", name)
		for i, m := range []*quantize.Imatrix{nil, im} {
			file := filepath.Join(dir, fmt.Sprintf("%s-%d.gguf", name, i))
			policy, err := quantize.ParsePolicy(name)
			if err != nil {
				return err
			}
			if i == 1 && !policy.Quantized() {
				row += " | | |"
				continue
			}
			if _, err := quantize.File(ctx, source, file, quantize.Options{Policy: policy, Imatrix: m}); err != nil {
				return err
			}
			r, err := evaluate(ctx, file, tests, reference)
			if err != nil {
				return err
			}
			if i == 0 {
				row += fmt.Sprintf(" %.2f | %.2f | %+.2f | %.5f | %.4f |", megabytes(file), r.top1, r.top1-reference.top1, r.mean, r.worst)
			} else {
				row += fmt.Sprintf(" %.2f | %+.2f | %.5f |", r.top1, r.top1-reference.top1, r.mean)
			}
			os.Remove(file)
		}
		fmt.Println(row)
	}
	return nil
}

func megabytes(file string) float64 {
	info, err := os.Stat(file)
	if err != nil {
		return math.NaN()
	}
	return float64(info.Size()) / 1e6
}

func observe(ctx context.Context, model, trainTar string) (*quantize.Imatrix, error) {
	samples, err := readTar(trainTar, 100)
	if err != nil {
		return nil, err
	}
	m, err := clipgo.Open(model, clipgo.WithActivations(clipgo.Float32))
	if err != nil {
		return nil, err
	}
	defer m.Close()
	im := quantize.NewImatrix()
	for _, s := range samples {
		if err := m.ObserveImage(ctx, s.image, im); err != nil {
			return nil, err
		}
	}
	for _, label := range labels {
		if err := m.ObserveText(ctx, strings.Replace(m.Info().Template, "{}", label, 1), im); err != nil {
			return nil, err
		}
	}
	return im, nil
}

// result is what a model makes of the test pictures.
type result struct {
	top1        float64 // percent
	mean, worst float64 // cosine with the reference's embeddings
	embeddings  [][]float32
}

func evaluate(ctx context.Context, model string, tests []sample, reference *result, opts ...clipgo.Option) (*result, error) {
	m, err := clipgo.Open(model, opts...)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	c, err := m.NewClassifier(ctx, labels)
	if err != nil {
		return nil, err
	}
	r := &result{worst: 1}
	right := 0
	load := func(_ context.Context, i int) (*clipgo.Image, error) { return tests[i].image, nil }
	err = m.EncodeEach(ctx, len(tests), load, func(i int, e []float32, err error) error {
		if err != nil {
			return err
		}
		p, err := c.Score(e)
		if err != nil {
			return err
		}
		if p[0].Label == tests[i].class {
			right++
		}
		if reference == nil {
			r.embeddings = append(r.embeddings, e)
			return nil
		}
		var cosine float64
		for j, x := range reference.embeddings[i] {
			cosine += float64(x) * float64(e[j])
		}
		r.mean += cosine / float64(len(tests))
		r.worst = min(r.worst, cosine)
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.top1 = 100 * float64(right) / float64(len(tests))
	return r, nil
}
