#!/usr/bin/env python3
"""Trains small tokenisers of every kind that the checkpoints use, and of what may come with them, into folders:

    python variants.py OUT

Each folder is a checkpoint for AutoTokenizer (config.json and tokenizer files) or holds a spiece.model for the
sentencepiece library. goldens.py makes their lines.
"""

import collections
import json
import os
import shutil
import sys
import unicodedata

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

import texts

CORPUS = [line for line in texts.lines(6000, "variants") if "<unk>" not in line and "</s>" not in line]


def common(lines, count):
    """The lines without their rare characters, for trainers that want a token for every character."""
    seen = collections.Counter("".join(lines))
    keep = {c for c, _ in seen.most_common(count)}
    return ["".join(c for c in line if c in keep) for line in lines]


def save_tokenizer(out, name, tokenizer, config=None, model_type="clip"):
    folder = os.path.join(out, name)
    os.makedirs(folder, exist_ok=True)
    tokenizer.save(os.path.join(folder, "tokenizer.json"), pretty=False)
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump({"model_type": model_type}, f)
    with open(os.path.join(folder, "tokenizer_config.json"), "w") as f:
        json.dump({"tokenizer_class": "PreTrainedTokenizerFast", **(config or {})}, f)


def byte_level(out):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=900, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    t.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0))
    save_tokenizer(out, "bytelevel", t, {"padding_side": "left", "pad_token": "</s>"})


def bpe_suffix(out):
    t = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>", fuse_unk=False))
    t.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase(), normalizers.Strip()])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation(behavior="contiguous")])
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=700, special_tokens=["<unk>", "<pad>"], end_of_word_suffix="</w>", limit_alphabet=150))
    save_tokenizer(out, "bpe-suffix", t)


def bpe_fused(out):
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, continuing_subword_prefix="##"))
    t.normalizer = normalizers.NFKC()
    t.pre_tokenizer = pre_tokenizers.Split(" ", behavior="merged_with_next")
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=700, special_tokens=["<unk>"], continuing_subword_prefix="##", limit_alphabet=120))
    # Added tokens of every sort.
    t.add_tokens([AddedToken("cat", single_word=True), AddedToken("PHOTO", normalized=True), AddedToken(" the", lstrip=True), "<b>"])
    t.add_special_tokens([AddedToken("<mask>", lstrip=True), AddedToken("[SEP]", rstrip=True)])
    save_tokenizer(out, "bpe-fused", t)


def unigram(out):
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([normalizers.Replace("``", '"'), normalizers.NFKD(), normalizers.Replace(Regex(" {2,}"), " "), normalizers.Strip(left=False)])
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    t.train_from_iterator(common(CORPUS, 300), trainers.UnigramTrainer(vocab_size=900, special_tokens=["<unk>", "</s>"], unk_token="<unk>", shrinking_factor=0.6))
    t.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    save_tokenizer(out, "unigram", t, {"eos_token": "</s>", "model_input_names": ["input_ids"]}, model_type="siglip")


def wordpiece(out, name, config):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(lowercase=False)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=900, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], limit_alphabet=300))
    save_tokenizer(out, name, t, config, model_type="align")


def small_rules(out):
    """NFKC of some blocks and a few rules of more characters, since SentencePiece's own charsmaps have 240 kB each."""
    rules = {}
    for block in (range(0xA0, 0x250), range(0x2000, 0x2070), range(0x2100, 0x2190), range(0xFB00, 0xFB07), range(0xFF01, 0xFFF0)):
        for c in block:
            normal = unicodedata.normalize("NFKC", chr(c))
            if normal != chr(c):
                rules[chr(c)] = normal
    for base in "aeiouAEIOU":
        for mark in "\u0300\u0301\u0308":
            rules[base + mark] = unicodedata.normalize("NFC", base + mark)
    for c in range(0xFF66, 0xFF9E):
        for mark in "\uff9e\uff9f":
            rules[chr(c) + mark] = unicodedata.normalize("NFKC", chr(c) + mark)
    rules.update({"\t": " ", "\n": " ", "\r": " ", "\r\n": " ", "\u3000": " ", "\u200b": "", "\ufeff": "", "\u00ad": "", "...": "\u2026", "e\u0301\u0323": "e"})
    path = os.path.join(out, "rules.tsv")
    with open(path, "w") as f:
        for source, target in sorted(rules.items()):
            f.write("\t".join(" ".join(f"{ord(c):X}" for c in text) for text in (source, target)) + "\n")
    return path


def spm(out, name, file="spiece.model", config=None, **options):
    folder = os.path.join(out, name)
    os.makedirs(folder, exist_ok=True)
    if config is not None:
        with open(os.path.join(folder, "config.json"), "w") as f:
            json.dump({"model_type": config.pop("model_type")}, f)
        with open(os.path.join(folder, "tokenizer_config.json"), "w") as f:
            json.dump(config, f)
    options = {k: v for k, v in options.items() if v is not None}
    defaults = dict(vocab_size=900, character_coverage=0.98, hard_vocab_limit=False, minloglevel=2)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(common(CORPUS, 400)), model_prefix=os.path.join(folder, "m"), **{**defaults, **options}
    )
    os.replace(os.path.join(folder, "m.model"), os.path.join(folder, file))
    os.remove(os.path.join(folder, "m.vocab"))


def main():
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    small = dict(normalization_rule_tsv=small_rules(out))
    byte_level(out)
    bpe_suffix(out)
    bpe_fused(out)
    unigram(out)
    wordpiece(out, "bert-cased", {"tokenizer_class": "BertTokenizer", "do_lower_case": False})
    wordpiece(out, "bert-accents", {"tokenizer_class": "BertTokenizerFast", "strip_accents": False, "tokenize_chinese_chars": False})
    symbols = ["<b>", "猫", "the cat", "ﬁne"]
    spm(out, "spm-unigram-user", user_defined_symbols=symbols, **small)
    spm(out, "spm-bpe-user", model_type="bpe", user_defined_symbols=symbols, **small)
    spm(out, "spm-unigram-bytes", byte_fallback=True, normalization_rule_name="nmt_nfkc_cf", vocab_size=1100)
    spm(out, "spm-bpe-bytes", model_type="bpe", byte_fallback=True, normalization_rule_name="identity", vocab_size=1100)
    spm(out, "spm-suffix", treat_whitespace_as_suffix=True, remove_extra_whitespaces=False, **small)
    spm(out, "spm-plain", add_dummy_prefix=False, remove_extra_whitespaces=False, normalization_rule_name="nfkc")
    spm(out, "spm-char", model_type="char", vocab_size=400)

    # The same through the classes of transformers, which read the files of a checkpoint.
    gemma = dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity", vocab_size=1100, pad_id=0, eos_id=1, bos_id=2, unk_id=3)
    spm(out, "class-siglip", config={"model_type": "siglip", "model_input_names": ["input_ids"]}, **small)
    spm(out, "class-siglip-cased", config={"model_type": "siglip", "do_lower_case": False, "pad_token": "</s>", "additional_special_tokens": ["<b>"]})
    spm(out, "class-gemma", "tokenizer.model", {"model_type": "siglip", "tokenizer_class": "GemmaTokenizer", "add_eos_token": True}, **gemma)
    spm(out, "class-siglip2", "tokenizer.model", {"model_type": "siglip2", "tokenizer_class": "GemmaTokenizerFast", "add_bos_token": True}, **gemma)
    spm(out, "class-tipsv2", "tokenizer.model", {"model_type": "tipsv2"}, **{**gemma, "normalization_rule_name": None, **small}, user_defined_symbols=symbols)
    spm(out, "class-xlmr", "sentencepiece.bpe.model", {"model_type": "altclip", "tokenizer_class": "XLMRobertaTokenizer", "model_max_length": 77}, user_defined_symbols=symbols, **small)
    spm(out, "class-t5", config={"model_type": "clip", "tokenizer_class": "T5Tokenizer", "eos_token": "</s>", "pad_token": "</s>"}, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, **small)
    spm(out, "class-t5-none", config={"model_type": "clip", "tokenizer_class": "T5Tokenizer", "extra_ids": 0, "additional_special_tokens": []},
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, **small)
    spm(out, "class-metaclip", "sentencepiece.bpe.model", {"model_type": "metaclip_2"}, normalization_rule_name="nmt_nfkc")
    vocab_txt(out)
    roberta(out)
    gpt2(out)
    clip(out)
    for name in "bert roberta gpt2 clip gemma siglip2 tipsv2 xlmr metaclip t5 t5-none".split():
        with_json(out, "class-" + name)


def with_json(out, name):
    """The same tokeniser as transformers saves it, which is with a tokenizer.json."""
    from transformers import AutoTokenizer

    folder = os.path.join(out, name)
    AutoTokenizer.from_pretrained(folder).save_pretrained(folder + "-json")
    shutil.copy(os.path.join(folder, "config.json"), folder + "-json")


def gpt2(out):
    """As roberta, in a folder of a BLIP-2 that says nothing of its tokeniser."""
    folder = os.path.join(out, "class-gpt2")
    os.makedirs(folder, exist_ok=True)
    for file in ("vocab.json", "merges.txt"):
        shutil.copy(os.path.join(out, "class-roberta", file), folder)
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump({"model_type": "blip-2"}, f)


def clip(out):
    folder = os.path.join(out, "class-clip")
    os.makedirs(folder, exist_ok=True)
    t = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    t.normalizer = normalizers.Lowercase()
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    ends = [c + "</w>" for c in sorted(alphabet)]
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=1400, special_tokens=ends, initial_alphabet=alphabet, end_of_word_suffix="</w>"))
    model = json.loads(t.to_str())["model"]
    vocab = model["vocab"]
    for token in ("<|startoftext|>", "<|endoftext|>"):
        vocab[token] = len(vocab)
    with open(os.path.join(folder, "vocab.json"), "w") as f:
        json.dump(vocab, f)
    with open(os.path.join(folder, "merges.txt"), "w") as f:
        f.writelines(["#version: 0.2\n", *(" ".join(pair) + "\n" for pair in model["merges"])])
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump({"model_type": "clip"}, f)


def roberta(out):
    folder = os.path.join(out, "class-roberta")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(out, "bytelevel", "tokenizer.json")) as f:
        model = json.load(f)["model"]
    with open(os.path.join(folder, "vocab.json"), "w") as f:
        json.dump(model["vocab"], f)
    with open(os.path.join(folder, "merges.txt"), "w") as f:
        f.writelines(["#version: 0.2\n", *(" ".join(pair) + "\n" for pair in model["merges"])])
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump({"model_type": "clip"}, f)
    with open(os.path.join(folder, "tokenizer_config.json"), "w") as f:
        json.dump({"tokenizer_class": "RobertaTokenizerFast"}, f)


def vocab_txt(out):
    folder = os.path.join(out, "class-bert")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(out, "bert-cased", "tokenizer.json")) as f:
        vocab = json.load(f)["model"]["vocab"]
    with open(os.path.join(folder, "vocab.txt"), "w") as f:
        f.writelines(token + "\n" for token in sorted(vocab, key=vocab.get))
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump({"model_type": "blip"}, f)
    with open(os.path.join(folder, "special_tokens_map.json"), "w") as f:
        json.dump({"cls_token": "[CLS]", "mask_token": {"content": "[MASK]", "lstrip": True, "normalized": True}}, f)
    with open(os.path.join(folder, "added_tokens.json"), "w") as f:
        json.dump({"[DEC]": len(vocab), "&amp;": len(vocab) + 1}, f)


if __name__ == "__main__":
    main()
