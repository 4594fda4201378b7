// Package tokenizer turns text into the ids that a text tower was trained on, equal to those of Hugging Face's
// transformers.
//
// A [Spec] is the tokeniser as plain data: it is read from a checkpoint's files ([FromHF]) or from GGUF keys, and [New]
// checks it and makes a [Tokenizer] of it. Encoding goes through five stations:
//
//	text -> added tokens -> normalisers -> pre-tokenisers -> BPE | Unigram | WordPiece -> template
//
// Added tokens (start, end, mask) are cut out first. What lies between them is normalised, cut into words, and each
// word is cut into tokens by the algorithm of its [Kind]. The template puts the special ids around the result.
//
// # Text that is no UTF-8
//
// Invalid bytes are read as Python reads them with errors="replace": the longest start of a valid sequence becomes one
// U+FFFD, any other byte becomes one each.
//
// # Unicode versions
//
// The reference library carries tables of several Unicode versions: its regular expressions know Unicode 16, its
// lower-casing 17, its normal forms 9. The tables here (tables.go) are asked of the library itself, so that the ids are
// equal for letters old and new.
package tokenizer
