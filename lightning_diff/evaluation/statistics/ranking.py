"""The distance of each row of a table to the best one, with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..metrics.base import CLUSTERS
from ..metrics.fid import FID_HALVES
from .adaptive import compared, compared_estimates
from .verdict import DECIDING

LOOKS = "looks"  # among a row's values: the numbers of pictures at which its sweep compared the cases


def deciding(values: Mapping[str, np.ndarray]) -> np.ndarray:
    """The values that rank the cases, of each picture."""
    return values[next(n for n in DECIDING if n in values and (n == DECIDING[-1] or np.isfinite(values[n]).any()))]


def against_the_best(rows: Sequence[dict[str, Any]], values: Sequence[Mapping[str, np.ndarray]]) -> None:
    """Mark the best row (`best`), and add to each row its distance to it with the ends of the interval: `behind`, `behind_low`,
    `behind_high`. Add `clip_score_behind`, its distance to the row with the highest CLIP score, and `fid_behind`, its distance
    to the row with the lowest FID, if all rows know how FID spreads. The intervals of a column hold together, with 95 %."""
    looks = sorted({int(n) for v in values for n in v.get(LOOKS, ())})
    known = [v[CLUSTERS] for v in values if CLUSTERS in v]
    clusters = max(known, key=len) if len(known) == len(values) else None  # older rows do not know theirs
    for name, each in (
        ("behind", [deciding(v) for v in values]),
        ("clip_score_behind", [v["clip_score"] for v in values]),
    ):
        best, found = compared({str(i): v for i, v in enumerate(each)}, looks, clusters)
        for i, row in enumerate(rows):
            row[name], row[f"{name}_low"], row[f"{name}_high"] = found[str(i)]
            if name == "behind":
                row["best"] = str(i) == best
    if all(FID_HALVES in v for v in values):
        fid = np.array([row["fid"] for row in rows])
        ends = compared_estimates(fid, np.stack([v[FID_HALVES] for v in values]))
        for row, (low, high) in zip(rows, ends, strict=True):
            row["fid_behind"], row["fid_behind_low"], row["fid_behind_high"] = row["fid"] - fid.min(), low, high
