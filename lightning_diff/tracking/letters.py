"""Letters of all scripts in grids and figures. The font is DejaVu Sans, which comes with matplotlib: Latin, Greek, Cyrillic,
Arabic, Hebrew, Georgian, Armenian and many signs. It has no Chinese, Japanese, Korean or Indian letters and few emoji; a run of
letters that it lacks is shown as "…", and the caption says so."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from pathlib import Path

import matplotlib
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

FILE = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
SAID = "(letters missing in the font)"
UNSEEN = re.compile(
    "[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe00-\ufe0f\U000e0000-\U000e01ef]"
)  # have no shape of their own


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(FILE), size)


@cache
def _known() -> frozenset[int]:
    """The code points that the font has."""
    return frozenset(FT2Font(str(FILE)).get_charmap())


def drawable(text: str) -> str:
    """The text in letters that the font has. A letter that it lacks is written as its plain form if there is one (fullwidth A as
    A); a run of others becomes "…". A control character becomes a blank."""
    found = []
    for letter in UNSEEN.sub("", text):
        plain = letter if ord(letter) in _known() else unicodedata.normalize("NFKC", letter)
        if unicodedata.category(letter) in ("Cc", "Zl", "Zp"):
            found.append(" ")
        elif all(ord(part) in _known() for part in plain):
            found.append(plain)
        elif found[-1:] != ["\0"]:
            found.append("\0")
    return "".join(found).replace("\0", "…")


def lacks(text: str) -> bool:
    """Whether the font lacks some letters of a text."""
    return drawable(text).count("…") > text.count("…")
