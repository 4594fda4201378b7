package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"image"
	"image/jpeg"
	"io"

	"github.com/clipgo/clipgo"
	"github.com/clipgo/clipgo/internal/atomicfile"
)

//go:embed compare.html
var reportHTML string

var reportTemplate = template.Must(template.New("report").Parse(reportHTML))

// report is what the template shows.
type report struct {
	*comparison
	Costs         []costRow
	Shown         []shownPicture // the worst first; then the one with the largest change of a score
	CosinePlot    plot
	TensorPlot    plot
	TensorEntries []tensorEntryHTML
}

type shownPicture struct {
	Name, Caption string
	Thumbnail     template.URL // a data: URI
}

type tensorEntryHTML struct {
	tensorError
	Text string
}

// plot is a bar chart, plotWidth by plotHeight.
type plot struct {
	Bars                     []plotBar
	Left, Right, Top, Bottom string // labels at the ends of the axes
}

type plotBar struct {
	X, Y, Width, Height float64
	Title               string
}

const (
	plotWidth, plotHeight = 800.0, 200.0
	histogramBins         = 40
	thumbnailSide         = 192
)

// writeReport writes the comparison as one HTML file that needs nothing else.
func writeReport(ctx context.Context, path string, c *comparison, load func(ctx context.Context, i int) (*clipgo.Image, error)) error {
	r := report{comparison: c, Costs: costs(c), CosinePlot: plotCosines(c.cosines), TensorPlot: plotTensors(c.Tensors)}
	for _, t := range c.Tensors {
		r.TensorEntries = append(r.TensorEntries, tensorEntryHTML{t, t.errorText()})
	}
	show := func(index int, name, caption string) error {
		m, err := load(ctx, index)
		if err != nil {
			return err
		}
		uri, err := thumbnailURI(m)
		if err != nil {
			return fmt.Errorf("image %s: %w", name, err)
		}
		r.Shown = append(r.Shown, shownPicture{name, caption, uri})
		return nil
	}
	for _, p := range c.Worst {
		if err := show(p.index, p.Image, fmt.Sprintf("cosine %.6f", p.Cosine)); err != nil {
			return err
		}
	}
	if l := c.Labels; l != nil {
		x := l.Change
		caption := fmt.Sprintf("largest change: %s %.3f%% → %.3f%%", x.Label, 100*x.A, 100*x.B)
		if err := show(x.index, x.Image, caption); err != nil {
			return err
		}
	}
	return atomicfile.Write(path, func(w io.Writer) error { return reportTemplate.Execute(w, r) })
}

// plotCosines is the histogram of cosines, ascending, from the least to 1.
func plotCosines(cosines []float64) plot {
	least := cosines[0]
	width := max(1-least, 1e-9) / histogramBins // of a bin; equal embeddings all fall into the last
	counts := make([]int, histogramBins)
	highest := 0
	for _, x := range cosines {
		k := min(histogramBins-1, int((x-least)/width))
		if least == 1 {
			k = histogramBins - 1
		}
		counts[k]++
		highest = max(highest, counts[k])
	}
	p := plot{Left: fmt.Sprintf("%.6f", least), Right: "1", Top: fmt.Sprint(highest), Bottom: "0"}
	for k, n := range counts {
		if n > 0 {
			from := least + float64(k)*width
			p.add(k, histogramBins, float64(n)/float64(highest), fmt.Sprintf("%.6f to %.6f: %d", from, from+width, n))
		}
	}
	return p
}

// plotTensors has a bar for each tensor whose error is defined, in file order.
func plotTensors(tensors []tensorError) plot {
	highest := 0.0
	for _, t := range tensors {
		if t.Error != nil {
			highest = max(highest, *t.Error)
		}
	}
	p := plot{Left: "first tensor", Right: "last", Top: fmt.Sprintf("%.4f", highest), Bottom: "0"}
	for i, t := range tensors {
		if t.Error != nil && *t.Error > 0 {
			p.add(i, len(tensors), *t.Error/highest, fmt.Sprintf("%s: %s", t.Name, t.errorText()))
		}
	}
	return p
}

// add draws the k-th of n bars, of a height from 0 to 1.
func (p *plot) add(k, n int, height float64, title string) {
	width := plotWidth / float64(n)
	p.Bars = append(p.Bars, plotBar{float64(k) * width, plotHeight * (1 - height), 0.85 * width, plotHeight * height, title})
}

// thumbnailURI is the picture, made small, as a data: URI.
func thumbnailURI(m *clipgo.Image) (template.URL, error) {
	width, height := m.Size()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, thumbnail(m.RGB(), width, height), &jpeg.Options{Quality: 85}); err != nil {
		return "", err
	}
	return template.URL("data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(b.Bytes())), nil
}

// thumbnail scales pix [height, width, 3] down to at most thumbnailSide in each direction; each pixel is the mean of those
// that it covers. A small picture keeps its size.
func thumbnail(pix []byte, width, height int) image.Image {
	longer := max(width, height, thumbnailSide)
	w, h := max(1, width*thumbnailSide/longer), max(1, height*thumbnailSide/longer)
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			var sum [3]int
			n := 0
			for v := y * height / h; v < (y+1)*height/h; v++ {
				for u := x * width / w; u < (x+1)*width/w; u++ {
					at := 3 * (v*width + u)
					for k, s := range pix[at : at+3] {
						sum[k] += int(s)
					}
					n++
				}
			}
			at := out.PixOffset(x, y)
			for k := range sum {
				out.Pix[at+k] = byte(sum[k] / n)
			}
			out.Pix[at+3] = 255
		}
	}
	return out
}
