"""The classes of the demo model: which emoji, what they are called, how they look.

Names come from two places. The Unicode character name (unicodedata.name) is lower-cased and loses the word
"face", so that FOX FACE is a "fox". CLDR's English annotations give a short name and keywords.
Pictures come from the bitmaps of Noto Color Emoji (136 x 128 pixels, drawn at font size 109).
"""

import re
import unicodedata
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
ANNOTATIONS = "/usr/share/unicode/cldr/common/annotations/en.xml"

BITMAP_SIZE = 109  # the only size at which the font has bitmaps
CELL = 136  # side of the square that holds one bitmap

# Sequences with a person in them are variations (gender, profession) of single characters that we have already.
PEOPLE = set("\U0001f468\U0001f469\U0001f9d1\u2640\u2642")
SKIN_TONES = {chr(c) for c in range(0x1F3FB, 0x1F400)}

# A mirror image of these would be something else.
HANDED = re.compile(
    r"left|right|arrow|clock|thirty|button|letter|latin|letters|numeral|mark|keycap|sign|squared|ideograph|"
    r"calendar|abacus|back|soon|end|on!|top|book|library|division|note|score|points|symbol|japanese|flag"
)


@dataclass(frozen=True)
class Emoji:
    text: str  # the character, or the sequence
    name: str  # CLDR's short name: the label in evaluations
    names: tuple  # short name and Unicode name
    keywords: tuple
    may_flip: bool

    @property
    def terms(self):
        """Everything that a caption may call it."""
        return frozenset(self.names + self.keywords)


def unicode_name(text):
    """'🦊' -> 'fox'; empty where a sequence has no name of its own."""
    if len(text) != 1:
        return ""
    words = re.split(r"[\s-]+", unicodedata.name(text, "").lower())
    return " ".join(w for w in words if w != "face") or "face"


def bitmap(text, font):
    """RGBA image [CELL, CELL] of one emoji, or None where the font has no single colour glyph for it."""
    box = font.getbbox(text)
    if not 0 < box[2] - box[0] <= CELL:
        return None
    image = Image.new("RGBA", (CELL, CELL))
    draw = ImageDraw.Draw(image)
    draw.text((CELL // 2, CELL // 2), text, font=font, embedded_color=True, anchor="mm")
    if image.getbbox() is None:
        return None
    # Centre what was drawn: anchors follow the font's metrics, which leave more room above than below.
    # Drawing on nothing leaves colours multiplied by alpha, which Pillow calls RGBa.
    drawn = image.crop(image.getbbox())
    drawn = Image.frombytes("RGBa", drawn.size, drawn.tobytes()).convert("RGBA")
    image = Image.new("RGBA", (CELL, CELL))
    image.paste(drawn, ((CELL - drawn.width) // 2, (CELL - drawn.height) // 2))
    return image


def font():
    return ImageFont.truetype(FONT, BITMAP_SIZE, layout_engine=ImageFont.Layout.RAQM)


def load():
    """[(Emoji, RGBA image)], in the order of CLDR's file."""
    short, keywords = {}, {}
    for node in ElementTree.parse(ANNOTATIONS).getroot().iter("annotation"):
        text = node.get("cp")
        if node.get("type") == "tts":
            short[text] = node.text.strip().lower()
        else:
            keywords[text] = [k.strip().lower() for k in node.text.split("|")]

    face = font()
    classes, taken = [], set()
    for text, name in short.items():
        characters = set(text)
        if text.isascii() or name in taken or characters & SKIN_TONES:
            continue
        if len(text) > 1 and characters & PEOPLE:
            continue
        image = bitmap(text, face)
        if image is None:
            continue
        taken.add(name)
        names = tuple(dict.fromkeys(n for n in (name, unicode_name(text)) if n))
        rest = tuple(k for k in dict.fromkeys(keywords.get(text, ())) if k not in names)
        classes.append((Emoji(text, name, names, rest, not HANDED.search(" ".join(names + rest))), image))
    return classes
