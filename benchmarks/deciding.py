"""Pictures until a sweep is decided, beside a fixed number with the same error: python benchmarks/deciding.py

The scores of seven scales are made: the means of the study in experiments/guidance (CLIP score, with the best scale raised by
0, 0.5 and 1), and differences between pictures of one prompt that grow with the distance between two scales, as in its intervals.
A fixed sweep has so many pictures of each scale that it knows the best scale as often as evaluation.until=decided does; both err
in at most 5 % of the sweeps. Writes benchmarks/results/deciding.json, or --json FILE; --quick makes fewer sweeps.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from lightning_diff.evaluation.statistics.adaptive import allocate, compared, growing_looks

RESULTS = Path(__file__).parent / "results"
SCALES = ("1", "1.5", "2", "3", "4", "6", "8")
MEANS = np.array([87.95, 89.68, 90.14, 90.03, 89.46, 88.15, 86.74])  # experiments/guidance/README.md
BEST = SCALES.index("2")
STEP = 2.5  # the standard deviation of the difference between neighbours; of w = 1 and 3 it is 4.3
CAPTIONS, FIRST, ROWS = 2048, 32, 32
FIXED = sorted({32, *(int(round(32 * 2 ** (k / 4) / 8) * 8) for k in range(1, 25))})


def made(lead: float, draw: np.random.Generator) -> dict[str, np.ndarray]:
    """Each picture's score by scale. The best scale, w = 2, is `lead` better than in the study."""
    walk = STEP * draw.normal(size=(len(SCALES), CAPTIONS)).cumsum(axis=0)
    means = MEANS + lead * np.eye(len(SCALES))[BEST]
    return {name: row + mean for name, row, mean in zip(SCALES, walk, means, strict=True)}


def verdict(values: dict[str, np.ndarray], looks: list[int]) -> tuple[bool, bool]:
    """Whether the best scale is known, and whether it is the wrong one or a scale is wrongly called worse."""
    best, found = compared(values, looks)
    known = all(case == best or found[case][2] < 0 for case in values)
    return known, found[SCALES[BEST]][2] < 0


def sequential(sweeps: int, lead: float) -> tuple[float, float, float]:
    """Of evaluation.until=decided: the share of sweeps that know the best scale, that err, and the mean number of pictures."""
    known, wrong, pictures, looks = 0, 0, 0, growing_looks(FIRST, CAPTIONS, ROWS)
    for seed in range(sweeps):
        every = made(lead, np.random.default_rng(seed))

        def look(counts: dict[str, int], every: dict[str, np.ndarray] = every) -> dict[str, np.ndarray]:
            return {name: every[name][:n] for name, n in counts.items()}

        counts = allocate(SCALES, looks, None, look, until_decided=True)
        k, w = verdict(look(counts), looks)
        known, wrong, pictures = known + k, wrong + w, pictures + sum(counts.values())
    return known / sweeps, wrong / sweeps, pictures / sweeps


def fixed(sweeps: int, lead: float, n: int) -> tuple[float, float]:
    """Of n pictures of each scale: the share of sweeps that know the best scale, and that err."""
    found = []
    for seed in range(sweeps):
        every = made(lead, np.random.default_rng(seed))
        found.append(verdict({name: v[:n] for name, v in every.items()}, []))
    known, wrong = np.mean(found, axis=0)
    return float(known), float(wrong)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--sweeps", type=int, default=200)
    parser.add_argument("--json", type=Path, default=RESULTS / "deciding.json")
    arguments = parser.parse_args()
    sweeps, rows = 20 if arguments.quick else arguments.sweeps, []
    for lead in (0.0, 0.5, 1.0, 2.0):
        known, wrong, pictures = sequential(sweeps, lead)
        n, (share, mistakes) = next(
            ((n, f) for n in FIXED if (f := fixed(sweeps, lead, n))[0] >= known),
            (CAPTIONS, fixed(sweeps, lead, CAPTIONS)),
        )
        gap = lead + MEANS[BEST] - MEANS[BEST + 1]
        print(f"best scale ahead by {gap:.2f}: until=decided {pictures:6.0f} pictures, known {known:.0%}, wrong {wrong:.1%}; "
              f"fixed {n} x {len(SCALES)} = {n * len(SCALES)}, known {share:.0%}, wrong {mistakes:.1%}; "
              f"{pictures / (n * len(SCALES)):.2f} of it", flush=True)  # fmt: skip
        rows.append({"case": f"the best scale is ahead by {gap:.2f}", "unit": "pictures", "here": pictures,
                     "peer": n * len(SCALES), "peer_name": "a fixed number", "ratio": n * len(SCALES) / pictures,
                     "known": [known, share], "wrong": [wrong, mistakes]})  # fmt: skip
    if not arguments.quick:
        passport = {"numpy": np.__version__, "sweeps": sweeps, "captions": CAPTIONS, "first": FIRST, "step": STEP}
        arguments.json.write_text(json.dumps({"passport": passport, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
