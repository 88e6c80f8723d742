"""KID and CMMD: kernel distances between two sets of features. Their unbiased estimates do not have FID's bias."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ...config.registry import choice
from .base import SetMetric

if TYPE_CHECKING:
    from torch import Tensor

ROWS = 2048  # of a kernel's matrix that are computed at once: large sets must fit into the memory


@choice("metric", "kid")
class KID(SetMetric):
    """KID (Binkowski et al. 2018): the unbiased squared MMD with the kernel (x y / F + 1)^3, over all pairs instead of
    subsets."""

    columns: ClassVar = {"kid": False}

    def compare(self, real: Tensor, made: Tensor) -> dict[str, float]:
        import torch

        x, y = real.double(), made.double()

        def kernel(a: Tensor, b: Tensor) -> Tensor:
            return (a @ b.T / a.shape[1] + 1) ** 3

        def of_pairs(a: Tensor) -> Tensor:
            total = sum(kernel(some, a).sum() for some in a.split(ROWS))
            own = ((a.square().sum(dim=1) / a.shape[1] + 1) ** 3).sum()  # of pairs of a picture with itself
            return torch.as_tensor((total - own) / (len(a) * (len(a) - 1)))

        across = sum(kernel(some, y).sum() for some in x.split(ROWS)) / (len(x) * len(y))
        return {"kid": float(of_pairs(x) + of_pairs(y) - 2 * across)}


@choice("metric", "cmmd")
class CMMD(SetMetric):
    """CMMD (Jayasumana et al. 2024): 1000 times the squared MMD of the judging tower's unit embeddings, with the kernel
    exp(-|x - y|^2 / (2 10^2)). `cmmd` is the unbiased estimate, which may be negative. `cmmd_google` is what the authors' code
    computes: it counts each picture's distance to itself, so it is positive even for two sets of real pictures, and falls with
    the number of pictures."""

    columns: ClassVar = {"cmmd": False, "cmmd_google": False}
    embedded: ClassVar[bool] = True

    def compare(self, real: Tensor, made: Tensor) -> dict[str, float]:
        import torch

        x, y = (torch.nn.functional.normalize(a.double(), dim=1) for a in (real, made))

        def total(a: Tensor, b: Tensor) -> float:
            return sum(float(torch.exp(-torch.cdist(some, b).square() / 200).sum()) for some in a.split(ROWS))

        def of_pairs(a: Tensor) -> float:
            return (total(a, a) - len(a)) / (len(a) * (len(a) - 1))  # a picture's kernel with itself is 1

        across = total(x, y) / (len(x) * len(y))
        return {
            "cmmd": 1000 * (of_pairs(x) + of_pairs(y) - 2 * across),
            "cmmd_google": 1000 * (total(x, x) / len(x) ** 2 + total(y, y) / len(y) ** 2 - 2 * across),
        }
