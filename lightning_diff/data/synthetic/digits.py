"""Synthetic data after alignDRAW: one handwritten digit in a corner, or two digits beside or above each other.

The digits are real handwriting (digits.npz; digits.LICENSE says where it is from). A tenth of all *contents* (layout and
digits, in any phrasing) never occurs in training, and the splits share no handwritten picture.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..sample import Sample
from .attributes import LAYOUTS, WORDS
from .idx import read_digits

# The first digit is always the left or upper one, so each picture has one true label in every phrasing.
TEMPLATES = {
    "top left": ("the digit {0} is at the top left of the image",),
    "top right": ("the digit {0} is at the top right of the image",),
    "bottom left": ("the digit {0} is at the bottom left of the image",),
    "bottom right": ("the digit {0} is at the bottom right of the image",),
    "side by side": ("the digit {0} is at the left of the digit {1}", "the digit {1} is at the right of the digit {0}"),
    "stacked": ("the digit {0} is above the digit {1}", "the digit {1} is below the digit {0}"),
}
CORNERS = 4  # number of layouts with one digit; they come first, the others have two
SPLITS = {"train": 0, "test": 1, "all": 2}
# With so few contents a hash rarely selects exactly a tenth. This salt holds out 4 of 40 singles, one in each corner, and
# 20 of 200 pairs, which contain every digit. It was chosen only for these counts.
SALT = 1687

# Smallest and largest offset of a digit's frame, in pixels of alignDRAW's canvas.
CANVAS = 60
LEFT, RIGHT, TOP, BOTTOM, CENTRE = (0, 4), (28, 32), (0, 2), (30, 32), (16, 18)
FRAMES = {  # (horizontal, vertical) of each digit
    "top left": ((LEFT, TOP),),
    "top right": ((RIGHT, TOP),),
    "bottom left": ((LEFT, BOTTOM),),
    "bottom right": ((RIGHT, BOTTOM),),
    "side by side": ((LEFT, CENTRE), (RIGHT, CENTRE)),
    "stacked": ((CENTRE, TOP), (CENTRE, BOTTOM)),
}


@dataclass(frozen=True)
class Page:
    """The content of a picture. `layout` indexes LAYOUTS. `digits` holds one or two digits, the left or upper one first."""

    layout: int
    digits: tuple[int, ...]

    def held_out(self) -> bool:
        """Whether this content is kept for testing: a pure function of the content (one in ten)."""
        return hashlib.sha256(f"digits:{SALT}:{self.layout}:{self.digits}".encode()).digest()[0] % 10 == 0


def page(split: str, seed: int, index: int) -> tuple[Page, np.random.Generator]:
    """The page of a sample, and the generator that then draws its details. A content of the other split is redrawn."""
    rng = np.random.default_rng([seed, SPLITS[split], index])
    # Drawn once, outside the loop: redrawing would shift the balance of one and two digits by their held-out shares.
    count = int(rng.integers(1, 3))
    layouts = (0, CORNERS) if count == 1 else (CORNERS, len(LAYOUTS))
    while True:
        drawn = Page(int(rng.integers(*layouts)), tuple(int(d) for d in rng.integers(10, size=count)))
        if split == "all" or drawn.held_out() == (split == "test"):
            return drawn, rng


@lru_cache(maxsize=1)
def _handwriting() -> dict[str, list[NDArray[np.uint8]]]:
    """split -> the handwritten pictures of each digit, [n, 10, 10], 255 for ink, with a blank border of one pixel."""
    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as data:
        pictures, labels = data["pictures"], data["labels"]
    images = np.pad(pictures, ((0, 0), (1, 1), (1, 1))) * (255 / 16)  # the border keeps strokes off the edges
    # Every fifth *of each digit*: the data set has the order 0 1 2 ... 9 0 1 2 ..., so every fifth of all is a 0 or a 5.
    by_digit = [images[labels == digit].astype(np.uint8) for digit in range(10)]
    fifth = [np.arange(len(p)) % 5 == 0 for p in by_digit]
    return {
        "train": [p[~f] for p, f in zip(by_digit, fifth, strict=True)],
        "test": [p[f] for p, f in zip(by_digit, fifth, strict=True)],
    }


def handwriting(folder: str | None) -> Mapping[str, Sequence[NDArray[np.uint8]]]:
    """split -> the handwritten pictures of each digit, [n, H, W], 255 for ink: the small ones, or those of MNIST's files."""
    return _handwriting() if folder is None else read_digits(Path(folder))


def said_of(drawn: Page, phrasing: int) -> str:
    """What one of its layout's phrasings says of a page."""
    return TEMPLATES[LAYOUTS[drawn.layout]][phrasing].format(*(WORDS[d] for d in drawn.digits))


def wrong(drawn: Page, phrasing: int, rng: np.random.Generator) -> str:
    """A hard negative, almost the caption: the place's word is changed, the two digits are exchanged, or one is replaced.

    Without the first a tower need not hear "above": it tells pages apart by their digits and the order in which they are said.
    """
    change = rng.integers(3)
    if len(set(drawn.digits)) == 2 and change < 2:
        words = phrasing if change else 1 - phrasing  # the same, or "below" for "above"
        return said_of(Page(drawn.layout, drawn.digits[::-1]), words)
    if len(drawn.digits) == 1 and change == 0:
        return said_of(Page((drawn.layout + int(rng.integers(1, CORNERS))) % CORNERS, drawn.digits), phrasing)
    which, by = int(rng.integers(len(drawn.digits))), 1 + int(rng.integers(9))
    replaced = tuple((d + by) % 10 if n == which else d for n, d in enumerate(drawn.digits))
    return said_of(Page(drawn.layout, replaced), phrasing)


def sample(split: str, seed: int, index: int, image_size: int = 64, folder: str | None = None) -> Sample:
    """Sample `index` of a split. Pure: the same arguments give the same picture and caption. `folder` holds MNIST's files; its
    digits have alignDRAW's size, 28 of 60 pixels."""
    drawn, rng = page(split, seed, index)
    layout = LAYOUTS[drawn.layout]
    phrasing = int(rng.integers(len(TEMPLATES[layout])))
    text = said_of(drawn, phrasing)
    hard_negative = wrong(drawn, phrasing, np.random.default_rng([seed, SPLITS[split], index, 1]))
    labels = {"count": len(drawn.digits) - 1, "layout": drawn.layout}
    labels |= dict(zip(("first_digit", "second_digit"), drawn.digits, strict=False))

    picture = Image.new("RGB", (image_size, image_size))
    side = round(image_size * 28 / (64 if folder is None else CANVAS))
    pools = handwriting(folder)["test" if split == "test" else "train"]
    for digit, frame in zip(drawn.digits, FRAMES[layout], strict=True):
        pool = pools[digit]
        ink = Image.fromarray(pool[int(rng.integers(len(pool)))]).resize((side, side), Image.Resampling.BICUBIC)
        x, y = (round(rng.uniform(*span) * image_size / CANVAS) for span in frame)
        picture.paste((255, 255, 255), (x, y), ink)  # the ink is the mask: overlapping frames do not hide each other
    return Sample(f"{split}-{seed}-{index:07d}", picture, text, labels, hard_negative)
