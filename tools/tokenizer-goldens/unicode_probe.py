#!/usr/bin/env python3
"""Asks the tokenizers library which code points each of its character classes holds.

Its parts carry tables of different Unicode versions, so no single version describes it. The answer is a JSON file
that unicode_tables.go turns into internal/tokenizer/tables.go:

    python unicode_probe.py /tmp/unicode.json
    go run unicode_tables.go /tmp/unicode.json ../../internal/tokenizer/tables.go

Needs: tokenizers (tables.go was made with 0.23.3) and, for the grapheme clusters, regex (2026.11.15).
"""

import json
import struct
import sys

import regex
import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
EVERY = "".join(map(chr, POINTS))


def ranges(points):
    out = []
    for c in points:
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def regex_class(complement):
    return ranges(map(ord, normalizers.Replace(Regex(complement), "").normalize_str(EVERY)))


def deleted_by(normalizer):
    return ranges(c for c in POINTS if normalizer.normalize_str(chr(c)) == "")


def changed_by(normalizer):
    changed = []
    for c in POINTS:
        out = normalizer.normalize_str(chr(c))
        if out != chr(c):
            changed.append([c, out])
    return changed


def bert(**options):
    off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**{**off, **options})


def charsmap_of_one():
    """A precompiled charsmap that makes an X of every "a" (formats: internal/tokenizer/charsmap.go)."""
    units = [1 << 31] * 256
    units[0] = 0
    units[97] = 97 | 256 | 1 << 10
    return struct.pack("<257I", 4 * 256, *units) + b"X\0"


PRECOMPILED = normalizers.Precompiled(charsmap_of_one())


def joins_left():
    """What is one grapheme cluster with a letter before it: it vanishes with the letter that is replaced."""
    return ranges(c for c in POINTS if PRECOMPILED.normalize_str("a" + chr(c)) == "X" and c != ord("a"))


def joins_right():
    """What is one grapheme cluster with a letter behind it: the letter's accent is not replaced with the letter."""
    return ranges(c for c in POINTS if PRECOMPILED.normalize_str(chr(c) + "a\u0301") == chr(c) + "X\u0301")


def control():
    # No question to the library gives these.
    return ranges(c for c in POINTS if regex.match(r"\p{Grapheme_Cluster_Break=Control}", chr(c)))


def punctuation():
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    return ranges(c for c in POINTS if len(split("a" + chr(c) + chr(c) + "a")) == 4)


def reordered():
    """Which code points the canonical ordering moves: bit 0 before U+0345 (class 240), bit 1 behind U+0334 (class 1)."""
    nfd, out = normalizers.NFD().normalize_str, []
    for c in POINTS:
        bits = (nfd("a\u0345" + chr(c)) != "a\u0345" + nfd(chr(c))) + 2 * (nfd("a" + chr(c) + "\u0334") != "a" + nfd(chr(c)) + "\u0334")
        if bits:
            out.append([c, bits])
    return out


def main():
    answer = {
        "tokenizers": tokenizers.__version__,
        "letter": regex_class(r"[^\p{L}]"),
        "number": regex_class(r"[^\p{N}]"),
        "punctuation": punctuation(),
        "bert_deleted": deleted_by(bert(clean_text=True)),
        "bert_mark": deleted_by(bert(strip_accents=True)),
        "mark": deleted_by(normalizers.StripAccents()),
        "lower": changed_by(normalizers.Lowercase()),
        "nfkc": changed_by(normalizers.NFKC()),
        "nfkd": changed_by(normalizers.NFKD()),
        "reordered": reordered(),
        "grapheme_control": control(),
        "grapheme_extend": joins_left(),
        "grapheme_prepend": joins_right(),
    }
    with open(sys.argv[1], "w", encoding="ascii") as f:
        json.dump(answer, f)


if __name__ == "__main__":
    main()
