"""Means of pictures that are no independent sample: captions of one content form a cluster, and the clusters are independent."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

DRAWS = 1000


def contents_of(captions: Sequence[str], labels: Mapping[str, Tensor], unsaid: Sequence[str] = ()) -> Tensor:
    """The number of each caption's content, int64 [N]: captions whose labels are equal ask for one content, in other words. The
    labels `unsaid` do not count. Without labels, equal captions are one content."""
    import torch

    heads = [column.tolist() for name, column in labels.items() if name not in unsaid]
    known: dict[Hashable, int] = {}
    contents: Sequence[Hashable] = list(zip(*heads, strict=True)) if heads else list(captions)
    return torch.tensor([known.setdefault(content, len(known)) for content in contents], dtype=torch.int64)


def sums(values: np.ndarray, clusters: np.ndarray | None) -> np.ndarray:
    """The sums over each cluster: values [..., N] -> [..., G]. None: each value is a cluster of its own."""
    if clusters is None:
        return values
    _, numbers = np.unique(clusters, return_inverse=True)
    rows = values.reshape(-1, values.shape[-1])
    found = np.stack([np.bincount(numbers, weights=row) for row in rows])
    return found.reshape(*values.shape[:-1], -1)


def covariance(table: np.ndarray, clusters: np.ndarray | None = None) -> np.ndarray:
    """The covariance [K, K] of the means of a table [K, N], from the sums over its G clusters (the sandwich estimate, with the
    correction G / (G - 1)). Without clusters it is np.cov(table) / N."""
    grouped = sums(table - table.mean(axis=-1, keepdims=True), clusters)
    groups = grouped.shape[-1]
    return grouped @ grouped.T * (groups / (groups - 1) / table.shape[-1] ** 2)  # type: ignore[no-any-return]


def resamples(n: int, draws: int = DRAWS) -> np.ndarray:
    """The rows [draws, n] of a bootstrap. They are always the same, so two cases are resampled in pairs."""
    return np.random.default_rng(20201).integers(0, n, (draws, n))


def interval(values: np.ndarray, clusters: np.ndarray | None = None, draws: int = DRAWS) -> tuple[float, float]:
    """The 95 % bootstrap interval of the mean of values [n], without nan values. Whole clusters are drawn."""
    totals, counts = sums(np.nan_to_num(values), clusters), sums((~np.isnan(values)).astype(float), clusters)
    drawn = resamples(len(totals), draws)
    count = counts[drawn].sum(axis=1)
    means = totals[drawn].sum(axis=1) / np.where(count > 0, count, np.nan)
    low, high = np.nanpercentile(means, [2.5, 97.5]) if np.isfinite(means).any() else (np.nan, np.nan)
    return float(low), float(high)
