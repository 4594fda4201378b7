#!/usr/bin/env python3
"""Ids of mixed lines of text by transformers, tokenizers and sentencepiece, for the tests of internal/tokenizer.

    python goldens.py sample VARIANTS CLIP ../../internal/tokenizer/testdata
        (VARIANTS: what variants.py made, or the output itself for new lines alone, since training never gives the same twice;
        CLIP: a folder with CLIP's vocab.json and merges.txt)
    python goldens.py lines   NAME FOLDER COUNT OUT.jsonl.gz
        (FOLDER: a checkpoint for AutoTokenizer, a file.model for sentencepiece, open_clip:CLEAN for its
        SimpleTokenizer, open_clip:CLEAN:CHECKPOINT for its HFTokenizer, or openai for that package's; the last three
        without the lines in which ftfy finds mojibake and those with characters newer than Python)
    python goldens.py modes   ../../internal/tokenizer/testdata
        (how open_clip and OpenAI's package use the vocabularies there; needs pip install --no-deps openai-clip)
    python goldens.py compare VARIANTS SHARED COUNT OUT
        (all variants, CLIP, Chinese-CLIP's vocabulary and open_clip on COUNT lines each, captions and labels of SHARED among
        them; prints the value of CLIPGO_TOKENIZER_LINES with which go test -run TestExtraLines compares them)

Every line of a .jsonl.gz is [text, ids], the special ids included. transformers 5.23.0, tokenizers 0.23.3.
"""

import gzip
import json
import os
import shutil
import sys
import tempfile
import unicodedata

import texts

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")


def plain_only(encode):
    """encode without the lines in which ftfy finds mojibake and those with characters newer than Python."""
    import ftfy

    def checked(text):
        if any(unicodedata.category(c) == "Cn" for c in text) or ftfy.fix_text(text) != ftfy.fix_text(text, fix_encoding=False):
            return None
        return encode(text)

    return checked


def encoder(folder):
    if folder == "openai":
        from clip.simple_tokenizer import SimpleTokenizer

        tokenizer = SimpleTokenizer()
        start, end = (tokenizer.encoder[f"<|{which}oftext|>"] for which in ("start", "end"))
        return plain_only(lambda text: [start, *tokenizer.encode(text), end])
    if folder.startswith("open_clip:"):
        from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

        clean, _, checkpoint = folder.removeprefix("open_clip:").partition(":")
        if checkpoint:
            wrapper = HFTokenizer(checkpoint, clean=clean)
            return plain_only(lambda text: wrapper.tokenizer(wrapper.clean_fn(text))["input_ids"])
        tokenizer = SimpleTokenizer(clean=clean)
        return plain_only(lambda text: [tokenizer.sot_token_id, *tokenizer.encode(text), tokenizer.eot_token_id])
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
    "bert-accents bpe-fused bpe-suffix bytelevel class-bert class-gemma class-gpt2 class-roberta class-siglip class-siglip2 class-t5 class-tipsv2 class-xlmr "
    "spm-bpe-bytes spm-bpe-user spm-suffix spm-unigram-user unigram"
).split()


def sample(variants, clip, out):
    write(os.path.join(out, "clip.jsonl.gz"), texts.hard_lines(2000, "clip"), encoder(clip))
    for clean in ("lower", "canonicalize"):
        write(os.path.join(out, f"open_clip-{clean}.jsonl.gz"), texts.hard_lines(600, clean), encoder(f"open_clip:{clean}"))
    for name in SAMPLE:
        folder = os.path.join(out, name)
        if os.path.abspath(variants) != os.path.abspath(out):
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(os.path.join(variants, name), folder)
        model = os.path.join(folder, "spiece.model")
        spm = os.path.exists(model) and not os.path.exists(os.path.join(folder, "config.json"))
        write(os.path.join(folder, "lines.jsonl.gz"), texts.hard_lines(500, name), encoder(model if spm else folder))


def compare(variants, shared, count, out):
    real = texts.corpus(shared)
    folders = {name: os.path.join(variants, name) for name in sorted(os.listdir(variants)) if os.path.isdir(os.path.join(variants, name))}
    tables = os.path.join(shared, "data", "tokenizer")
    for name, config, files in (
        ("clip", {"model_type": "clip"}, {"vocab.json": "clip-vocab.json", "merges.txt": "clip-merges.txt"}),
        ("chinese-clip", {"model_type": "chinese_clip"}, {"vocab.txt": "chinese-clip-vocab.txt"}),
    ):
        folders[name] = os.path.join(out, name)
        os.makedirs(folders[name], exist_ok=True)
        with open(os.path.join(folders[name], "config.json"), "w") as f:
            json.dump(config, f)
        for file, source in files.items():
            shutil.copyfile(os.path.join(tables, source), os.path.join(folders[name], file))
    folders |= {f"open_clip-{clean}": f"open_clip:{clean}" for clean in ("lower", "canonicalize", "whitespace")}
    items = []
    for name, folder in folders.items():
        if not folder.startswith("open_clip:") and not os.path.exists(os.path.join(folder, "config.json")):
            folder = os.path.join(folder, "spiece.model")
        lines = os.path.join(out, name + ".jsonl.gz")
        write(lines, texts.hard_lines(int(count), name, real), encoder(folder))
        items.append(f"{name}={folder}={lines}")
        print(name, file=sys.stderr)
    print(",".join(items))


def modes(out):
    write(os.path.join(out, "openai.jsonl.gz"), texts.lines(600, "openai"), encoder("openai"))
    for name, kind in (("class-siglip", "T5Tokenizer"), ("class-siglip2", "GemmaTokenizer"), ("class-xlmr", None)):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(os.path.join(out, name), folder, dirs_exist_ok=True)
            if kind:  # the class that timm's checkpoints of SigLIP name
                path = os.path.join(folder, "tokenizer_config.json")
                with open(path) as f:
                    config = json.load(f) | {"tokenizer_class": kind}
                with open(path, "w") as f:
                    json.dump(config, f)
                with open(os.path.join(folder, "config.json"), "w") as f:
                    json.dump({"model_type": "t5"}, f)
            clean = "canonicalize" if kind else "whitespace"
            write(os.path.join(out, name, "open_clip.jsonl.gz"), texts.lines(400, name), encoder(f"open_clip:{clean}:{folder}"))


def main():
    if sys.argv[1] == "compare":
        compare(*sys.argv[2:])
    elif sys.argv[1] == "sample":
        sample(*sys.argv[2:])
    elif sys.argv[1] == "modes":
        modes(sys.argv[2])
    elif sys.argv[1] == "lines":
        _, _, seed, folder, count, out = sys.argv
        write(out, texts.hard_lines(int(count), seed), encoder(folder))
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
