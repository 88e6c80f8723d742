"""Worlds: sources of captioned pictures that are made, not collected, so that the truth about each is known.

A world is a pure function (split, seed, index, image_size) -> Sample. `WORLDS` is the table of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from PIL import Image


@dataclass(frozen=True)
class Sample:
    """One captioned picture. `labels` holds what the *caption states*, as indices into the world's attribute values.
    `contrast` is nearly the caption, and false of the picture: what a tower must learn to tell apart."""

    key: str
    image: Image.Image
    caption: str
    labels: dict[str, int] = field(default_factory=dict)
    contrast: str = ""


@dataclass(frozen=True)
class World:
    """`attributes` maps each head of the attribute classifier to its values; `sample` is called with (split, seed,
    index, image_size), split being train, test, or all (the contents of both, with what else belongs to train).
    `unsaid` are the heads that a caption may leave out of a picture that has them."""

    name: str
    version: int
    attributes: dict[str, tuple[str, ...]]
    sample: Callable[[str, int, int, int], Sample]
    unsaid: tuple[str, ...] = ()
