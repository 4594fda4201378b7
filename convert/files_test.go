package convert

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFiles(t *testing.T) {
	for _, test := range []struct{ repo, want string }{
		{ // openai/clip-vit-base-patch32
			".gitattributes README.md config.json flax_model.msgpack merges.txt model.safetensors preprocessor_config.json pytorch_model.bin special_tokens_map.json tf_model.h5 tokenizer.json tokenizer_config.json vocab.json",
			"config.json preprocessor_config.json tokenizer_config.json special_tokens_map.json tokenizer.json model.safetensors",
		},
		{ // without tokenizer.json, and in shards
			"config.json processor_config.json merges.txt vocab.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json pytorch_model.bin",
			"config.json processor_config.json vocab.json merges.txt model.safetensors.index.json",
		},
		{ // google/siglip-base-patch16-224
			"config.json model.safetensors preprocessor_config.json spiece.model tokenizer.json",
			"config.json preprocessor_config.json spiece.model tokenizer.json model.safetensors",
		},
		{"config.json pytorch_model.bin vocab.txt", "config.json vocab.txt pytorch_model.bin"},
		{ // laion's, in both layouts
			"config.json merges.txt open_clip_config.json open_clip_model.safetensors open_clip_pytorch_model.bin preprocessor_config.json pytorch_model.bin tokenizer.json",
			"config.json preprocessor_config.json tokenizer.json pytorch_model.bin",
		},
		{ // open_clip's alone
			"README.md merges.txt open_clip_config.json open_clip_model.safetensors open_clip_pytorch_model.bin tokenizer.json vocab.json",
			"open_clip_config.json tokenizer.json open_clip_model.safetensors",
		},
		{ // another name, as there is no other
			"config.json epoch_32.pt tokenizer.json onnx/model.bin",
			"config.json tokenizer.json epoch_32.pt",
		},
	} {
		files, err := Files(strings.Fields(test.repo))
		require.NoError(t, err)
		require.Equal(t, strings.Fields(test.want), files)
	}
	_, err := Files([]string{"README.md"})
	require.EqualError(t, err, "there is neither config.json nor open_clip_config.json; expected a checkpoint as Hugging Face's save_pretrained or open_clip's push_to_hf_hub writes it")
	_, err = Files([]string{"config.json", "onnx/model.onnx", "tf_model.h5"})
	require.ErrorContains(t, err, "there are no weights that can be read (there is onnx/model.onnx, tf_model.h5); expected model.safetensors or ")
	_, err = Files([]string{"config.json", "epoch_31.pt", "epoch_32.pt"})
	require.ErrorContains(t, err, "there are no weights that can be read (there is epoch_31.pt, epoch_32.pt); expected model.safetensors or ")
	_, err = Files([]string{"config.json"})
	require.ErrorContains(t, err, "there are no weights that can be read; expected ")
}

func TestShards(t *testing.T) {
	index := filepath.Join(t.TempDir(), "model.safetensors.index.json")
	require.True(t, IsIndex(index))
	write := func(text string) { require.NoError(t, os.WriteFile(index, []byte(text), 0o600)) }
	write(`{"weight_map": {"b": "2.safetensors", "a": "1.safetensors", "c": "2.safetensors"}}`)
	shards, err := Shards(index)
	require.NoError(t, err)
	require.Equal(t, []string{"1.safetensors", "2.safetensors"}, shards)
	write(`{"weight_map": {"a": "../1.safetensors"}}`)
	_, err = Shards(index)
	require.ErrorContains(t, err, `shard "../1.safetensors" is no plain file name`)
}

// TestWeightsBehindBrokenLinks takes the other weights where the preferred ones are a link to what was removed.
func TestWeightsBehindBrokenLinks(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(dir, "removed"), filepath.Join(dir, "model.safetensors")); err != nil {
		t.Skip(err)
	}
	other := filepath.Join(dir, "pytorch_model.bin")
	require.NoError(t, os.WriteFile(other, nil, 0o600))
	found, err := findWeights(dir, transformersWeights)
	require.NoError(t, err)
	require.Equal(t, other, found)
}
