package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/clipgo/clipgo/internal/hub"
)

func pullCommand(s streams) *cli.Command {
	return newCommand(&cli.Command{
		Name:      "pull",
		Usage:     "get a model from the Hugging Face Hub",
		ArgsUsage: "ORG/NAME[@REVISION][:TYPE] ...",
		Description: `Downloads a checkpoint, converts it, and prints the path of the GGUF file. TYPE is one of those of clipgo convert
(default: F16); of a repository that holds GGUF files it may be a file's name. REVISION is a branch, a tag or a commit.

Every command takes such a name in a model's place, and pulls it the first time; a file or folder of that name goes
before. Later it takes what was pulled: only clipgo pull looks whether there is a newer one.

Downloads are kept where Python's huggingface_hub keeps them ($HF_HOME, $HF_HUB_CACHE), and shared with it. A download
that was cut off goes on where it stopped. GGUF files are kept in $CLIPGO_CACHE (default: clipgo in your cache folder).
$HF_TOKEN, or the token of "hf auth login", opens what isn't public; $HF_ENDPOINT and $HF_HUB_OFFLINE are honoured.

Examples:
  clipgo pull openai/clip-vit-base-patch32:Q8_0
  clipgo classify -m openai/clip-vit-base-patch32:Q8_0 -l cat -l dog photo.jpg`,
		Action: func(c *cli.Context) error { return pull(c, s) },
	})
}

func pull(c *cli.Context, s streams) error {
	if c.NArg() == 0 {
		return errors.New("pull: no model: give ORG/NAME, such as openai/clip-vit-base-patch32")
	}
	var names []hub.Name
	for _, arg := range c.Args().Slice() {
		n, err := hub.ParseName(arg)
		if err == nil {
			_, err = hubPolicy(n.Variant)
		}
		if err != nil {
			return fmt.Errorf("pull: %w", err)
		}
		names = append(names, n)
	}
	models, err := newHubModels(s)
	if err != nil {
		return fmt.Errorf("pull: %w", err)
	}
	failed := 0
	for _, n := range names {
		file, err := models.file(c.Context, n, true)
		if c.Context.Err() != nil || err != nil && len(names) == 1 {
			return fmt.Errorf("pull: %w", err)
		}
		if err != nil {
			s.warn("pull: %v", err)
			failed++
			continue
		}
		if _, err := fmt.Fprintln(s.out, file); err != nil {
			return err
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
