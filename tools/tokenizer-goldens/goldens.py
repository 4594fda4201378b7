#!/usr/bin/env python3
"""Ids of mixed lines of text by transformers, tokenizers and sentencepiece, for the tests of internal/tokenizer.

    python goldens.py sample  ../../internal/tokenizer/testdata
    python goldens.py lines   NAME FOLDER COUNT OUT.jsonl.gz
        (FOLDER: a checkpoint for AutoTokenizer, or a file.model for sentencepiece)

Every line of a .jsonl.gz is [text, ids], the special ids included. transformers 5.23.0, tokenizers 0.23.3.
"""

import gzip
import json
import os
import sys

import texts

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")


def encoder(folder):
    if folder.endswith(".model"):
        import sentencepiece

        processor = sentencepiece.SentencePieceProcessor(model_file=folder)
        return lambda text: processor.encode(text)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    return lambda text: tokenizer(text)["input_ids"]


def write(path, lines, encode):
    # No time stamp in the file, so that the same lines give the same bytes.
    with open(path, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as f:
        for text in lines:
            f.write(json.dumps([text, list(encode(text))], separators=(",", ":")).encode() + b"\n")


def main():
    if sys.argv[1] == "lines":
        _, _, seed, folder, count, out = sys.argv
        write(out, texts.lines(int(count), seed), encoder(folder))
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
