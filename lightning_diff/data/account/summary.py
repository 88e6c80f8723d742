"""What a user should know of a set: one table of counts for prepare, the doctor, the record and the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...strings import counted
from ..incoming.captions import COMMANDS, NOT_UTF8
from ..ordering.buckets import nearest_shapes
from ..sample import lost, reason_words, told
from ..sources.base import Prepared, Source
from ..survey import CUT, Survey

REMARKS = {CUT: "last bytes missing", NOT_UTF8: "caption not UTF-8", COMMANDS: "control characters in caption"}
CROPPED = 0.25  # a picture that loses more than this share to the crop is counted


def scaled(sizes: np.ndarray, source: Source) -> np.ndarray:
    """float [N] of widths and heights int [N, 2]: the training's size, over that of the picture's centre square, or of the whole
    picture if it is padded; above 1 the picture is blown up. 1 if its size is not known."""
    kept = np.max if source.fit == "pad" else np.min
    side = kept(sizes, axis=1) if len(sizes) else np.zeros(0)
    return np.where(side > 0, source.image_size / np.maximum(side, 1), 1.0)


def cropped(sizes: np.ndarray, source: Source) -> np.ndarray:
    """float [N] of widths and heights int [N, 2]: the share of the picture outside of its centre square, or of its part
    that has the nearest shape (data.buckets); 0 if it is padded."""
    if not len(sizes) or source.fit == "pad":
        return np.zeros(len(sizes))
    if (framing := source.framing(0)) and len(framing.shapes) > 1:
        of = np.asarray([w / h for w, h in framing.shapes])[nearest_shapes(sizes, framing.shapes)]
        ratios = np.where(sizes.min(axis=1) > 0, sizes[:, 0] / np.maximum(sizes[:, 1], 1), of) / of
        return 1 - np.minimum(ratios, 1 / np.maximum(ratios, 1e-9))
    return np.where(sizes[:, 1] > 0, 1 - sizes.min(axis=1) / np.maximum(sizes.max(axis=1), 1), 0.0)


def remarks_of(facts: Survey, i: int) -> str:
    bits = int(facts.remarks[i])
    return ", ".join(words for bit, words in REMARKS.items() if bits & bit)


def summary(found: Prepared, source: Source) -> dict[str, Any]:
    """The counts, by name. `left_out` counts by reason, `fit` and `split` are words, all others are numbers of samples."""
    reasons: dict[str, int] = {}
    for one in found.left:
        reasons[one.reason] = reasons.get(one.reason, 0) + one.count
    counts: dict[str, Any] = {
        **{split: len(index) for split, index in found.splits.items()},
        "lost": lost(found.left),
        "left_out": reasons,
        "split": found.said,
        "several_captions": 0,
        "blown_up": 0,
        "fit": source.fit,
        "cropped": 0,
        "truncated": 0,
        "not_utf8": 0,
        "control_characters": 0,
    }
    for part in (part for index in found.splits.values() for part in index.parts()):
        sizes, remarks = part["sizes"], part["remarks"]
        counts["several_captions"] += int((part["counts"] > 1).sum())
        counts["blown_up"] += int((scaled(sizes, source) > 1).sum())
        counts["cropped"] += int((cropped(sizes, source) > CROPPED).sum())
        counts["truncated"] += int((remarks & CUT > 0).sum())
        counts["not_utf8"] += int((remarks & NOT_UTF8 > 0).sum())
        counts["control_characters"] += int((remarks & COMMANDS > 0).sum())
    return counts


COUNTED = {  # count -> what is said of one sample, and of several
    "several_captions": (
        "sample has several captions, which take turns",
        "samples have several captions, which take turns",
    ),
    "blown_up": (
        "picture is smaller than the training's and is blown up",
        "pictures are smaller than the training's and are blown up",
    ),
    "cropped": (
        "picture loses more than a quarter of its pixels to the crop; data.fit=pad keeps it whole",
        "pictures lose more than a quarter of their pixels to the crop; data.fit=pad keeps them whole",
    ),
    "truncated": ("picture lacks its last bytes", "pictures lack their last bytes"),
    "not_utf8": (
        "caption is not all UTF-8; what is not became \ufffd",
        "captions are not all UTF-8; what is not became \ufffd",
    ),
    "control_characters": (
        "caption has control characters, which became \ufffd",
        "captions have control characters, which became \ufffd",
    ),
}


def _remarks(counts: Mapping[str, Any]) -> list[str]:
    """A line for each count that is not 0; an older record may lack some."""
    return [f"{counts[name]:,} {words[counts[name] != 1]}" for name, words in COUNTED.items() if counts.get(name)]


def lines_of(found: Prepared, source: Source) -> list[str]:
    """The counts as lines to print; what is 0 is not said."""
    counts = summary(found, source)
    said = [
        ", ".join(f"{counted(len(index), 'captioned picture')} for {split}ing" for split, index in found.splits.items())
    ]
    said += [found.said] if found.said else []
    if found.left:
        said.append(f"left out: {told(found.left)}")
    return said + _remarks(counts)


def data_facts(counts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The counts of a record as (name, value) for the report."""
    facts = [("training pictures", f"{counts['train']:,}"), ("held-out pictures", f"{counts.get('test', 0):,}")]
    left = ", ".join(reason_words(reason, count) for reason, count in counts["left_out"].items())
    more = _remarks(counts)
    more += ["pictures are padded to squares"] * (counts.get("fit") == "pad")
    facts += [("left out", left)] if left else []
    return facts + [("to know", "; ".join(filter(None, [*more, counts["split"], counts["captions_cut"]])))] * bool(
        more or counts["split"] or counts["captions_cut"]
    )
