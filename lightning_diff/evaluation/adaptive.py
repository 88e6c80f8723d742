"""Confidence intervals and adaptive allocation. The bootstrap over pictures is paired, so that compared cases use the same
prompts. Adaptive allocation draws more pictures where the comparison is uncertain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

DRAWS = 1000


def resamples(n: int, draws: int = DRAWS) -> np.ndarray:
    """The rows [draws, n] of a bootstrap. They are always the same, so two cases are resampled in pairs."""
    return np.random.default_rng(20201).integers(0, n, (draws, n))


def interval(values: np.ndarray, draws: int = DRAWS) -> tuple[float, float]:
    """The 95 % bootstrap interval of the mean of values [n], without nan values."""
    drawn = values[resamples(len(values), draws)]
    with np.errstate(invalid="ignore"):
        count = (~np.isnan(drawn)).sum(axis=1)
        means = np.nansum(drawn, axis=1) / np.where(count > 0, count, np.nan)
    low, high = np.nanpercentile(means, [2.5, 97.5]) if np.isfinite(means).any() else (np.nan, np.nan)
    return float(low), float(high)


def compared(values: Mapping[str, np.ndarray], draws: int = DRAWS) -> dict[str, tuple[float, float]]:
    """{case: 95 % interval of its mean minus the mean of the best case}, resampled in pairs over the prompts that both have. If
    the interval reaches 0, these pictures show no difference between the two."""
    best = leader(values)
    return {case: interval(_minus(v, values[best]), draws) for case, v in values.items()}


def leader(values: Mapping[str, np.ndarray]) -> str:
    """The best case: its largest mean deficit to another case, over the prompts that the two share, is the smallest. If all
    cases have the same prompts, this is the case with the highest mean. Of equal cases it is the first."""

    def worst(case: str) -> float:
        differences = [_minus(values[case], v) for v in values.values()]
        return min((float(np.nanmean(d)) for d in differences if np.isfinite(d).any()), default=-np.inf)

    return max(values, key=worst)


def _minus(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    n = min(len(a), len(b))
    return a[:n] - b[:n]


def allocate(
    cases: Sequence[str],
    first: int,
    most: int,
    extra: int,
    chunk: int,
    look: Callable[[dict[str, int]], dict[str, np.ndarray]],
) -> dict[str, int]:
    """Adaptive allocation: spend `extra` pictures where the curve is uncertain. All cases start with `first` pictures. In each
    round, the best case and the cases that do not differ from it get `chunk` more. It ends when all differ, when `extra` is
    spent, or when `most` prompts are reached. `look` draws the missing pictures of {case: count} and returns each picture's
    values. Returns the final {case: count}."""
    counts = dict.fromkeys(cases, first)
    while True:
        values = look(counts)
        level = [case for case, (_, high) in compared(values).items() if high >= 0]
        target = min(counts[case] for case in level) + chunk
        wanted = {case: target for case in level if counts[case] < target}
        cost = sum(n - counts[case] for case, n in wanted.items())
        if len(level) < 2 or target > most or cost > extra:
            return counts
        extra -= cost
        counts.update(wanted)
