package arch

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/clipgo/clipgo/gguf"
)

// TestForeignFilesAreRefusedWithTheReason: files that look like a CLIP to other programs.
func TestForeignFilesAreRefusedWithTheReason(t *testing.T) {
	for _, c := range []struct {
		architecture, key string
		value             any
		want              string
	}{
		{"clip", "clip.projector_type", "mlp", "image half of a chat model (LLaVA, mmproj)"},
		{"clip", "clip.vision.projector_type", "qwen2vl", "image half of a chat model (LLaVA, mmproj)"},
		{"clip", "clip.has_llava_projector", true, "image half of a chat model (LLaVA, mmproj)"},
		{"vit", "vit.model_type", "clip", "half of a model of CrispEmbed's"},
		{"clip_text", "clip_text.has_head", true, "half of a model of CrispEmbed's"},
		{"llama", "llama.block_count", uint32(1), `general.architecture is "llama"`},
	} {
		w := gguf.NewWriter()
		require.NoError(t, w.Set("general.architecture", c.architecture))
		require.NoError(t, w.Set(c.key, c.value))
		var b bytes.Buffer
		require.NoError(t, w.Write(&b, nil))
		f, err := gguf.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()), "x.gguf")
		require.NoError(t, err)
		_, err = ReadKeys(f)
		require.ErrorContains(t, err, c.want)
	}
}
