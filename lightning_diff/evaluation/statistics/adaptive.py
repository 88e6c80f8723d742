"""Simultaneous intervals and adaptive allocation. Cases are compared in pairs, on the prompts that both have. The intervals of
all comparisons hold together, so the best case may be chosen by the same pictures. Adaptive allocation draws more pictures
where the comparison is uncertain."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from .clusters import covariance

ERROR = 0.05  # the chance that at least one interval of a family misses
HOPE = 0.05  # with less chance to tell two cases apart in the end, no more pictures are drawn
GROWTH = 1.5  # from look to look, if a sweep goes on until it is decided

Look = Callable[[dict[str, int]], dict[str, np.ndarray]]


def critical(shape: np.ndarray, degrees: Sequence[int], looks: Sequence[int] = (1,), draws: int = 2000) -> list[float]:
    """How many standard errors wide the intervals of all differences between K cases must be, so that all of them hold at once
    with 95 % (Tukey's range, for correlated cases): the quantile of the largest difference between K normal numbers with the
    covariance `shape` [K, K] of the cases' means. There is one result for each number of `degrees` of freedom, which estimate the
    standard error. With several `looks`, numbers of pictures at which the cases are compared, the intervals of all looks hold
    together, so it is allowed to stop at any of them.
    """
    draw, cases = np.random.default_rng(20203), len(shape)
    sizes, vectors = np.linalg.eigh(shape)
    root = vectors * np.sqrt(sizes.clip(min=0))
    grown = np.sqrt(np.diff([0, *looks]))[:, None, None] * (draw.normal(size=(len(looks), draws, cases)) @ root.T)
    z = grown.cumsum(axis=0) / np.sqrt(looks)[:, None, None]
    variance, most = np.diag(shape), np.zeros(draws)
    for i in range(cases - 1):
        spread = np.sqrt((variance[i] + variance[i + 1 :] - 2 * shape[i, i + 1 :]).clip(min=0))
        if (some := spread > 1e-9 * np.sqrt(variance.max())).any():
            apart = np.abs(z[..., i, None] - z[..., i + 1 :])[..., some] / spread[some]
            most = np.maximum(most, apart.max(axis=(0, 2)))
    spreads = {d: np.sqrt(np.random.default_rng(20204).chisquare(d, draws) / d) for d in set(degrees)}
    quantiles = {d: float(np.quantile(most / spread, 1 - ERROR)) for d, spread in spreads.items()}
    return [quantiles[d] for d in degrees]


def leader(values: Mapping[str, np.ndarray]) -> str:
    """The best case: its largest mean deficit to another case, over the prompts that the two share, is the smallest. If all
    cases have the same prompts, this is the case with the highest mean. Of equal cases it is the first."""

    def worst(case: str) -> float:
        differences = [_minus(values[case], v)[0] for v in values.values()]
        return min((float(d.mean()) for d in differences if len(d)), default=-np.inf)

    return max(values, key=worst)


def compared(
    values: Mapping[str, np.ndarray], looks: Sequence[int] = (), clusters: np.ndarray | None = None
) -> tuple[str, dict[str, tuple[float, float, float]]]:
    """The leader; and for each case its mean minus the leader's over the prompts that both have, with the ends of an interval.
    All differences between any two cases lie in their intervals at once with 95 %, at all of the `looks`. If the interval
    reaches 0, these pictures show no difference between the two. The leader has 0, 0, 0. `clusters` are the prompts' contents:
    prompts of one content are not independent."""
    best, shared = leader(values), min(map(len, values.values()))
    table = np.stack([v[:shared] for v in values.values()])
    seen = np.isfinite(table).all(axis=0)
    table, groups = table[:, seen], None if clusters is None else clusters[:shared][seen]
    if _groups(table[0], groups) < 2:
        return best, {case: (0.0, 0.0, 0.0) if case == best else (np.nan,) * 3 for case in values}
    pairs = [_minus(v, values[best], clusters) for v in values.values()]
    wide = critical(covariance(table, groups), [_groups(*pair) - 1 for pair in pairs], looks or (1,))
    found = {}
    for case, (d, own), factor in zip(values, pairs, wide, strict=True):
        half = factor * float(covariance(d[None], own)[0, 0]) ** 0.5
        found[case] = float(d.mean()), float(d.mean()) - half, float(d.mean()) + half
    return best, found


def _groups(values: np.ndarray, clusters: np.ndarray | None) -> int:
    return len(values) if clusters is None else len(np.unique(clusters))


def compared_estimates(estimates: np.ndarray, halves: np.ndarray) -> list[tuple[float, float]]:
    """For each of K numbers, of which the smallest is the best: the interval of its distance to the best one. All differences
    hold at once with 95 %. halves [K, R]: half the difference of the number between the two halves of the pictures, for the
    same R random splits of the pictures in each case."""
    best, (wide,) = int(estimates.argmin()), critical(np.atleast_2d(np.cov(halves)), [halves.shape[1] - 1])
    half = wide * (halves - halves[best]).std(axis=1, ddof=1)
    return [(float(d - h), float(d + h)) for d, h in zip(estimates - estimates[best], half, strict=True)]


def _minus(a: np.ndarray, b: np.ndarray, clusters: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """The differences over the prompts that both have, without nan values, with the clusters of these prompts."""
    n = min(len(a), len(b))
    d = a[:n] - b[:n]
    seen = np.isfinite(d)
    return d[seen], None if clusters is None else clusters[:n][seen]


def planned_looks(first: int, most: int, extra: int, chunk: int) -> list[int]:
    """The numbers of pictures at which `allocate` compares the cases, if it spends `extra` pictures on only two of them."""
    return [first, *(n for n in range(first + chunk, first + extra // 2 + 1, chunk) if n <= most)]


def growing_looks(first: int, most: int, block: int) -> list[int]:
    """Numbers of pictures from `first` to `most`, each about GROWTH times the last. The steps are multiples of `block`, but the
    last one."""
    found = [first]
    while found[-1] < most:
        step = max(1, math.ceil(found[-1] * (GROWTH - 1) / block)) * block
        found.append(min(found[-1] + step, most))
    return found


def allocate(
    cases: Sequence[str],
    looks: Sequence[int],
    extra: int | None,
    look: Look,
    clusters: np.ndarray | None = None,
    until_decided: bool = False,
) -> dict[str, int]:
    """Adaptive allocation: spend `extra` pictures (None: without a limit) where the curve is uncertain. All cases start with
    looks[0] pictures. In each round, the best case and the cases that do not differ from it get as many as the next look says; a
    case that differs gets none any more. It ends when all differ, when `extra` is spent, or after the last look. `look` draws
    the missing pictures of {case: count} and returns each picture's values. Returns the final {case: count}.

    `until_decided`: a case that will hardly be told from the best one by the last look gets none any more either (see `hope`)."""
    counts, level = dict.fromkeys(cases, looks[0]), list(cases)
    for now, target in pairwise(looks):
        best, found = compared(look(counts), looks, clusters)
        level = [case for case in level if not found[case][2] < 0]
        if until_decided:
            level = [case for case in level if case == best or hope(found[case], now, looks[-1]) >= HOPE]
        level = level if best in level else [*level, best]
        cost = sum(target - counts[case] for case in level)
        if len(level) < 2 or (extra is not None and cost > extra):
            return counts
        extra = None if extra is None else extra - cost
        counts.update(dict.fromkeys(level, target))
    look(counts)  # the last round was paid for
    return counts


def hope(difference: tuple[float, float, float], now: int, last: int) -> float:
    """The chance that an interval of `last` pictures will not reach 0, if the `difference` of `now` pictures, with the ends of
    its interval, is all that is known. It is the predictive probability: the true difference has a flat prior. To stop by it
    makes no false claim likelier, because a sweep that stops says nothing of this pair."""
    mean, low, high = difference
    half = (high - low) / 2 * math.sqrt(now / last)  # then
    if not math.isfinite(mean) or half == 0:
        return 1.0
    spread = half / WIDE * math.sqrt(max(last / now - 1, 0.0))  # of the mean of `last` pictures, as known now
    if spread == 0:
        return float(abs(mean) > half)
    return _normal((-half - mean) / spread) + _normal((mean - half) / spread)


WIDE = 3.0  # standard errors in half an interval, about


def _normal(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))
