"""Numbers of a set: the sizes of its pictures, the lengths of its captions, exact duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...strings import counted
from ..index import Index, ShardReader
from ..survey import Survey

MARKS = (0, 5, 50, 95, 100)  # percentiles


def statistics(splits: Sequence[Index]) -> dict[str, Any]:
    """Percentiles (MARKS) of widths and heights in pixels, and of the captions' lengths in words; the numbers of samples, of
    captions, and of pictures and captions that are the same as an earlier one."""
    facts = Survey.joined([index.facts for index in splits])
    sizes = facts.sizes[facts.sizes[:, 0] > 0]
    readers = [ShardReader(index) for index in splits]
    words = [len(one.split()) for reader in readers for i in range(len(reader.index)) for one in reader.captions(i)]
    return {
        "samples": len(facts.keys),
        "captions": int(facts.counts.sum()),
        "width": _percentiles(sizes[:, 0]),
        "height": _percentiles(sizes[:, 1]),
        "words": _percentiles(np.asarray(words)),
        "equal_pictures": _repeated(facts.pictures),
        "equal_captions": _repeated(facts.captions),
    }


def lines_of(found: dict[str, Any]) -> list[str]:
    """The numbers as lines to print."""
    said = []
    for name, what in (("width", "widths (px)"), ("height", "heights (px)"), ("words", "words of a caption")):
        if found[name]:
            low, few, half, most, high = found[name]
            said.append(
                f"{what}: {low:,} to {high:,}, half of them at most {half:,}, nine in ten from {few:,} to {most:,}"
            )
    for name, what in (("equal_pictures", "picture"), ("equal_captions", "caption")):
        if found[name]:
            are = "is" if found[name] == 1 else "are"
            said.append(f"{counted(found[name], what)} {are} the same as another one")
    return said


def _percentiles(values: np.ndarray) -> list[int]:
    return [int(v) for v in np.percentile(values, MARKS, method="nearest")] if len(values) else []


def _repeated(digests: np.ndarray) -> int:
    """How many rows, uint8 [N, 16], are the same as an earlier one."""
    return len(digests) - len(np.unique(np.ascontiguousarray(digests).view("S16"))) if len(digests) else 0
