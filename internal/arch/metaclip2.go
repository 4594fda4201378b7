package arch

// MetaCLIP 2: CLIP's towers with the vocabulary of XLM-V. The first eos_token_id is pooled, whatever its number
// (modeling_metaclip_2.py of 5.23).

var metaclip2Family = &Family{
	Type: "metaclip_2", Examples: "facebook/metaclip-2-worldwide-huge-quickgelu",
	Read: readMetaCLIP2, Tables: clipTables, Scalar: clipFamily.Scalar, Ignore: positionBuffers,
}

func readMetaCLIP2(c *Config) (*Model, error) {
	m, err := readCLIP(c)
	if err != nil {
		return nil, err
	}
	m.Text.Pooling = PoolEOS
	return m, nil
}
