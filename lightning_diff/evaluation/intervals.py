"""How sure a number is: bootstrap over pictures, paired across cases, so that what is compared saw the same prompts."""

from __future__ import annotations

from collections.abc import Mapping

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
    """{case: 95 % interval of its mean minus that of the best case}, resampled in pairs. Where the interval reaches 0,
    there is no difference between the two that these pictures show."""
    best = max(values, key=lambda case: float(np.nanmean(values[case])))
    return {case: interval(v - values[best], draws) for case, v in values.items()}
