// Package convert makes GGUF files of checkpoints.
package convert

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/tokenkeys"
	"github.com/clipgo/clipgo/quantize"
)

// Options of Convert; the zero value converts both towers to F16.
type Options struct {
	Name       string // general.name; "": what the checkpoint says, else its folder's name
	Type       string // of the matrices: F32, F16, BF16 or a quantised type; "": F16
	TextOnly   bool   // leave the image tower out
	VisionOnly bool   // leave the text tower and the tokeniser out
	Tokenizer  string // a folder with the tokeniser's files, or one of them; "": beside the weights
	// Progress, if not nil, is told how many of the output's bytes are done. Calls come one at a time.
	Progress func(done, total int64)
}

// Report says what became of the tensors.
type Report struct {
	Name    string
	Family  string
	Tensors int
	Types   map[gguf.Type]int // how many tensors have each type
	Bytes   int64             // of the tensors' data
	// Fallbacks are the tensors that kept a wider type because their rows are no whole number of blocks.
	Fallbacks []string
	// Assumed are sentences on what the checkpoint doesn't say.
	Assumed []string
}

// Convert reads the checkpoint at path, a folder as Hugging Face's save_pretrained writes it, and writes a GGUF file to
// out: whole or not at all. It reads tensor by tensor, so that memory doesn't grow with the checkpoint. Errors name the
// file and the tensor or field; tensors that the model doesn't have a place for are an error that names them.
func Convert(ctx context.Context, path, out string, o Options) (*Report, error) {
	if o.TextOnly && o.VisionOnly {
		return nil, errors.New("text only and vision only exclude each other")
	}
	typeName := o.Type
	if typeName == "" {
		typeName = "F16"
	}
	policy, err := quantize.ParsePolicy(typeName)
	if err != nil {
		return nil, err
	}
	src, err := openSource(path, o)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	if o.Name != "" {
		src.model.Name = o.Name
	}
	if o.TextOnly {
		src.model.Vision = nil
	}
	if o.VisionOnly {
		src.model.Text = nil
	}
	if src.model.Vision == nil && src.model.Text == nil {
		return nil, fmt.Errorf("%s: nothing is left to convert", path)
	}
	plan, err := makePlan(src, policy)
	if err != nil {
		return nil, err
	}

	w := gguf.NewWriter()
	if err := writeKeys(w, src, policy); err != nil {
		return nil, err
	}
	report := &Report{Name: src.model.Name, Family: src.model.Family, Types: map[gguf.Type]int{}, Assumed: src.assumed}
	for _, t := range plan {
		if err := w.AddTensor(t.Name, t.typ, t.Dims); err != nil {
			return nil, err
		}
		report.Tensors++
		report.Types[t.typ]++
		report.Bytes += t.bytes
		if t.fallback {
			report.Fallbacks = append(report.Fallbacks, t.Name)
		}
	}
	byName := map[string]*planned{}
	for i := range plan {
		byName[plan[i].Name] = &plan[i]
	}
	var done int64
	err = w.WriteFile(out, func(info gguf.TensorInfo, w io.Writer) error {
		return byName[info.Name].write(ctx, w, func(n int) {
			done += int64(n)
			if o.Progress != nil {
				o.Progress(done, report.Bytes)
			}
		})
	})
	if err != nil {
		return nil, err
	}
	return report, nil
}

// writeKeys sets everything but the tensors.
func writeKeys(w *gguf.Writer, src *source, policy *quantize.Policy) error {
	if err := src.model.WriteKeys(w); err != nil {
		return err
	}
	if err := w.Set("general.file_type", policy.FileType()); err != nil {
		return err
	}
	if policy.Quantized() {
		if err := w.Set("general.quantization_version", uint32(2)); err != nil {
			return err
		}
	}
	if src.model.Vision != nil {
		for _, kv := range src.pixels.Keys() {
			if err := w.Set(kv.Key, kv.Value); err != nil {
				return err
			}
		}
	}
	if src.tokenizer != nil {
		return tokenkeys.Write(w, src.tokenizer)
	}
	return nil
}

// DefaultOutput names the output for a checkpoint: its folder's name, or that of the file, and the type, in the working directory.
func DefaultOutput(path, typeName string) string {
	if typeName == "" {
		typeName = "F16"
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path
	}
	name := filepath.Base(abs)
	if weightsFormat(name) != nil || isGGUF(name) {
		name = strings.TrimSuffix(name, filepath.Ext(name))
	}
	return name + "-" + strings.ToUpper(typeName) + ".gguf"
}
