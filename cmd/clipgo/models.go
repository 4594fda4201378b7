package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/clipgo/clipgo/internal/hub"
)

func modelsCommand(s streams) *cli.Command {
	return newCommand(&cli.Command{
		Name:  "models",
		Usage: "list the models that were pulled, or remove some",
		Description: `Only GGUF files are removed. What they were made of stays in the cache that is shared with Python's huggingface_hub:
see "hf cache".

Examples:
  clipgo models
  clipgo models --remove openai/clip-vit-base-patch32:Q4_0`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "print a JSON list"},
			&cli.StringSliceFlag{Name: "remove", Usage: "remove the `MODEL` ORG/NAME[@COMMIT][:TYPE], of all commits and types\n\twithout them; may be repeated"},
		},
		Action: func(c *cli.Context) error { return modelsAction(c, s) },
	})
}

// pulledModel is a GGUF file of a model of the Hub.
type pulledModel struct {
	Name  string `json:"name"` // ORG/NAME@COMMIT:VARIANT
	Bytes int64  `json:"bytes"`
	File  string `json:"file"`

	name hub.Name
}

func modelsAction(c *cli.Context, s streams) error {
	if c.NArg() > 0 {
		return fmt.Errorf("models: unexpected argument %q; see `clipgo models --help`", c.Args().First())
	}
	h, err := newHubModels(s)
	if err != nil {
		return fmt.Errorf("models: %w", err)
	}
	models, err := h.list()
	if err != nil {
		return fmt.Errorf("models: %w", err)
	}
	if remove := c.StringSlice("remove"); len(remove) > 0 {
		return removeModels(s, models, remove)
	}
	if c.Bool("json") {
		b, err := marshal(models)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(s.out, "%s\n", b)
		return err
	}
	return printModels(s.out, models)
}

// list finds all GGUF files of the store.
func (h *hubModels) list() ([]pulledModel, error) {
	models := []pulledModel{}
	err := filepath.WalkDir(h.store, func(file string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() || filepath.Ext(file) != ".gguf" {
			return err
		}
		commit := filepath.Dir(file)
		repo, ok := hub.RepoOf(filepath.Base(filepath.Dir(commit)))
		if !ok {
			return nil
		}
		m := pulledModel{File: file}
		m.name = hub.Name{Repo: repo, Revision: filepath.Base(commit), Variant: variantOf(repo, filepath.Base(file))}
		m.Name = m.name.String()
		if info, err := os.Stat(file); err == nil { // else a link to what was removed
			m.Bytes = info.Size()
		}
		models = append(models, m)
		return nil
	})
	return models, err
}

// variantOf is what names a file of a model's folder; see hubModels.path.
func variantOf(repo, file string) string {
	rest, ok := strings.CutPrefix(strings.TrimSuffix(file, ".gguf"), path.Base(repo))
	if ok && rest == "" {
		return ""
	}
	if typeName, ok2 := strings.CutPrefix(rest, "-"); ok && ok2 && typeOf(file) == typeName {
		return typeName
	}
	return file
}

func printModels(out io.Writer, models []pulledModel) error {
	w := bufio.NewWriter(out)
	width := 0
	for _, m := range models {
		width = max(width, len(m.Name))
	}
	for _, m := range models {
		fmt.Fprintf(w, "%-*s  %9s  %s\n", width, m.Name, byteSize(m.Bytes), m.File)
	}
	return w.Flush()
}

// removeModels removes the files that names stand for; a name that stands for none is an error, after the others are done.
func removeModels(s streams, models []pulledModel, names []string) error {
	failed := 0
	for _, text := range names {
		n, err := hub.ParseName(text)
		found := 0
		for _, m := range models {
			if err != nil || m.name.Repo != n.Repo || n.Variant != "" && !strings.EqualFold(n.Variant, m.name.Variant) ||
				n.Revision != hub.DefaultRevision && n.Revision != m.name.Revision {
				continue
			}
			if err = os.Remove(m.File); err == nil {
				found++
				s.warn("removed %s", m.File)
			}
		}
		if err == nil && found == 0 {
			err = fmt.Errorf("%s was not pulled; clipgo models lists what was", text)
		}
		if err != nil {
			s.warn("models: %v", err)
			failed++
		}
	}
	switch failed {
	case 0:
		return nil
	case len(names):
		return errReported
	}
	return errPartial
}
