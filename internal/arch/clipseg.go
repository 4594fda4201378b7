package arch

// CLIPSeg's two towers, which are CLIP's; its decoder plays no part in classification. Unlike CLIP it accepts pictures of
// another size than it was trained on, and resizes the position embeddings by default (modeling_clipseg.py of 5.23): that
// is done here, when the checkpoint is converted.

var clipSegFamily = &Family{
	Type:     "clipseg",
	Examples: "CIDAS/clipseg-rd64-refined",
	Read:     readCLIP,
	Tables:   clipTables,
	Scalar:   clipFamily.Scalar,
	Ignore: append([]Ignore{
		{"clip.text_model.embeddings.position_ids", "a buffer of 0, 1, 2, ..."},
		{"clip.vision_model.embeddings.position_ids", "a buffer of 0, 1, 2, ..."},
	}, positionBuffers...),
	IgnorePrefix: []Ignore{{"decoder.", "segments pictures; plays no part in classification"}},
	Prefix:       "clip.",
	Resize:       resizePositions,
}
