"""Mixed lines of text for comparing tokenisers: the same seed gives the same lines."""

import gzip
import json
import pathlib
import random
import unicodedata

WORDS = (
    "a photo of the cat dog owl fox bear seagull remote control sleeping on pink sofa two three running jumping don't it's we're "
    "I've he'll she'd I'm can't o'clock rock'n'roll state-of-the-art e-mail naïve café façade Zürich Straße STRASSE "
    "Ångström jalapeño coöperate résumé über œuvre ﬁne ﬂow ½ ² № ™ ℃ Ⅷ ① ㈱ ﷺ ｆｕｌｌ Ｗｉｄｔｈ"
).split()
SCRIPTS = {
    "greek": ["Ελλάδα", "ΟΔΥΣΣΕΥΣ", "Σ", "ΑΣ", "σίσυφος", "άέήίόύώ"],
    "cyrillic": ["Привет", "МИР", "кошка", "ёлка", "Її", "Ѿ"],
    "arabic": ["مرحبا", "بِسْمِ", "ٱللَّهِ", "لا", "١٢٣", "قِطّة"],
    "hebrew": ["שלום", "שָׁלוֹם", "חָתוּל"],
    "devanagari": ["नमस्ते", "बिल्ली", "क्षत्रिय", "ज़"],
    "thai": ["สวัสดี", "แมว", "น้ำ"],
    "chinese": ["一张猫的照片", "你好，世界！", "皮卡丘", "漢字", "㐀㐁", "豈"],
    "japanese": ["猫の写真", "ネコ", "ｶﾞｷﾞ", "がぎ", "か\u3099", "東京タワー"],
    "korean": ["고양이", "사진", "한글", "\u1112\u1161\u11ab"],
    "emoji": ["😀", "👩‍👩‍👧‍👦", "🇩🇪", "👍🏽", "❤️", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "☺", "⌚️"],
    "other": ["ⴰⵎⵓⵛ", "ᏣᎳᎩ", "ꮳꮃꭹ", "ⰳⰾⰰ", "𐐔𐐯𐑅", "𝕳𝖊𝖑𝖑𝖔", "\U00016ea0\U00010d50", "ᾼ", "ǅ", "İstanbul", "ıI", "ẞ"],
}
SPACES = [" ", " ", " ", " ", "  ", "   ", "\t", "\n", "\r\n", "\u00a0", "\u2003", "\u3000", "\u2028", "\u200b", "\ufeff", "\x0b", "\x1c", "\x85", "\u1680", ""]
MARKS = ["\u0301", "\u0300", "\u0323", "\u0308", "\u0327", "\u0345", "\u20dd", "\u05b0", "\u0e49", "\u094d", "\u3099", "\u0f71", "\u0f72", "\u1ab0", "\u0898"]
PUNCTUATION = list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") + ["...", "--", "''", "'s", "'S", "’s", "“”", "—", "…", "¿", "、", "。", "！", "٪", "·", "⁂", "▁", "▁▁", "$€£", "©", "§"]
CONTROL = ["\x00", "\x01", "\x07", "\x08", "\x1b[0m", "\x7f", "\x9f", "\u00ad", "\u200d", "\u200e", "\u202e", "\ufffd", "\ufffe", "\ue000", "\U000f0000", "\u0378"]
SPECIALS = [
    "<|startoftext|>", "<|endoftext|>", "<|ENDOFTEXT|>", "<|StartOfText|>", "<|endoftext", "<|x|>", "<s>", "</s>", "<S>", "<pad>", "<unk>", "<UNK>",
    "<mask>", "[CLS]", "[SEP]", "[MASK]", "[cls]", "[UNK]", "[PAD]", "[DEC]", "<bos>", "<eos>", "<0x41>", "<0xFF>", "&amp;", "&lt;b&gt;", "<b>",
    "<start_of_text>", "<End_Of_Text>", "&copy", "&notit;", "&#39;s", "&#x1F600;", "&#128", "&EACUTE;", "&Eacute;", "&nbsp;", "&amp;amp;quot;", "&SZLIG;", "don’t", "'ſ",
]
BLOCKS = [
    (0x20, 0x7E), (0x20, 0x7E), (0xA0, 0x24F), (0x250, 0x36F), (0x370, 0x52F), (0x590, 0x6FF), (0x900, 0xDFF), (0xE00, 0x109F), (0x1100, 0x11FF),
    (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x2BFF), (0x2E80, 0x303F), (0x3040, 0x33FF), (0x4E00, 0x9FFF), (0xA490, 0xABFF), (0xAC00, 0xD7A3),
    (0xF900, 0xFDFF), (0xFE00, 0xFFFD), (0x10000, 0x10FFF), (0x11000, 0x11FFF), (0x16E00, 0x16FFF), (0x1D100, 0x1D7FF), (0x1F000, 0x1FAFF), (0x20000, 0x2FFFF),
    (0xE0000, 0xE01EF), (0x0, 0x10FFFF),
]


def random_char(r):
    while True:
        c = r.randint(*r.choice(BLOCKS))
        if not 0xD800 <= c <= 0xDFFF:
            return chr(c)


def piece(r):
    kind = r.random()
    if kind < 0.45:
        word = r.choice(WORDS)
        return r.choice([word, word, word, word.upper(), word.capitalize(), word.title()])
    if kind < 0.62:
        return r.choice(SCRIPTS[r.choice(list(SCRIPTS))])
    if kind < 0.72:
        return r.choice(PUNCTUATION)
    if kind < 0.77:
        return str(r.randint(0, 10 ** r.randint(1, 12)))
    if kind < 0.80:
        return r.choice(CONTROL)
    if kind < 0.84:
        return r.choice(SPECIALS)
    if kind < 0.88:
        return r.choice(WORDS) + "".join(r.choice(MARKS) for _ in range(r.randint(1, 6)))
    if kind < 0.90:
        return "".join(r.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(r.randint(1, 40)))
    return "".join(random_char(r) for _ in range(r.randint(1, 5)))


def line(r):
    return "".join(piece(r) + r.choice(SPACES) for _ in range(r.randint(1, 12)))


# Lines that every kind meets: what once went wrong somewhere, and what the issue names.
FIXED = [
    "", " ", "\t\n", "a", "▁", "▁▁ ▁a", "  two  spaces  ", "this is a test string of text", "a photo of a fox", "Don't  PANIC: it's 42% off -- really?!",
    "it's''s !'s 't'll 'LL", "x<|endoftext|>y", "a <|STARTOFTEXT|> b", "</s>", "a </s>", "</s> a", "Summary of the text. </s>", "a photo of </s></s>",
    "<unk>", "a<unk>b", " <pad> x ", "\x00", "\u0000a\u0007", "\ufeffhello\u200bworld", "İ ΑΣ ẞ Σ ΣΑΣ Α.Σ Σ'Σ", "e" + "\u0301" * 40 + "\u0323" * 20 + "x",
    "q\u0307\u0323 \u1e9b\u0323 \u212b \u1100\u1161\u11a8", "\u0f73\u0f75\u0f71\u0f72", "\U00011935\U00011930", "ﷺ ㌔ ㍿", "①②③ ⅷ ½", "が か\u3099 ｶﾞ",
    "😀👩‍👩‍👧‍👦👍🏽🇩🇪", "皮卡丘 一张猫的照片", "مرحبا بالعالم", "नमस्ते दुनिया", "สวัสดี", "12345 1,000.5", "_under_score_ __init__", "C:\\path\\file.txt",
    "https://example.com/?q=a&b=c#d", "&lt;p&gt; &amp;amp;", "Ã© mojibake â€™", "tab\tnew\nline\r\nend", "\u3000wide\u3000", "a\u00a0b\u2009c\u202fd", "zero\u200dwidth\u200cjoin",
]


def lines(count, seed):
    r = random.Random(seed)
    out = list(FIXED)
    while len(out) < count:
        out.append(line(r))
    return out[:count]


# Lines of one sort each, which go further than the mixed ones.
EMOJI = [chr(c) for c in [*range(0x1F300, 0x1F650), *range(0x1F680, 0x1F700), *range(0x1F900, 0x1FA00), *range(0x2600, 0x27C0)]]
JOINERS = ["\u200d", "\ufe0f", "\ufe0e", "\u20e3", *(chr(c) for c in range(0x1F3FB, 0x1F400)), *(chr(c) for c in range(0xE0061, 0xE007B)), "\U000e007f"]
ALL_MARKS = [chr(c) for c in range(0x110000) if unicodedata.category(chr(c)) in ("Mn", "Mc", "Me")]
ALL_CONTROL = [chr(c) for c in range(0x110000) if unicodedata.category(chr(c)) in ("Cc", "Cf", "Co") and (c < 0xE000 or c % 997 == 0)]
ALL_SPACES = [chr(c) for c in range(0x110000) if unicodedata.category(chr(c)) in ("Zs", "Zl", "Zp")] + list("\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f\x85\u200b\u2060\ufeff\u180e\u3164")


def emoji(r):
    out = ""
    for _ in range(r.randint(1, 12)):
        out += r.choice(EMOJI) + "".join(r.choice(JOINERS) for _ in range(r.randint(0, 3)))
        if r.random() < 0.1:
            out += "".join(chr(r.randint(0x1F1E6, 0x1F1FF)) for _ in range(r.randint(1, 4)))
    return out


def one_block(r):
    """A text of one script, whatever is assigned in a block of 256 code points."""
    while True:
        start = r.choice([r.randrange(0, 0x3000, 256), r.randrange(0, 0x20000, 256), r.randrange(0x3000, 0xD700, 256)])
        chars = [chr(c) for c in range(start, start + 256) if unicodedata.category(chr(c)) not in ("Cs", "Cn", "Co")]
        if len(chars) > 20:
            return "".join(r.choice(chars) + r.choice(["", "", "", " "]) for _ in range(r.randint(5, 80)))


def marks(r):
    words = r.choice(WORDS), r.choice(SCRIPTS[r.choice(list(SCRIPTS))])
    return " ".join("".join(c + "".join(r.choice(ALL_MARKS) for _ in range(r.randint(0, 3))) for c in word) for word in words)


def run(r):
    """A long word."""
    unit = r.choice([r.choice(WORDS), r.choice(SCRIPTS[r.choice(list(SCRIPTS))]), r.choice("abcxyz\u4e00\u0e01\u2581"), random_char(r)])
    if r.random() < 0.5:
        return unit * r.randint(2, max(2, 400 // len(unit)))
    return "".join(r.choice(unit + "abcde") for _ in range(r.randint(50, 600)))


def spaces(r):
    return "".join("".join(r.choice(ALL_SPACES) for _ in range(r.randint(1, 4))) + r.choice(WORDS + PUNCTUATION) for _ in range(r.randint(1, 8)))


def control(r):
    return "".join(r.choice([r.choice(ALL_CONTROL), r.choice(WORDS), random_char(r), r.choice(SPECIALS)]) for _ in range(r.randint(1, 10)))


SENTINELS = ["<extra_id_0>", "<extra_id_99>", "<extra_id_100>", "<extra_id_007>", "<EXTRA_ID_1>", "<mask>", "<pad>", "<unused0>", "<2mass>", "[@BOS@]", "<start_of_turn>"]


def sentinels(r):
    return "".join(r.choice([r.choice(SENTINELS), r.choice(SPECIALS), r.choice(WORDS), " ", "▁", "\n"]) for _ in range(r.randint(2, 10)))


def corpus(shared):
    """Captions and prompts of real labels."""
    data = pathlib.Path(shared) / "data"
    with gzip.open(data / "token-vectors" / "clip-caption-ids.tsv.gz", "rt", encoding="utf-8") as f:
        out = [line.split("\t")[1] for line in f][1:]
    names = json.loads((data / "labels" / "en_classnames.json").read_text())
    templates = json.loads((data / "labels" / "en_zeroshot_classification_templates.json").read_text())
    r = random.Random("corpus")
    some = [t for ts in templates.values() for t in (ts if isinstance(ts, list) else [])]
    out += [r.choice(some).replace("{c}", str(name)) for list_ in names.values() for name in list_]
    return out


def hard_lines(count, seed, real=()):
    """As lines, half of them of one sort each; real are further lines, of which every sixth is taken."""
    r = random.Random(f"hard {seed}")
    sorts = [emoji, one_block, marks, run, spaces, control, sentinels]
    out = list(FIXED)
    while len(out) < count:
        if real and r.random() < 1 / 6:
            out.append(r.choice(real))
        else:
            out.append((line if r.random() < 0.5 else r.choice(sorts))(r))
    return out[:count]
