"""The base classes of metrics. A metric is a choice of evaluation.metrics: it holds the formula and the names of its columns.
Its `build()` makes the torchmetrics.Metric that collects what the formula needs.

There are two kinds: statistics of sets of features (SetMetric), and means over the values of pictures (PictureMetric).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ...config.registry import Choice
from ...syntax import code_hash

if TYPE_CHECKING:
    import torchmetrics
    from torch import Tensor

    from ..states import PictureMeans, TwoSets

# Of each picture: features (of evaluation.features), embedding, clip_score, right.HEAD, named.
Seen = Mapping[str, "Tensor"]
Labels = Mapping[str, "Tensor"]  # of each caption, {head: int64 [N]}, -1 where it states nothing; and its cluster
CLUSTERS = "clusters"  # among labels, and among a row's values: the content of each caption


@dataclass(frozen=True, kw_only=True)
class MetricChoice(Choice):
    """A metric. `columns` are the table columns that it always gives, each with whether higher is better."""

    columns: ClassVar[Mapping[str, bool]] = {}

    @property
    def passport(self) -> dict[str, Any]:
        """Its keys, the hash of its code, and the hash of its plugin if it comes from one."""
        keys = {key: value for key, value in asdict(self).items() if key != "kind"}
        keys["code"] = code_hash(type(self), without=("conflicts", "passport", "columns"))
        return keys | ({"plugin": self.plugin} if self.plugin else {})

    def build(self, width: int = 0, keep_real: bool = False, sync: bool = True) -> torchmetrics.Metric:
        """The torchmetrics.Metric. `width` is the number of features, for a metric that must know it in advance. With
        `keep_real`, reset() keeps the real pictures. Without `sync`, it uses only this process's data and does not wait for
        other ranks."""
        raise NotImplementedError

    def refer(self, metric: torchmetrics.Metric, reference: Seen) -> None:
        """Update the metric with the real pictures."""

    def feed(self, metric: torchmetrics.Metric, seen: Seen, labels: Labels, n: int) -> None:
        """Update the metric with a case's pictures. Statistics of a set take only the first `n`, because their bias depends on
        the size of the set."""
        raise NotImplementedError

    def row(self, metric: torchmetrics.Metric) -> dict[str, float]:
        """The computed values by column."""
        return {column: float(value) for column, value in metric.compute().items() if not getattr(value, "ndim", 0)}

    def replicates(self, metric: torchmetrics.Metric) -> dict[str, Any]:
        """What the metric computed besides its columns, as arrays by name: values of parts of the pictures, from which a
        difference between two cases gets its interval."""
        found = metric.compute()
        return {n: v.numpy() for n, v in found.items() if v.ndim} if isinstance(found, Mapping) else {}


@dataclass(frozen=True, kw_only=True)
class SetMetric(MetricChoice):
    """A statistic of two sets of features, real [M, F] and drawn [N, F]. Its torchmetrics.Metric is updated like torchmetrics'
    FID: update(features, real=True), update(features, real=False)."""

    embedded: ClassVar[bool] = False  # always use the judging tower's embedding

    def prepare(self, real: Tensor) -> Any:
        """What all comparisons with these real features share, computed once."""
        return real

    def compare(self, real: Any, made: Tensor) -> dict[str, Any]:
        """The values by column, from the prepared real features and the drawn ones. Sums are in float64. An array is no column,
        but one of the replicates."""
        raise NotImplementedError

    def build(self, width: int = 0, keep_real: bool = False, sync: bool = True) -> TwoSets | torchmetrics.Metric:
        from ..states import TwoSets

        return TwoSets(self, reset_real_features=not keep_real, sync_on_compute=sync)

    def _read(self, seen: Seen) -> Tensor:
        return seen["embedding"] if self.embedded or "features" not in seen else seen["features"]

    def refer(self, metric: torchmetrics.Metric, reference: Seen) -> None:
        metric.update(self._read(reference), real=True)

    def feed(self, metric: torchmetrics.Metric, seen: Seen, labels: Labels, n: int) -> None:
        metric.update(self._read(seen)[:n], real=False)


@dataclass(frozen=True, kw_only=True)
class PictureMetric(MetricChoice):
    """A mean over pictures, without nan values. Its torchmetrics.Metric is updated with each picture's values by column:
    update(clip_score=[N])."""

    intervals: ClassVar[tuple[str, ...]] = ()  # columns that get the ends of their 95 % interval, *_low and *_high

    def values(self, seen: Seen, labels: Labels) -> dict[str, Tensor]:
        """Each picture's values by column, float64 [N]. A column without data is left out."""
        raise NotImplementedError

    def build(self, width: int = 0, keep_real: bool = False, sync: bool = True) -> PictureMeans:
        from ..states import PictureMeans

        return PictureMeans(self.intervals, sync_on_compute=sync)

    def feed(self, metric: torchmetrics.Metric, seen: Seen, labels: Labels, n: int) -> None:
        metric.update(clusters=labels.get(CLUSTERS), **self.values(seen, labels))
