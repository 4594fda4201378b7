package safetensors

import (
	"fmt"

	"github.com/clipgo/clipgo/internal/checkpoint"
	"github.com/clipgo/clipgo/internal/strictjson"
)

const metadataName = "__metadata__"

// entry is what the header says of a tensor, unchecked but for its syntax.
type entry struct {
	name       string
	at         int64 // where in the file
	dtype      checkpoint.DType
	shape      []uint64
	begin, end uint64 // from the start of the data section
}

// parseHeader parses the header, which starts at byte 8 of the file called name.
func parseHeader(b []byte, name string) ([]entry, error) {
	if len(b) == 0 || b[0] != '{' {
		return nil, checkpoint.Errorf(name, 8, "header", "does not begin with {: is this a safetensors file?")
	}
	p, err := strictjson.New(b, 8, name)
	if err != nil {
		return nil, err
	}
	var entries []entry
	err = p.Object("header", func(key string) error {
		if key == metadataName {
			return p.Strings(metadataName, map[string]string{}) // of no use here, but it must be what it should
		}
		if len(entries) == maxTensors {
			return p.Errorf("header", "more than %d tensors", maxTensors)
		}
		e, err := readEntry(p, key)
		entries = append(entries, e)
		return err
	})
	if err == nil {
		err = p.Finish("header")
	}
	return entries, err
}

// readEntry reads what the header says of a tensor.
func readEntry(p *strictjson.Parser, name string) (entry, error) {
	field := fmt.Sprintf("tensor %.80q", name)
	e := entry{name: name, at: p.At()}
	have := 0
	err := p.Object(field, func(key string) error {
		have++
		switch key {
		case "dtype":
			s, err := p.String(field + ": dtype")
			if err != nil {
				return err
			}
			var ok bool
			if e.dtype, ok = checkpoint.ParseDType(s); !ok {
				return p.Errorf(field, "unknown dtype %.80q", s)
			}
			return nil
		case "shape":
			var err error
			e.shape, err = p.Numbers(field+": shape", maxDims)
			return err
		case "data_offsets":
			list, err := p.Numbers(field+": data_offsets", 2)
			if err != nil {
				return err
			}
			if len(list) != 2 {
				return p.Errorf(field, "%d data_offsets, expected 2", len(list))
			}
			e.begin, e.end = list[0], list[1]
			return nil
		}
		return p.Errorf(field, "unknown field %.80q, expected dtype, shape and data_offsets", key)
	})
	if err == nil && have != 3 {
		err = p.Errorf(field, "a field is missing, expected dtype, shape and data_offsets")
	}
	return e, err
}
