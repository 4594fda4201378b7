// Command models writes docs/models.md: which models clipgo reads, and which it refuses and why, from the tables that decide it.
//
//	go run ./tools/models
package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/clipgo/clipgo/internal/arch"
	"github.com/clipgo/clipgo/internal/jsonconf"
	"github.com/clipgo/clipgo/internal/preprocess"
	"github.com/clipgo/clipgo/internal/tokenizer"
	"github.com/clipgo/clipgo/quantize"
)

const page = "docs/models.md"

func main() {
	text, err := write()
	if err == nil {
		err = os.WriteFile(page, text, 0o644)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// write returns the page.
func write() ([]byte, error) {
	var w bytes.Buffer
	w.WriteString(`# Models

Made by ` + "`go run ./tools/models`" + ` from the tables in internal/arch, internal/tokenizer and internal/preprocess; don't edit it.

## transformers

Checkpoints as save_pretrained writes them, by config.json's model_type. Numbers are the class's defaults; a checkpoint's own
configuration counts. Each family is held to transformers 5.23's logits: within 1e-3 in F32.

| model_type | for example | image tower | text tower | scores |
|---|---|---|---|---|
`)
	for _, f := range arch.Families() {
		config, err := jsonconf.Parse("config.json", []byte("{}"))
		if err != nil {
			return nil, err
		}
		m, err := f.Read(config)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Type, err)
		}
		fmt.Fprintf(&w, "| %s | %s | %s | %s | %s |\n", f.Type, f.Examples, imageTower(m.Vision), textTower(m.Text), m.Score)
	}
	fmt.Fprintf(&w, `
Of siglip2, the NaFlex checkpoints carry the type; SigLIP 2 of a fixed resolution is siglip. BlipForImageTextRetrieval's contrastive half is
read as blip. Weights: safetensors, or .bin and .pt files of torch (nothing in them is
executed), in one file or in shards with an index.

- Tokenizers (classes, with or without Fast): %s. TokenizersBackend is tokenizer.json as it stands.
- Image processors (with or without Fast or Pil): %s.

## open_clip

Checkpoints with open_clip_config.json, for example %s: the native ViT and text transformer with every pooling that gives one
embedding, custom_text, no_causal_mask, layer scale, attentional pooling, CoCa's contrastive towers, and of timm's image towers
those of SigLIP and SigLIP 2. Weights: open_clip_model.safetensors, open_clip_pytorch_model.bin, a training .pt. OpenAI's own archives
(ViT-B-32.pt and the like), and big_vision's .npz for SigLIP, are read too.

## GGUF

clipgo's own files, and clip.cpp's (f32 to q8_0), which run as they are. CrispEmbed's pairs of files (CLIP and SigLIP, one tower each) are
checkpoints: convert makes one file of both. Types that weights can have: %s.

## Refused

| what gives it away | model | reason |
|---|---|---|
`, list(tokenizer.Classes()), list(preprocess.Classes()), arch.OpenCLIP.Examples, list(quantize.Names()))
	for _, r := range arch.Refusals() {
		fmt.Fprintf(&w, "| %s | %s | %s |\n", r.Mark, r.Name, r.Reason)
	}
	w.WriteString(`
What isn't in a table here is refused too, with the names that are: a tensor without a place, or a place without a tensor, is an error that
names it, and so no model gives numbers that aren't its own.
`)
	return w.Bytes(), nil
}

// list joins names; lines are broken elsewhere.
func list(names []string) string { return strings.Join(names, ", ") }

func imageTower(v *arch.Vision) string {
	var parts []string
	add := func(when bool, format string, a ...any) {
		if when {
			parts = append(parts, fmt.Sprintf(format, a...))
		}
	}
	add(v.Conv != nil, "EfficientNet")
	add(v.Conv == nil && !v.NaFlex, "ViT")
	add(v.NaFlex, "ViT over patches of native proportions")
	add(v.Registers > 0, "%d register", v.Registers)
	if q := v.Queries; q != nil {
		add(true, "Q-Former with %d queries, each an embedding", q.Tokens)
	} else {
		add(true, "%s", pooling[v.Pooling])
	}
	return strings.Join(parts, ", ")
}

func textTower(t *arch.Text) string {
	var parts []string
	if t.PostNorm {
		parts = append(parts, "BERT")
	} else {
		parts = append(parts, "transformer")
	}
	if t.Causal {
		parts = append(parts, "causal")
	}
	parts = append(parts, pooling[t.Pooling])
	if t.Pooler > 0 {
		parts = append(parts, "a pooler")
	}
	return strings.Join(append(parts, fmt.Sprintf("%d tokens", t.Context)), ", ")
}

// pooling says what an embedding is made of.
var pooling = map[arch.Pooling]string{
	arch.PoolFirst: "first row", arch.PoolLast: "last row", arch.PoolEOS: "row of the end token", arch.PoolArgmax: "row of the greatest id",
	arch.PoolMean: "mean", arch.PoolMAP: "attention pooling", arch.PoolNone: "all rows",
}
