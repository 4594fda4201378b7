package arch

// CLIPSeg's two towers, which are CLIP's; its decoder plays no part in classification. Unlike CLIP it accepts pictures of
// another size than it was trained on, and resizes the position embeddings by default (modeling_clipseg.py of 5.23): that
// is done here, when the checkpoint is converted.

import "fmt"

var clipSegFamily = &Family{
	Type:   "clipseg",
	Read:   readCLIP,
	Tables: clipTables,
	Scalar: clipFamily.Scalar,
	Ignore: append([]Ignore{
		{"clip.text_model.embeddings.position_ids", "a buffer of 0, 1, 2, ..."},
		{"clip.vision_model.embeddings.position_ids", "a buffer of 0, 1, 2, ..."},
	}, positionBuffers...),
	IgnorePrefix: []Ignore{{"decoder.", "segments pictures; plays no part in classification"}},
	Prefix:       "clip.",
	Resize:       resizeCLIPSeg,
}

// resizeCLIPSeg makes the model take pictures of size pixels.
func resizeCLIPSeg(m *Model, size int) error {
	v := m.Vision
	if size == v.Image {
		return nil
	}
	if size < v.Patch {
		return fmt.Errorf("pictures of %d pixels are smaller than a patch of %d", size, v.Patch)
	}
	v.Trained, v.Image = v.Image, size
	return nil
}
