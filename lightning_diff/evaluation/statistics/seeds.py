"""Several trainings that differ in their seed alone: the mean of each number, and how far it spreads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...data.shards import digest
from ..sweep import Row


def spread(seeds: Mapping[int, Sequence[Row]]) -> list[Row]:
    """For each case of trainings that differ in their seed alone, {seed: rows}: each number's mean and deviation over the seeds.
    A case that one seed has alone has no deviation."""
    cases: dict[str, dict[int, Row]] = {}
    for seed, rows in seeds.items():
        for row in rows:
            unseeded = {k: v for k, v in row["passport"].items() if k not in ("weights", "drawn", "until")}
            cases.setdefault(digest(unseeded), {}).setdefault(seed, row)
    found = []
    for many in (list(case.values()) for case in cases.values()):
        first = many[0]
        means: Row = {k: first[k] for k in ("guider", "sampler", "ema", "scale", "nfe", "n")} | {"trainings": len(many)}
        for key in first:
            if isinstance(first[key], float) and not key.endswith(("_low", "_high", "_std")) and key not in means:
                means[key] = float(np.mean([r[key] for r in many]))
                means[f"{key}_std"] = float(np.std([r[key] for r in many], ddof=1)) if len(many) > 1 else 0.0
        found.append(means)
    return found
