"""What all metrics share. A metric is a choice of evaluation.metrics: it holds the formula and the names of its columns, and
`build()` makes the torchmetrics.Metric that collects what the formula needs.

There are two kinds: statistics of sets of features (SetMetric), and means of a value of each picture (PictureMetric).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ...config.registry import Choice

if TYPE_CHECKING:
    import torchmetrics
    from torch import Tensor

    from ..states import PictureMeans, TwoSets

Seen = Mapping[str, "Tensor"]  # of each picture: features (of evaluation.features), embedding, clip_score, right.HEAD
Labels = Mapping[str, "Tensor"]  # of each caption, {head: int64 [N]}, -1 where it states nothing


@dataclass(frozen=True, kw_only=True)
class MetricChoice(Choice):
    """`columns` are those of the table that it always gives, with whether higher is better."""

    columns: ClassVar[Mapping[str, bool]] = {}

    @property
    def passport(self) -> dict[str, Any]:
        """Its keys, and the hash of its plugin if it came with one."""
        keys = {key: value for key, value in asdict(self).items() if key != "kind"}
        return keys | ({"plugin": self.plugin} if self.plugin else {})

    def build(self, width: int = 0, keep_real: bool = False, sync: bool = True) -> torchmetrics.Metric:
        """`width` is that of the features, for a metric that must know it beforehand. With `keep_real` the real pictures
        outlive a reset(). Without `sync` it computes of what this process has, and does not wait for other ranks."""
        raise NotImplementedError

    def refer(self, metric: torchmetrics.Metric, reference: Seen) -> None:
        """Give it the real pictures."""

    def feed(self, metric: torchmetrics.Metric, seen: Seen, labels: Labels, n: int) -> None:
        """Give it what was seen of a case: statistics of a set, whose bias depends on its size, take the first `n`."""
        raise NotImplementedError

    def row(self, metric: torchmetrics.Metric) -> dict[str, float]:
        """What it has computed, by column."""
        return {column: float(value) for column, value in metric.compute().items()}


@dataclass(frozen=True, kw_only=True)
class SetMetric(MetricChoice):
    """A number of two sets of features, real [M, F] and made [N, F]. Its torchmetrics.Metric is updated as torchmetrics' FID
    is: update(features, real=True), update(features, real=False)."""

    embedded: ClassVar[bool] = False  # of the judging tower's embedding, whatever evaluation.features is

    def prepare(self, real: Tensor) -> Any:
        """What every comparison with these real ones shares."""
        return real

    def compare(self, real: Any, made: Tensor) -> dict[str, float]:
        """The numbers by column, of the prepared real ones and the made ones; sums are of float64."""
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
    """Means over pictures, where nan does not count. Its torchmetrics.Metric is updated with the values of each picture by
    column: update(clip_score=[N])."""

    intervals: ClassVar[tuple[str, ...]] = ()  # columns that get the ends of their 95 % interval, *_low and *_high

    def values(self, seen: Seen, labels: Labels) -> dict[str, Tensor]:
        """Each picture's values by column, float64 [N]; none of what nothing was seen of."""
        raise NotImplementedError

    def build(self, width: int = 0, keep_real: bool = False, sync: bool = True) -> PictureMeans:
        from ..states import PictureMeans

        return PictureMeans(self.intervals, sync_on_compute=sync)

    def feed(self, metric: torchmetrics.Metric, seen: Seen, labels: Labels, n: int) -> None:
        metric.update(**self.values(seen, labels))
