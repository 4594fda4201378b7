package arch

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/clipgo/clipgo/internal/program"
)

// Image towers that open_clip takes from timm (vision_transformer.py of timm 1.0), where a name stands for all sizes.

// timmWidths are the image towers of SigLIP and SigLIP 2 as timm names them, before "_siglip_" and the size of the picture.
var timmWidths = map[string]Tower{
	"vit_base_patch16":     {Width: 768, Layers: 12, Heads: 12, FFN: 3072},
	"vit_base_patch32":     {Width: 768, Layers: 12, Heads: 12, FFN: 3072},
	"vit_large_patch16":    {Width: 1024, Layers: 24, Heads: 16, FFN: 4096},
	"vit_so400m_patch14":   {Width: 1152, Layers: 27, Heads: 16, FFN: 4304},
	"vit_so400m_patch16":   {Width: 1152, Layers: 27, Heads: 16, FFN: 4304},
	"vit_giantopt_patch16": {Width: 1536, Layers: 40, Heads: 16, FFN: 6144},
}

// SigLIPActivation returns the activation of a SigLIP's image tower in timm, and so in open_clip: GELU itself, or for the
// later ones its approximation. (transformers approximates in all of them.)
func (v *Vision) SigLIPActivation() program.Activation {
	if v.Patch == 32 || v.Width == 1024 && v.Image == Square(512) || v.Width >= 1152 && v.Patch == 16 {
		return program.ActGELUTanh
	}
	return program.ActGELU
}

// readTimm reads the image tower that a name stands for: SigLIP's.
func readTimm(c *Config, projection int) *Vision {
	name := c.String("timm_model_name", "")
	base, size, found := strings.Cut(name, "_siglip_")
	tower, known := timmWidths[base]
	image, err := strconv.Atoi(size)
	if !found || !known || err != nil {
		what := ""
		if r, known := refusedTower(name); known {
			what = fmt.Sprintf(" (%s: %s)", r.Name, r.Reason)
		}
		c.Fail("timm_model_name", "is %q%s: this image tower can't be read yet; of timm's, those of SigLIP and SigLIP 2 can", name, what)
		return &Vision{}
	}
	if pool, proj := c.String("timm_pool", "avg"), c.String("timm_proj", "linear"); pool != "map" || proj != "none" {
		c.Fail("timm_pool", "is %q with timm_proj %q, expected map with none", pool, proj)
	}
	if tower.Width != projection {
		c.Fail("timm_model_name", "is %q of width %d, but embed_dim is %d", name, tower.Width, projection)
	}
	tower.Eps, tower.Projection, tower.Pooling = 1e-6, projection, PoolMAP
	patch, err := strconv.Atoi(base[strings.LastIndex(base, "patch")+len("patch"):])
	if err != nil {
		c.Fail("timm_model_name", "is %q: %v", name, err)
	}
	v := &Vision{Tower: tower, Image: Square(image), Patch: patch}
	v.Act = v.SigLIPActivation()
	return v
}

func timmTable(v *Vision) Table {
	const block = "visual.trunk.blocks.{n}."
	t := Table{
		Blocks: v.Layers,
		Sizes:  v.sizes(map[string]int{"patch": v.Patch, "positions": v.Grid().Area()}),
		Rows: []Row{
			{Source: "visual.trunk.patch_embed.proj.weight", Name: "v.patch_embd.weight", Dims: "patch patch 3 width"},
			{Source: "visual.trunk.patch_embed.proj.bias", Name: "v.patch_embd.bias", Dims: "width"},
			{Source: "visual.trunk.pos_embed", Name: "v.position_embd.weight", Dims: "width positions"},
			{Source: "visual.trunk.attn_pool.latent", Name: "v.head.probe", Dims: "width"},
		},
	}
	t.Rows = append(t.Rows, packedRows(block+"attn.qkv.weight", block+"attn.qkv.bias", "v.blk.{n}.")...)
	t.Rows = append(t.Rows, rows(block, "v.blk.{n}.",
		part{"attn.proj", "attn_out", "width width", "width"},
		part{"norm1", "ln1", "width", "width"},
		part{"norm2", "ln2", "width", "width"},
		part{"mlp.fc1", "ffn_up", "width ffn", "ffn"},
		part{"mlp.fc2", "ffn_down", "ffn width", "width"})...)
	t.Rows = append(t.Rows, rows("visual.trunk.", "v.", part{"norm", "post_ln", "width", "width"})...)
	t.Rows = append(t.Rows, rows("visual.trunk.attn_pool.", "v.head.",
		part{"q", "attn_q", "width width", "width"},
		part{"proj", "attn_out", "width width", "width"},
		part{"norm", "ln2", "width", "width"},
		part{"mlp.fc1", "ffn_up", "width ffn", "ffn"},
		part{"mlp.fc2", "ffn_down", "ffn width", "width"})...)
	for i, x := range []string{"k", "v"} {
		t.Rows = append(t.Rows,
			Row{Source: "visual.trunk.attn_pool.kv.weight", Name: "v.head.attn_" + x + ".weight", Dims: "width width", Part: i, Of: 2},
			Row{Source: "visual.trunk.attn_pool.kv.bias", Name: "v.head.attn_" + x + ".bias", Dims: "width", Part: i, Of: 2})
	}
	return t
}
