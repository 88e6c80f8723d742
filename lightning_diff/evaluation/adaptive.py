"""How sure a number is: bootstrap over pictures, paired across cases, so that what is compared saw the same prompts; and
where more pictures would make it surer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

DRAWS = 1000


def resamples(n: int, draws: int = DRAWS) -> np.ndarray:
    """[draws, n] rows of a bootstrap, always the same ones: two cases are resampled alike (paired)."""
    return np.random.default_rng(20201).integers(0, n, (draws, n))


def interval(values: np.ndarray, draws: int = DRAWS) -> tuple[float, float]:
    """The middle 95 % of the mean of values [n], where nan does not count."""
    drawn = values[resamples(len(values), draws)]
    with np.errstate(invalid="ignore"):
        count = (~np.isnan(drawn)).sum(axis=1)
        means = np.nansum(drawn, axis=1) / np.where(count > 0, count, np.nan)
    low, high = np.nanpercentile(means, [2.5, 97.5]) if np.isfinite(means).any() else (np.nan, np.nan)
    return float(low), float(high)


def compared(values: Mapping[str, np.ndarray], draws: int = DRAWS) -> dict[str, tuple[float, float]]:
    """{case: 95 % interval of its mean minus that of the best case}, resampled in pairs over the prompts that both have
    seen. Where the interval reaches 0, there is no difference between the two that these pictures show."""
    best = leader(values)
    return {case: interval(_minus(v, values[best]), draws) for case, v in values.items()}


def leader(values: Mapping[str, np.ndarray]) -> str:
    """The case that is least behind any other on the prompts that the two share: with equal prompts the one of the
    highest mean; the first of equal ones."""

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
    """Adaptive allocation: spend `extra` pictures where the curve is uncertain. All cases have `first`; in each round those
    that cannot be told from the best, and it, get `chunk` more, until all is told apart, spent, or `most` prompts are
    reached. `look` draws what is missing of {case: how many} and returns each picture's values. Returns how many each
    case has got."""
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
