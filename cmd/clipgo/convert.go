package main

import (
	"cmp"
	"context"
	"fmt"
	"sort"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/clipgo/clipgo/convert"
	"github.com/clipgo/clipgo/gguf"
	"github.com/clipgo/clipgo/internal/hub"
	"github.com/clipgo/clipgo/quantize"
)

func convertCommand(s streams) *cli.Command {
	return newCommand(&cli.Command{
		Name:      "convert",
		Usage:     "make a GGUF file of a Hugging Face checkpoint",
		ArgsUsage: "FOLDER|ORG/NAME[@REVISION]",
		Description: `FOLDER is what transformers' save_pretrained writes and what the Hub shows: config.json, preprocessor_config.json,
model.safetensors (or its shards and their index), tokenizer.json (or vocab.json and merges.txt). open_clip's folders
have open_clip_config.json and open_clip_model.safetensors. FOLDER may also be a file of weights, such as OpenAI's
ViT-B-32.pt, SigLIP's original siglip.npz, which needs its tokeniser beside it or named, or half of a CrispEmbed pair of
GGUF files, whose other half lies beside it. ORG/NAME is a model of the Hugging Face Hub, which is downloaded as clipgo
pull does.

Examples:
  clipgo convert clip-vit-base-patch32/
  clipgo convert clip-vit-base-patch32/ --type Q8_0 -o clip.gguf
  clipgo convert webli_en_b16_224.npz --tokenizer spiece.model`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FILE` to write (default: the folder's name and the type)"},
			&cli.StringFlag{Name: "type", Value: "F16", Usage: "`TYPE` of the matrices (default: F16), one of\n\t" + typeNames("\n\t")},
			&cli.StringFlag{Name: "name", Usage: "`NAME` of the model in the file (default: what the checkpoint says, else the folder's)"},
			&cli.StringFlag{Name: "tokenizer", Usage: "`PATH` of the tokeniser's folder, or of one of its files (default: beside the weights)"},
			&cli.BoolFlag{Name: "text-only", Usage: "leave the image tower out"},
			&cli.BoolFlag{Name: "vision-only", Usage: "leave the text tower out"},
		},
		Action: func(c *cli.Context) error { return convertAction(c, s) },
	})
}

func convertAction(c *cli.Context, s streams) error {
	if c.NArg() != 1 {
		return fmt.Errorf("convert: %d folders, expected one; see `clipgo convert --help`", c.NArg())
	}
	source, out := c.Args().First(), c.String("output")
	o := convert.Options{
		Name:       c.String("name"),
		Type:       c.String("type"),
		TextOnly:   c.Bool("text-only"),
		VisionOnly: c.Bool("vision-only"),
		Tokenizer:  c.String("tokenizer"),
	}
	if n, ok := hubName(source); ok {
		o.Name = cmp.Or(o.Name, n.Repo)
		if n.Variant != "" && !c.IsSet("type") {
			o.Type = n.Variant
		}
		if out == "" {
			out = convert.DefaultOutput(n.Repo, o.Type)
		}
		// Nothing is downloaded for a mistake.
		if _, err := quantize.ParsePolicy(o.Type); err != nil {
			return fmt.Errorf("convert: %w", err)
		}
		var err error
		if source, err = downloadCheckpoint(c.Context, s, n); err != nil {
			return fmt.Errorf("convert: %w", err)
		}
	}
	if out == "" {
		out = convert.DefaultOutput(source, o.Type)
	}
	if err := runConvert(c.Context, s, source, out, o); err != nil {
		return fmt.Errorf("convert: %w", err)
	}
	return nil
}

// downloadCheckpoint returns the folder of a checkpoint of the Hub.
func downloadCheckpoint(ctx context.Context, s streams, n hub.Name) (dir string, err error) {
	h, err := newHubClient(s)
	if err != nil {
		return "", err
	}
	snapshot, err := h.client.Snapshot(ctx, n.Repo, n.Revision)
	if err != nil {
		return "", err
	}
	return snapshot.Dir, h.fetchCheckpoint(ctx, snapshot)
}

// runConvert converts, with a bar, and says what it wrote.
func runConvert(ctx context.Context, s streams, source, out string, o convert.Options) error {
	bar := newProgress(s.err, "convert")
	o.Progress = func(done, total int64) { bar.update(done, total, byteSize) }
	report, err := convert.Convert(ctx, source, out, o)
	bar.clear()
	if err != nil {
		return err
	}
	for _, assumed := range report.Assumed {
		s.warn("%s", assumed)
	}
	if n := len(report.Fallbacks); n > 0 {
		s.warn("%d of %d tensors have rows that the blocks of %s don't divide, and are kept wider: %s", n, report.Tensors,
			strings.ToUpper(o.Type), shorten(report.Fallbacks, 4))
	}
	s.warn("wrote %s: %s, %d tensors (%s), %s", out, report.Family, report.Tensors, typeCounts(report.Types), byteSize(report.Bytes))
	return nil
}

// shorten lists the first n names.
func shorten(names []string, n int) string {
	if len(names) <= n {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:n], ", "), len(names)-n)
}

// typeCounts lists types, the most frequent first.
func typeCounts(types map[gguf.Type]int) string {
	var names []gguf.Type
	for t := range types {
		names = append(names, t)
	}
	sort.Slice(names, func(a, b int) bool {
		if types[names[a]] != types[names[b]] {
			return types[names[a]] > types[names[b]]
		}
		return names[a] < names[b]
	})
	var parts []string
	for _, t := range names {
		parts = append(parts, fmt.Sprintf("%d %s", types[t], t))
	}
	return strings.Join(parts, ", ")
}
