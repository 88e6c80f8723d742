"""KID and CMMD: kernel distances between two sets of features. They do not have FID's bias."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ...config.registry import choice
from .base import SetMetric

if TYPE_CHECKING:
    from torch import Tensor


@choice("metric", "kid")
class KID(SetMetric):
    """KID (Binkowski et al. 2018): the unbiased squared MMD with the kernel (x y / F + 1)^3, over all pairs instead of
    subsets."""

    columns: ClassVar = {"kid": False}

    def compare(self, real: Tensor, made: Tensor) -> dict[str, float]:
        x, y = real.double(), made.double()

        def kernel(a: Tensor, b: Tensor) -> Tensor:
            return (a @ b.T / a.shape[1] + 1) ** 3

        def of_pairs(k: Tensor) -> Tensor:
            return (k.sum() - k.trace()) / (len(k) * (len(k) - 1))

        return {"kid": float(of_pairs(kernel(x, x)) + of_pairs(kernel(y, y)) - 2 * kernel(x, y).mean())}


@choice("metric", "cmmd")
class CMMD(SetMetric):
    """CMMD (Jayasumana et al. 2024): 1000 times the squared MMD of the judging tower's unit embeddings, with the kernel
    exp(-|x - y|^2 / (2 10^2))."""

    columns: ClassVar = {"cmmd": False}
    embedded: ClassVar[bool] = True

    def compare(self, real: Tensor, made: Tensor) -> dict[str, float]:
        import torch

        x, y = (torch.nn.functional.normalize(a.double(), dim=1) for a in (real, made))

        def mean(a: Tensor, b: Tensor) -> Tensor:
            return torch.exp(-torch.cdist(a, b).square() / 200).mean()

        return {"cmmd": 1000 * float(mean(x, x) + mean(y, y) - 2 * mean(x, y))}
