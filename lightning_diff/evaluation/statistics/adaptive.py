"""Confidence intervals and adaptive allocation. Cases are compared in pairs, on the prompts that both have. The intervals of
all comparisons hold together, so the best case may be chosen by the same pictures. Adaptive allocation draws more pictures
where the comparison is uncertain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

DRAWS = 1000
ERROR = 0.05  # the chance that at least one interval of a family misses


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


def critical(covariance: np.ndarray, degrees: int, looks: Sequence[int] = (1,), draws: int = 2000) -> float:
    """How many standard errors wide the intervals of all differences between K cases must be, so that all of them hold at once
    with 95 % (Tukey's range, for correlated cases): the quantile of the largest difference between K normal numbers with the
    `covariance` [K, K] of the cases' values. `degrees` of freedom estimate the standard errors. With several `looks`, numbers of
    pictures at which the cases are compared, the intervals of all looks hold together, so it is allowed to stop at any of them.
    """
    draw, cases = np.random.default_rng(20203), len(covariance)
    sizes, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(sizes.clip(min=0))
    grown = np.sqrt(np.diff([0, *looks]))[:, None, None] * (draw.normal(size=(len(looks), draws, cases)) @ root.T)
    z = grown.cumsum(axis=0) / np.sqrt(looks)[:, None, None]
    variance, most = np.diag(covariance), np.zeros(draws)
    for i in range(cases - 1):
        spread = np.sqrt((variance[i] + variance[i + 1 :] - 2 * covariance[i, i + 1 :]).clip(min=0))
        if (some := spread > 1e-9 * np.sqrt(variance.max())).any():
            apart = np.abs(z[..., i, None] - z[..., i + 1 :])[..., some] / spread[some]
            most = np.maximum(most, apart.max(axis=(0, 2)))
    return float(np.quantile(most / np.sqrt(draw.chisquare(degrees, draws) / degrees), 1 - ERROR))


def leader(values: Mapping[str, np.ndarray]) -> str:
    """The best case: its largest mean deficit to another case, over the prompts that the two share, is the smallest. If all
    cases have the same prompts, this is the case with the highest mean. Of equal cases it is the first."""

    def worst(case: str) -> float:
        differences = [_minus(values[case], v) for v in values.values()]
        return min((float(d.mean()) for d in differences if len(d)), default=-np.inf)

    return max(values, key=worst)


def compared(
    values: Mapping[str, np.ndarray], looks: Sequence[int] = ()
) -> tuple[str, dict[str, tuple[float, float, float]]]:
    """The leader; and for each case its mean minus the leader's over the prompts that both have, with the ends of an interval.
    All differences between any two cases lie in their intervals at once with 95 %, at all of the `looks`. If the interval
    reaches 0, these pictures show no difference between the two. The leader has 0, 0, 0."""
    best, shared = leader(values), min(map(len, values.values()))
    table = np.stack([v[:shared] for v in values.values()])
    table = table[:, np.isfinite(table).all(axis=0)]
    if table.shape[1] < 2:
        return best, {case: (0.0, 0.0, 0.0) if case == best else (np.nan,) * 3 for case in values}
    wide = critical(np.atleast_2d(np.cov(table)), table.shape[1] - 1, looks or (1,))
    found = {}
    for case, v in values.items():
        d = _minus(v, values[best])
        half = wide * float(d.std(ddof=1)) / len(d) ** 0.5
        found[case] = float(d.mean()), float(d.mean()) - half, float(d.mean()) + half
    return best, found


def compared_estimates(estimates: np.ndarray, halves: np.ndarray) -> list[tuple[float, float]]:
    """For each of K numbers, of which the smallest is the best: the interval of its distance to the best one. All differences
    hold at once with 95 %. halves [K, R]: half the difference of the number between the two halves of the pictures, for the
    same R random splits of the pictures in each case."""
    best, wide = int(estimates.argmin()), critical(np.atleast_2d(np.cov(halves)), halves.shape[1] - 1)
    half = wide * (halves - halves[best]).std(axis=1, ddof=1)
    return [(float(d - h), float(d + h)) for d, h in zip(estimates - estimates[best], half, strict=True)]


def _minus(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The differences over the prompts that both have, without nan values."""
    n = min(len(a), len(b))
    d = a[:n] - b[:n]
    return d[np.isfinite(d)]


def planned_looks(first: int, most: int, extra: int, chunk: int) -> list[int]:
    """The numbers of pictures at which `allocate` compares the cases, if it spends `extra` pictures on only two of them."""
    return [n for n in range(first, first + extra // 2 + 1, chunk) if n <= most]


def allocate(
    cases: Sequence[str],
    first: int,
    most: int,
    extra: int,
    chunk: int,
    look: Callable[[dict[str, int]], dict[str, np.ndarray]],
) -> dict[str, int]:
    """Adaptive allocation: spend `extra` pictures where the curve is uncertain. All cases start with `first` pictures. In each
    round, the best case and the cases that do not differ from it get `chunk` more; a case that differs gets none any more. It
    ends when all differ, when `extra` is spent, or when `most` prompts are reached. `look` draws the missing pictures of
    {case: count} and returns each picture's values. Returns the final {case: count}."""
    counts, level = dict.fromkeys(cases, first), list(cases)
    looks = planned_looks(first, most, extra, chunk)
    while True:
        values = look(counts)
        _, found = compared(values, looks)
        level = [case for case in level if not found[case][2] < 0]
        target, cost = max(counts.values()) + chunk, len(level) * chunk
        if len(level) < 2 or target > most or cost > extra:
            return counts
        extra -= cost
        counts.update(dict.fromkeys(level, target))
