"""Precision, recall, density, coverage and diversity: do the pictures look real, and do they cover the real ones?"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ...config.registry import choice
from .base import SetMetric

if TYPE_CHECKING:
    from torch import Tensor

NEIGHBOURS = 3  # of precision and recall (Kynkaanniemi et al. 2019)
WIDE = 5  # of density and coverage (Naeem et al. 2020)
ROWS = 2048  # of a matrix of distances that are computed at once: large sets must fit into the memory


@choice("metric", "precision_recall")
class PrecisionRecall(SetMetric):
    """Precision and recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020). A picture is near a set if, for
    some picture of the set, it is not farther away than that picture's k-th nearest neighbour in the set."""

    columns: ClassVar = {"precision": True, "recall": True, "density": True, "coverage": True}

    def compare(self, real: Tensor, made: Tensor) -> dict[str, float]:
        import torch

        x, y = real.double(), made.double()

        def radii(a: Tensor, k: int) -> Tensor:
            near = min(k + 1, len(a))  # the nearest one is the picture itself
            return torch.cat([torch.cdist(some, a).kthvalue(near, dim=1).values for some in a.split(ROWS)])

        narrow, wide = radii(x, NEIGHBOURS)[:, None], radii(x, WIDE)[:, None]
        precise, dense, recalled, nearest = (
            [],
            [],
            torch.zeros(len(x), dtype=torch.bool),
            torch.full((len(x),), torch.inf),
        )
        for some, radius in zip(y.split(ROWS), radii(y, NEIGHBOURS).split(ROWS), strict=True):
            across = torch.cdist(x, some)
            precise.append((across <= narrow).any(dim=0))
            dense.append((across <= wide).double().sum(dim=0))
            recalled |= (across <= radius[None]).any(dim=1)
            nearest = torch.minimum(nearest, across.min(dim=1).values)
        return {
            "precision": float(torch.cat(precise).double().mean()),
            "recall": float(recalled.double().mean()),
            "density": float(torch.cat(dense).mean() / WIDE),
            "coverage": float((nearest <= wide[:, 0]).double().mean()),
        }


@choice("metric", "diversity")
class Diversity(SetMetric):
    """The mean of 1 - cos over all pairs of drawn pictures, with the judging tower's embeddings. It needs no real pictures."""

    columns: ClassVar = {"diversity": True}
    embedded: ClassVar[bool] = True

    def compare(self, real: Tensor, made: Tensor) -> dict[str, float]:
        import torch

        unit = torch.nn.functional.normalize(made.double(), dim=1)
        n = len(unit)
        return {"diversity": float(1 - (unit.sum(dim=0).square().sum() - n) / (n * (n - 1)))}
