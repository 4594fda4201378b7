package arch

import (
	"slices"
	"strings"
)

// Refusal is a kind of model that can't be read.
type Refusal struct {
	Mark   string // what gives it away: a field of a configuration or key of a GGUF, and its value or how that begins
	Name   string // what people call it
	Reason string
}

const notMapped = "transformers' zero-shot pipeline doesn't know the type"

// refusedTypes are types of transformers that look like ours, by config.json's model_type.
var refusedTypes = []Refusal{
	{"aimv2", "AIMv2", notMapped},
	{"groupvit", "GroupViT", notMapped + "; its image tower groups patches"},
	{"flava", "FLAVA", notMapped + "; it has a third encoder for both at once"},
	{"jina_clip", "Jina CLIP", "its code lies in the checkpoint and not in transformers"},
	{"llava", "LLaVA", "it is a chat model; " + convertTheCLIP},
	{"owlv2", "OWLv2", "it finds objects in pictures, one embedding for each"},
	{"owlvit", "OWL-ViT", "it finds objects in pictures, one embedding for each"},
	{"videoprism", "VideoPrism", "it classifies clips of video frames, and transformers' own image pipeline fails on it"},
	{"vision-text-dual-encoder", "any two towers", notMapped + "; what the towers are is open"},
	{"xclip", "X-CLIP", "it classifies clips of video frames"},
}

// refusedTowers are image towers of timm that open_clip has and that can't be read yet, by how timm_model_name begins.
var refusedTowers = []Refusal{
	{"eva02", "EVA02", "rotary positions, a gated MLP and norms inside the blocks"},
	{"eva", "EVA01", "its own kind of block"},
	{"fastvit", "MobileCLIP, MobileCLIP2", "a convolutional tower with attention in its last stages"},
	{"vit_base_mci", "MobileCLIP-B", "a ViT behind convolutions"},
	{"vit_large_patch14_clip", "MobileCLIP2-L", "CLIP's own tower, but under timm's names of tensors"},
	{"convnext", "ConvNeXt", "a convolutional tower"},
	{"resnet", "ResNet", "a convolutional tower"},
	{"vit_pe", "PE-Core", "rotary positions in two dimensions"},
	{"vitamin", "ViTamin", "convolutions before the attention"},
	{"naflexvit", "SigLIP 2 NaFlex", "it can be read in transformers' layout"},
}

// The reasons that are given where a model is looked at from more sides than one.
const (
	modifiedResNet = "a ModifiedResNet (RN50 and the like)"
	towersOfHF     = "text towers from transformers can't be read yet"
	convertTheCLIP = "its image tower lacks the last block and the projection to CLIP's space: convert the CLIP itself"
)

// Refusals lists the models that are refused by name.
func Refusals() []Refusal {
	var all []Refusal
	add := func(mark string, list ...Refusal) {
		for _, r := range list {
			all = append(all, Refusal{mark + r.Mark, r.Name, r.Reason})
		}
	}
	add("config.json: model_type ", refusedTypes...)
	add("open_clip_config.json: timm_model_name ", refusedTowers...)
	add("open_clip_config.json: ",
		Refusal{"layers a list", "RN50, RN101, RN50x4 to x64", modifiedResNet + ", a convolutional tower with attention pooling"},
		Refusal{"hf_model_name", "text towers of XLM-RoBERTa, RoBERTa, mT5, NLLB", towersOfHF},
		Refusal{"block_type, qk_norm, scale_attn, ...", "experiments", "variants of a block that no published checkpoint needs"})
	add("GGUF: clip.projector_type", Refusal{"", "LLaVA, mmproj", convertTheCLIP})
	return all
}

// refusedTower returns what is known of a tower that timm_model_name names.
func refusedTower(name string) (r Refusal, known bool) {
	i := slices.IndexFunc(refusedTowers, func(r Refusal) bool { return strings.HasPrefix(name, r.Mark) })
	if i < 0 {
		return r, false
	}
	return refusedTowers[i], true
}
