package tokenizer

import (
	"fmt"
	"slices"
)

// A checkpoint's vocabulary as another program uses it: what happens around it is that program's, the tokens, merges and scores are
// the checkpoint's.

// isCLIP reports whether the vocabulary is of CLIP's making: byte-level, with ends of words.
func (s Spec) isCLIP() bool {
	return s.Kind == BPE && s.Pipeline.EndOfWord == clipEndOfWord && s.BOS != None && s.EOS != None
}

// step returns the normaliser of a type, or nil.
func (s Spec) step(kind string) *Step {
	for i, step := range s.Pipeline.Normalizers {
		if step.Type == kind {
			return &s.Pipeline.Normalizers[i]
		}
	}
	return nil
}

// LikeOpenCLIP returns how open_clip uses a tokeniser in transformers' layout: CLIP's by its SimpleTokenizer, SigLIP's by T5's
// class and SigLIP 2's by Gemma's, both with the text made canonical, others with white space cleaned.
func (s Spec) LikeOpenCLIP(o OpenCLIPOptions) (Spec, error) {
	clean := "whitespace"
	switch p := &s.Pipeline; {
	case s.isCLIP():
		s, clean = s.simple(openCLIPStart, openCLIPEnd, openCLIPWord), "lower"
	case s.Kind == SentencePieceUnigram:
		clean = "canonicalize"
		t5 := Pipeline{Added: p.Added, PreTokenizers: metaspace("always"), After: p.After, PadLeft: p.PadLeft}
		if sp := s.step("SentencePiece"); sp != nil && len(sp.Charsmap) > 0 {
			t5.Normalizers = []Step{{Type: "Precompiled", Charsmap: sp.Charsmap}}
		}
		s.Kind, s.Pipeline, s.Unk = Unigram, t5, min(t5Unknown, int32(len(s.Tokens)-1))
	case s.Kind == BPE && p.ByteFallback:
		s, clean = s.KeepCase(), "canonicalize"
	}
	if o.Clean == "" {
		o.Clean = clean
	}
	return s.ForOpenCLIP(o)
}

// LikeOpenAI returns how OpenAI's own package uses CLIP's vocabulary. (That package refuses texts that are too long; a tokeniser here
// leaves that to its caller.)
func (s Spec) LikeOpenAI(context int) (Spec, error) {
	if !s.isCLIP() {
		return Spec{}, fmt.Errorf("the vocabulary is not CLIP's")
	}
	return s.simple(clipStart, clipEnd, openAIWord).ForOpenCLIP(OpenCLIPOptions{Clean: "lower", ContextLength: context})
}

// LikeTransformers returns how transformers uses a tokeniser in open_clip's layout.
func (s Spec) LikeTransformers() Spec {
	context := s.Pipeline.MaxLength
	switch old := s.Pipeline; {
	case s.isCLIP():
		s.Tokens = slices.Clone(s.Tokens)
		s.Tokens[s.BOS], s.Tokens[s.EOS] = clipStart, clipEnd
		s.Pad, s.Unk = s.EOS, s.EOS
		s.Pipeline = clipPipeline()
		s.Pipeline.Added = []AddedToken{{ID: s.BOS, Content: clipStart, Special: true}, {ID: s.EOS, Content: clipEnd, Special: true}}
		s.Pipeline.Before, s.Pipeline.After = []int32{s.BOS}, []int32{s.EOS}
		s.Pipeline.MaxLength, s.Pipeline.Mask = context, true
	case s.Kind == Unigram && slices.ContainsFunc(old.Clean, func(step Step) bool { return step.Type == "RemovePunctuation" }):
		s.Kind = SentencePieceUnigram
		if unk := slices.Index(s.Types, Unknown); unk >= 0 {
			s.Unk = int32(unk) // T5's class took another for it
		}
		sp := Step{Type: "SentencePiece", Shield: s.Tokens[max(s.Unk, 0)], DummyPrefix: true, ExtraSpaces: true, EscapeSpaces: true}
		if pre := s.step("Precompiled"); pre != nil {
			sp.Charsmap = pre.Charsmap
		}
		s.Pipeline = siglipPipeline(sp, true)
		s.Pipeline.Added, s.Pipeline.After, s.Pipeline.PadLeft = old.Added, old.After, old.PadLeft
		s.Pipeline.MaxLength, s.Pipeline.PadTo = context, context
	case s.Kind == BPE:
		s.Pipeline.Clean = nil // SigLIP 2: no mask, padded as before
	default:
		s.Pipeline.Clean, s.Pipeline.PadTo, s.Pipeline.Mask = nil, 0, true
	}
	return s
}

// KeepCase returns the tokeniser without the step that transformers 5's class for SigLIP 2 NaFlex puts first.
func (s Spec) KeepCase() Spec {
	s.Pipeline.Normalizers = slices.DeleteFunc(slices.Clone(s.Pipeline.Normalizers), func(step Step) bool { return step.Type == "Lowercase" })
	return s
}
