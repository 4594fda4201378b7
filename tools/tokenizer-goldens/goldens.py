#!/usr/bin/env python3
"""Ids of mixed lines of text by transformers, tokenizers and sentencepiece, for the tests of internal/tokenizer.

    python goldens.py sample VARIANTS CLIP ../../internal/tokenizer/testdata
        (VARIANTS: what variants.py made; CLIP: a folder with CLIP's vocab.json and merges.txt)
    python goldens.py lines   NAME FOLDER COUNT OUT.jsonl.gz
        (FOLDER: a checkpoint for AutoTokenizer, a file.model for sentencepiece, or open_clip:CLEAN for its
        SimpleTokenizer, without the lines in which ftfy finds mojibake and those with characters newer than Python)

Every line of a .jsonl.gz is [text, ids], the special ids included. transformers 5.23.0, tokenizers 0.23.3.
"""

import gzip
import json
import os
import shutil
import sys
import unicodedata

import texts

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")


def encoder(folder):
    if folder.startswith("open_clip:"):
        import ftfy
        from open_clip.tokenizer import SimpleTokenizer

        tokenizer = SimpleTokenizer(clean=folder.removeprefix("open_clip:"))

        def encode(text):
            if any(unicodedata.category(c) == "Cn" for c in text) or ftfy.fix_text(text) != ftfy.fix_text(text, fix_encoding=False):
                return None
            return [tokenizer.sot_token_id, *tokenizer.encode(text), tokenizer.eot_token_id]

        return encode
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
            ids = encode(text)
            if ids is not None:
                f.write(json.dumps([text, list(ids)], separators=(",", ":")).encode() + b"\n")


# What the tests of the package read, besides CLIP.
SAMPLE = (
    "bert-accents bpe-fused bpe-suffix bytelevel class-bert class-gemma class-roberta class-siglip class-siglip2 class-t5 class-tipsv2 class-xlmr "
    "spm-bpe-bytes spm-bpe-user spm-suffix spm-unigram-user unigram"
).split()


def sample(variants, clip, out):
    write(os.path.join(out, "clip.jsonl.gz"), texts.lines(2000, "clip"), encoder(clip))
    for clean in ("lower", "canonicalize"):
        write(os.path.join(out, f"open_clip-{clean}.jsonl.gz"), texts.lines(600, clean), encoder(f"open_clip:{clean}"))
    for name in SAMPLE:
        folder = os.path.join(out, name)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(os.path.join(variants, name), folder)
        model = os.path.join(folder, "spiece.model")
        spm = os.path.exists(model) and not os.path.exists(os.path.join(folder, "config.json"))
        write(os.path.join(folder, "lines.jsonl.gz"), texts.lines(500, name), encoder(model if spm else folder))


def main():
    if sys.argv[1] == "sample":
        sample(*sys.argv[2:])
    elif sys.argv[1] == "lines":
        _, _, seed, folder, count, out = sys.argv
        write(out, texts.lines(int(count), seed), encoder(folder))
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
