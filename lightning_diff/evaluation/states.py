"""The torchmetrics.Metric classes of our metrics. Their states are updated batch by batch and merged over the ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from .statistics.clusters import interval

if TYPE_CHECKING:
    from .metrics.base import SetMetric


class TwoSets(Metric):
    """Collects the features of real pictures [M, F] and of drawn pictures [N, F], in the order of the updates, rank after rank.
    `compute()` gives the metric's columns. With reset_real_features=False, reset() keeps the real features."""

    full_state_update = False
    real: list[Tensor]
    made: list[Tensor]

    def __init__(self, choice: SetMetric, reset_real_features: bool = True, **more: Any) -> None:
        super().__init__(**more)
        self.choice, self.reset_real_features = choice, reset_real_features
        self.add_state("real", [], dist_reduce_fx="cat")
        self.add_state("made", [], dist_reduce_fx="cat")
        self._prepared: tuple[int, Any] | None = None  # (number of real pictures, what `prepare` made)

    def update(self, features: Tensor, real: bool) -> None:
        (self.real if real else self.made).append(features)
        if real:
            self._prepared = None

    def compute(self) -> dict[str, Tensor]:
        real, made = (dim_zero_cat(some) if len(some) else torch.empty(0) for some in (self.real, self.made))
        if self._prepared is None or self._prepared[0] != len(real):
            self._prepared = len(real), self.choice.prepare(real)
        return _tensors(self.choice.compare(self._prepared[1], made))

    def reset(self) -> None:
        kept = None if self.reset_real_features else list(self.real)
        super().reset()
        if kept is None:
            self._prepared = None
        else:
            self.real = kept


class PictureMeans(Metric):
    """Collects values of each picture by column. `compute()` gives the mean of each column, without nan values. For the columns
    in `intervals` it also gives the ends of the 95 % interval. If the updates name the pictures' `clusters`, int64 [N], whole
    clusters are resampled."""

    full_state_update = False
    values: list[Tensor]
    clusters: list[Tensor]

    def __init__(self, intervals: Sequence[str] = (), **more: Any) -> None:
        super().__init__(**more)
        self.intervals = tuple(intervals)
        self.columns: tuple[str, ...] = ()
        self.add_state("values", [], dist_reduce_fx="cat")  # [N, columns], float64
        self.add_state("clusters", [], dist_reduce_fx="cat")  # [N], or nothing

    def update(self, clusters: Tensor | None = None, **values: Tensor) -> None:
        if values:
            if clusters is not None:
                self.clusters.append(clusters)
            self.columns = tuple(values)
            self.values.append(torch.stack([column.double() for column in values.values()], dim=1))

    def compute(self) -> dict[str, Tensor]:
        found: dict[str, float] = {}
        table = dim_zero_cat(self.values).cpu().numpy() if self.columns else np.empty((0, 0))
        groups = dim_zero_cat(self.clusters).cpu().numpy() if len(self.clusters) else None
        for i, name in enumerate(self.columns):
            each = np.ascontiguousarray(table[:, i])
            found[name] = float(np.nanmean(each)) if np.isfinite(each).any() else float("nan")
            if name in self.intervals:
                found[f"{name}_low"], found[f"{name}_high"] = interval(each, groups)
        return _tensors(found)


def _tensors(row: dict[str, Any]) -> dict[str, Tensor]:
    return {name: torch.as_tensor(value, dtype=torch.float64) for name, value in row.items()}
