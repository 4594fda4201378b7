package tokenizer

import (
	"encoding/binary"
	"fmt"
	"math"
)

// spmModel is a SentencePiece model: sentencepiece_model.proto, the fields that encoding needs.
type spmModel struct {
	pieces []string
	scores []float64
	types  []TokenType

	algorithm    uint64 // trainer_spec.model_type
	suffix       bool   // treat_whitespace_as_suffix
	byteFallback bool
	unk          int32
	bos, eos     int32
	pad          int32

	charsmap     []byte
	dummyPrefix  bool
	extraSpaces  bool // remove_extra_whitespaces
	escapeSpaces bool
}

// The algorithms, as trainer_spec.model_type numbers them. There is also a 3: words.
const (
	spmUnigram   = 1
	spmBPE       = 2
	spmCharacter = 4
)

// parseSPM reads a SentencePiece model. The slices of the result do not share memory with data.
func parseSPM(data []byte) (*spmModel, error) {
	m := &spmModel{algorithm: spmUnigram, unk: 0, bos: 1, eos: 2, pad: -1, dummyPrefix: true, extraSpaces: true, escapeSpaces: true}
	err := eachField(data, func(f protoField) error {
		switch f.number {
		case 1:
			if len(m.pieces) == maxTokens {
				return fmt.Errorf("more than %d pieces", maxTokens)
			}
			if err := m.readPiece(f.bytes); err != nil {
				return fmt.Errorf("piece %d: %w", len(m.pieces), err)
			}
		case 2:
			return inMessage("trainer_spec", eachField(f.bytes, m.readTrainer))
		case 3:
			return inMessage("normalizer_spec", eachField(f.bytes, m.readNormalizer))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(m.pieces) == 0 {
		return nil, fmt.Errorf("no pieces; is it a SentencePiece model?")
	}
	return m, nil
}

func inMessage(name string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (m *spmModel) readPiece(data []byte) error {
	text, score, kind := "", 0.0, Normal
	err := eachField(data, func(f protoField) error {
		switch f.number {
		case 1:
			text = string(f.bytes)
		case 2:
			score = float64(math.Float32frombits(uint32(f.value)))
		case 3:
			kind = TokenType(f.value)
			if f.value < uint64(Normal) || f.value > uint64(Byte) {
				return fmt.Errorf("type %d, expected 1 to 6", f.value)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	m.pieces, m.scores, m.types = append(m.pieces, text), append(m.scores, score), append(m.types, kind)
	return nil
}

func (m *spmModel) readTrainer(f protoField) error {
	switch f.number {
	case 3:
		m.algorithm = f.value
	case 24:
		m.suffix = f.value != 0
	case 35:
		m.byteFallback = f.value != 0
	case 40:
		m.unk = int32(f.value)
	case 41:
		m.bos = int32(f.value)
	case 42:
		m.eos = int32(f.value)
	case 43:
		m.pad = int32(f.value)
	}
	return nil
}

func (m *spmModel) readNormalizer(f protoField) error {
	switch f.number {
	case 2:
		m.charsmap = append([]byte(nil), f.bytes...)
	case 3:
		m.dummyPrefix = f.value != 0
	case 4:
		m.extraSpaces = f.value != 0
	case 5:
		m.escapeSpaces = f.value != 0
	}
	return nil
}

// spec returns the tokeniser that the sentencepiece library makes of the model; it adds no special ids.
func (m *spmModel) spec() (Spec, error) {
	s := Spec{Tokens: m.pieces, Types: m.types, Scores: m.scores, BOS: m.bos, EOS: m.eos, Pad: m.pad, Unk: m.unk}
	switch m.algorithm {
	case spmUnigram:
		s.Kind = SentencePieceUnigram
	case spmBPE, spmCharacter: // the pieces of a character model are characters, so that nothing merges
		s.Kind = SentencePieceBPE
	default:
		return Spec{}, fmt.Errorf("model_type is %d, expected 1 (unigram), 2 (bpe) or 4 (char)", m.algorithm)
	}
	for _, id := range []*int32{&s.BOS, &s.EOS, &s.Pad} {
		if *id < 0 || int(*id) >= len(s.Tokens) {
			*id = None // a model may name ids that it has no pieces for
		}
	}
	s.Pipeline.ByteFallback = m.byteFallback
	s.Pipeline.Normalizers = []Step{{
		Type: "SentencePiece", Charsmap: m.charsmap, DummyPrefix: m.dummyPrefix, DummySuffix: m.suffix && m.dummyPrefix,
		ExtraSpaces: m.extraSpaces, EscapeSpaces: m.escapeSpaces,
	}}
	return s, nil
}

// protoField is one field of a protobuf message: value for numbers, bytes for strings and messages.
type protoField struct {
	number uint64
	value  uint64
	bytes  []byte
}

// eachField calls visit for every field of a message. No length is trusted beyond the message's own.
func eachField(data []byte, visit func(protoField) error) error {
	for at := 0; at < len(data); {
		begin := at
		key, n := binary.Uvarint(data[at:])
		if n <= 0 {
			return fmt.Errorf("byte %d: broken field number", begin)
		}
		at += n
		f := protoField{number: key >> 3}
		left := data[at:]
		switch key & 7 {
		case 0:
			if f.value, n = binary.Uvarint(left); n <= 0 {
				return fmt.Errorf("byte %d: field %d has a broken number", begin, f.number)
			}
		case 1:
			if n = 8; len(left) >= n {
				f.value = binary.LittleEndian.Uint64(left)
			}
		case 5:
			if n = 4; len(left) >= n {
				f.value = uint64(binary.LittleEndian.Uint32(left))
			}
		case 2:
			size, m := binary.Uvarint(left)
			if m <= 0 || size > uint64(len(left)-m) {
				return fmt.Errorf("byte %d: field %d has %d bytes, %d are left", begin, f.number, size, len(left))
			}
			n = m + int(size)
			f.bytes = left[m:n]
		default:
			return fmt.Errorf("byte %d: field %d has wire type %d, expected 0, 1, 2 or 5", begin, f.number, key&7)
		}
		if n > len(left) {
			return fmt.Errorf("byte %d: field %d is cut off", begin, f.number)
		}
		at += n
		if err := visit(f); err != nil {
			return err
		}
	}
	return nil
}
