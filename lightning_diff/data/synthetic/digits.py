"""Captioned digits, after alignDRAW: one handwritten digit in a corner, or two beside or above each other.

The digits are real handwriting (digits.npz; digits.LICENSE says where it is from). A tenth of all *contents* (layout and
digits; whatever the phrasing) never occurs in training, and the splits share no handwritten picture.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..sample import Sample
from .attributes import LAYOUTS, WORDS

# The first digit is always the left or upper one, so that each picture has one true label, however it is phrased.
TEMPLATES = {
    "top left": ("the digit {0} is at the top left of the image",),
    "top right": ("the digit {0} is at the top right of the image",),
    "bottom left": ("the digit {0} is at the bottom left of the image",),
    "bottom right": ("the digit {0} is at the bottom right of the image",),
    "side by side": ("the digit {0} is at the left of the digit {1}", "the digit {1} is at the right of the digit {0}"),
    "stacked": ("the digit {0} is above the digit {1}", "the digit {1} is below the digit {0}"),
}
CORNERS = 4  # the first so many layouts hold one digit, the others two
SPLITS = {"train": 0, "test": 1, "all": 2}
# With so few contents a hash seldom hits a tenth. This salt holds out 4 of 40 singles, one in each corner, and 20 of
# 200 pairs with every digit among them; it was chosen for these counts alone.
SALT = 1687

# Least and greatest offset of a digit's frame, in pixels of alignDRAW's canvas.
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
    """`layout` indexes LAYOUTS; `digits` holds one digit, or two: the left or upper one first."""

    layout: int
    digits: tuple[int, ...]

    def held_out(self) -> bool:
        """Whether this content is kept for testing: a pure function of the content (one in ten)."""
        return hashlib.sha256(f"digits:{SALT}:{self.layout}:{self.digits}".encode()).digest()[0] % 10 == 0


def page(split: str, seed: int, index: int) -> tuple[Page, np.random.Generator]:
    """The page and the generator that goes on to draw its details. Contents of the other split are drawn again."""
    rng = np.random.default_rng([seed, SPLITS[split], index])
    # Drawn once, outside the loop: drawing it again would tilt the balance by the share of each that is held out.
    count = int(rng.integers(1, 3))
    layouts = (0, CORNERS) if count == 1 else (CORNERS, len(LAYOUTS))
    while True:
        drawn = Page(int(rng.integers(*layouts)), tuple(int(d) for d in rng.integers(10, size=count)))
        if split == "all" or drawn.held_out() == (split == "test"):
            return drawn, rng


@lru_cache(maxsize=1)
def _handwriting() -> dict[str, list[NDArray[np.uint8]]]:
    """split -> for each digit its handwritten pictures, (n, 10, 10), 255 for ink, with a blank border of one pixel."""
    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as data:
        pictures, labels = data["pictures"], data["labels"]
    images = np.pad(pictures, ((0, 0), (1, 1), (1, 1))) * (255 / 16)  # the border keeps strokes off the edges
    # Every fifth *of each digit*: the data set runs 0 1 2 ... 9 0 1 2 ..., so that every fifth of all is a 0 or a 5.
    by_digit = [images[labels == digit].astype(np.uint8) for digit in range(10)]
    fifth = [np.arange(len(p)) % 5 == 0 for p in by_digit]
    return {
        "train": [p[~f] for p, f in zip(by_digit, fifth, strict=True)],
        "test": [p[f] for p, f in zip(by_digit, fifth, strict=True)],
    }


def altered(drawn: Page, rng: np.random.Generator) -> tuple[int, ...]:
    """Digits that the page does not show so: the two exchanged, or one of them another."""
    if len(set(drawn.digits)) == 2 and rng.random() < 0.5:
        return drawn.digits[::-1]
    which, by = int(rng.integers(len(drawn.digits))), 1 + int(rng.integers(9))
    return tuple((d + by) % 10 if n == which else d for n, d in enumerate(drawn.digits))


def sample(split: str, seed: int, index: int, image_size: int = 64) -> Sample:
    """Sample `index` of a split. Pure: the same arguments give the same picture and caption."""
    drawn, rng = page(split, seed, index)
    layout = LAYOUTS[drawn.layout]
    phrasings = TEMPLATES[layout]
    phrase = phrasings[int(rng.integers(len(phrasings)))]
    text = phrase.format(*(WORDS[d] for d in drawn.digits))
    hard_negative = phrase.format(
        *(WORDS[d] for d in altered(drawn, np.random.default_rng([seed, SPLITS[split], index, 1])))
    )
    labels = {"count": len(drawn.digits) - 1, "layout": drawn.layout}
    labels |= dict(zip(("first_digit", "second_digit"), drawn.digits, strict=False))

    picture = Image.new("RGB", (image_size, image_size))
    side = round(image_size * 28 / 64)
    for digit, frame in zip(drawn.digits, FRAMES[layout], strict=True):
        pool = _handwriting()["test" if split == "test" else "train"][digit]
        ink = Image.fromarray(pool[int(rng.integers(len(pool)))]).resize((side, side), Image.Resampling.BICUBIC)
        x, y = (round(rng.uniform(*span) * image_size / CANVAS) for span in frame)
        picture.paste((255, 255, 255), (x, y), ink)  # as ink: overlapping frames do not blot each other out
    return Sample(f"{split}-{seed}-{index:07d}", picture, text, labels, hard_negative)
