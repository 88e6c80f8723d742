"""Buckets: shapes of about the same area, and how a picture is cut to one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..decode import Decoded

Shape = tuple[int, int]  # width and height in pixels
KEY = 0xC407  # separates these random numbers from those of other uses of the seed
WIDEST = 2.0  # the ratio of the sides of the longest shapes
PARTS = 8  # a side is a multiple of the square's side divided by this


def shapes_of(size: int, count: int) -> list[Shape]:
    """At most `count` shapes from 1 : 2 to 2 : 1 with about size x size pixels; one of them is the square if `count` is odd."""
    step = max(1, size // PARTS)
    ratios = WIDEST ** np.linspace(-1, 1, count) if count > 1 else np.ones(1)
    sides = np.stack([size * np.sqrt(ratios), size / np.sqrt(ratios)], axis=1)
    rounded = (np.rint(sides / step) * step).astype(int).tolist() if count > 1 else [[size, size]]
    return list(dict.fromkeys((width, height) for width, height in rounded))


def nearest_shapes(sizes: np.ndarray, shapes: Sequence[Shape]) -> np.ndarray:
    """int64 [N]: for each picture of width and height `sizes` int [N, 2], the shape whose ratio of the sides is nearest to its
    own. A picture of unknown size (0) is taken for a square."""
    known = np.where(sizes > 0, sizes, 1).astype(np.float64)
    ratios = np.log(known[:, 0] / known[:, 1])
    wanted = np.log([width / height for width, height in shapes])
    order = np.argsort(wanted, kind="stable")
    between = (wanted[order][1:] + wanted[order][:-1]) / 2
    return order[np.searchsorted(between, ratios)]


@dataclass(frozen=True)
class Framing:
    """How pictures are cut in the training: to the nearest of `shapes`, around their centre or (`random`) at a place that follows
    from (seed, position), and (`flip`) every second one mirrored, by the same rule."""

    shapes: Sequence[Shape]
    random: bool = False
    flip: bool = False
    seed: int = 0

    def drawn(self, position: int) -> tuple[float, float, bool]:
        """(where the cut lies, from 0 at the left to 1 at the right and from the top to the bottom; whether it is mirrored)."""
        generator = np.random.Generator(np.random.Philox(key=[self.seed, KEY], counter=[0, 0, 0, position]))
        across, down, mirrored = generator.random(3).tolist()
        at = (across, down) if self.random else (0.5, 0.5)
        return *at, self.flip and mirrored < 0.5

    def cut(self, seen: Decoded, shape: Shape, position: int) -> Image.Image:
        """The picture in this shape: the largest part that has its ratio, resized (Lanczos, antialiased)."""
        across, down, mirrored = self.drawn(position)
        width, height = shape
        scale = min(seen.width / width, seen.height / height)
        left, top = (seen.width - scale * width) * across, (seen.height - scale * height) * down
        first, above, right, _ = seen.frame
        reduced = (right - first) / seen.width  # a JPEG may be decoded at a reduced scale
        box = [first + left * reduced, above + top * reduced]
        box += [box[0] + scale * width * reduced, box[1] + scale * height * reduced]
        most = (*seen.picture.size, *seen.picture.size)
        inside = tuple(min(max(side, 0), limit) for side, limit in zip(box, most, strict=True))
        cut = seen.picture.resize(shape, Image.Resampling.LANCZOS, box=inside)  # type: ignore[arg-type]
        return cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else cut
