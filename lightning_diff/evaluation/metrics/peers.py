"""torchmetrics' FID and KID as metrics. They replace ours and use the features that are already extracted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from ...config.fields import at_least
from ...config.registry import choice
from .base import SetMetric

if TYPE_CHECKING:
    import torch
    import torchmetrics


@choice("metric", "torchmetrics_fid")
class TorchmetricsFID(SetMetric):
    """torchmetrics' FrechetInceptionDistance."""

    columns: ClassVar = {"fid": False}

    def build(self, width: int = 0, keep_real: bool = False, sync: bool = True) -> torchmetrics.Metric:
        from torchmetrics.image.fid import FrechetInceptionDistance

        return FrechetInceptionDistance(_given(width), reset_real_features=not keep_real, sync_on_compute=sync)

    def row(self, metric: torchmetrics.Metric) -> dict[str, float]:
        return {"fid": max(0.0, float(metric.compute()))}


@choice("metric", "torchmetrics_kid")
class TorchmetricsKID(SetMetric):
    """torchmetrics' KernelInceptionDistance: mean and standard deviation over `subsets` random subsets of `subset_size`
    pictures."""

    columns: ClassVar = {"kid": False, "kid_std": False}

    subsets: int = at_least(100, 1)
    subset_size: int = at_least(64, 2)

    def conflicts(self, evaluation: Any) -> Iterator[str]:
        if self.subset_size > evaluation.samples:
            yield (
                f"evaluation.metrics: torchmetrics_kid draws subsets of subset_size={self.subset_size} pictures, more than "
                f"evaluation.samples={evaluation.samples}"
            )

    def build(self, width: int = 0, keep_real: bool = False, sync: bool = True) -> torchmetrics.Metric:
        from torchmetrics.image.kid import KernelInceptionDistance

        return KernelInceptionDistance(
            _given(width),
            subsets=self.subsets,
            subset_size=self.subset_size,
            reset_real_features=not keep_real,
            sync_on_compute=sync,
        )

    def row(self, metric: torchmetrics.Metric) -> dict[str, float]:
        """The computed values by column. A fixed seed makes the subsets the same each time."""
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            mean, std = metric.compute()
        return {"kid": float(mean), "kid_std": float(std)}


def _given(width: int) -> torch.nn.Module:
    """An identity that takes the place of torchmetrics' feature net, because the features exist already."""
    import torch

    net = torch.nn.Identity()
    net.num_features = width  # type: ignore[assignment]
    return net
