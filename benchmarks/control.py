"""What a control variate would save a sweep: python benchmarks/control.py RUN [RUN ...]

A sweep compares two scales by the differences of their pictures' scores, prompt by prompt, from the same noise. What the same
noise gives at w = 1 could be a control variate: the share of the differences' variance that it explains is the share of pictures
that it would save at most, if its mean were known without drawing. The runs are those of experiments/guidance/study.py, or any
others with rows of cfg at w = 1; each row is compared with the one of the highest CLIP score. Shares are the mean over rows, and
the largest.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path[0] = str(Path(__file__).parent.parent)

from lightning_diff.evaluation.results import recorded, values_path  # noqa: E402
from lightning_diff.nets.weights import read_arrays  # noqa: E402
from lightning_diff.tracking.record import Record  # noqa: E402

SCORES = ("clip_score", "accuracy", "single_object_accuracy")


def explained(score: np.ndarray, other: np.ndarray) -> float:
    """The share of the variance of one score that is linear in another; nan if one of them does not vary."""
    known = np.isfinite(score) & np.isfinite(other)
    if not (score[known].std() and other[known].std()):
        return float("nan")
    return float(np.corrcoef(score[known], other[known])[0, 1] ** 2)


def main() -> None:
    for folder in map(Path, sys.argv[1:]):
        rows = {}
        for row, stored in recorded(Record(folder)):
            if row["guider"] == "cfg" and not row["ema"]:
                rows[float(row["scale"])] = read_arrays(values_path(folder, stored)), row["clip_score"]
        best = max((w for w in rows if w != 1), key=lambda w: rows[w][1])
        for name in SCORES:
            values = {w: found[name].double().numpy() for w, (found, _) in rows.items()}
            others = [w for w in values if w not in (1.0, best)]
            pairs = [explained(values[w] - values[best], values[1.0]) for w in others]
            alone = [explained(values[w], values[1.0]) for w in others]
            share = f"{np.nanmean(pairs):.1%} (at most {np.nanmax(pairs):.1%})"
            print(
                f"{folder.name} {name}: of differences from w = {best:g} {share}, of the scores {np.nanmean(alone):.0%}"
            )


if __name__ == "__main__":
    main()
