"""What a user should know of a set: one table of counts for prepare, the doctor, the record and the report."""

from __future__ import annotations

from typing import Any

import numpy as np

from .sample import lost, told
from .sources.base import Prepared
from .survey import CUT, NOT_UTF8, Survey

CROPPED = 0.5  # a picture that loses more than this share to the crop is counted


def scaled(facts: Survey, image_size: int) -> np.ndarray:
    """float [N]: the training's size, over that of the picture's centre square; above 1 the picture is blown up. 1 if its
    size is not known."""
    side = facts.sizes.min(axis=1) if len(facts.sizes) else np.zeros(0)
    return np.where(side > 0, image_size / np.maximum(side, 1), 1.0)


def cropped(facts: Survey) -> np.ndarray:
    """float [N]: the share of the picture outside of its centre square."""
    if not len(facts.sizes):
        return np.zeros(0)
    return np.where(facts.sizes[:, 1] > 0, 1 - facts.sizes.min(axis=1) / np.maximum(facts.sizes.max(axis=1), 1), 0.0)


def remarks_of(facts: Survey, i: int) -> str:
    bits = int(facts.remarks[i])
    return ", ".join([*["last bytes missing"] * bool(bits & CUT), *["caption not UTF-8"] * bool(bits & NOT_UTF8)])


def summary(found: Prepared, image_size: int) -> dict[str, Any]:
    """The counts, by name. `left_out` counts by reason, all others are numbers of samples."""
    facts = Survey.joined([index.facts for index in found.splits.values()])
    reasons: dict[str, int] = {}
    for one in found.left:
        reasons[one.reason] = reasons.get(one.reason, 0) + one.count
    return {
        **{split: len(index) for split, index in found.splits.items()},
        "lost": lost(found.left),
        "left_out": reasons,
        "split": found.said,
        "several_captions": int((facts.counts > 1).sum()),
        "blown_up": int((scaled(facts, image_size) > 1).sum()),
        "cropped_by_half": int((cropped(facts) > CROPPED).sum()),
        "truncated": int((facts.remarks & CUT > 0).sum()),
        "not_utf8": int((facts.remarks & NOT_UTF8 > 0).sum()),
    }


def lines_of(found: Prepared, image_size: int) -> list[str]:
    """The counts as lines to print; what is 0 is not said."""
    counts = summary(found, image_size)
    said = [", ".join(f"{len(index):,} captioned pictures for {split}ing" for split, index in found.splits.items())]
    said += [found.said] if found.said else []
    if found.left:
        said.append(f"left out: {told(found.left)}")
    for name, words in (
        ("several_captions", "samples have several captions, which take turns"),
        ("blown_up", f"pictures are smaller than {image_size} px and are blown up"),
        ("cropped_by_half", "pictures lose more than half to the crop to a square"),
        ("truncated", "pictures lack their last bytes"),
        ("not_utf8", "captions are not all UTF-8; what is not became \ufffd"),
    ):
        said += [f"{counts[name]:,} {words}"] if counts[name] else []
    return said
