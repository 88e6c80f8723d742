"""FID, the distance between two Gaussians, with its spread and its limit for many pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ...config.registry import choice
from .base import SetMetric

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from torch import Tensor

SMALL = 512  # up to this many features the splits of FID take seconds
SPLITS = 100
FID_HALVES = "halves.fid"  # among a row's values: see fid_halves
EACH = 4  # FID's limit needs so many pictures for each feature
FITS = 25  # splits of its limit


@choice("metric", "fid")
class FID(SetMetric):
    """FID (Heusel et al. 2017), whose bias depends on the number of pictures, with `fid_std`, its standard deviation, for up to
    512 features. If there are at least four pictures for each feature, also `fid_infinity`, its limit for many pictures (Chong &
    Forsyth 2020), with its 95 % interval."""

    columns: ClassVar = {"fid": False}

    def prepare(self, real: Tensor) -> Gaussian:
        return Gaussian(real)

    def compare(self, real: Gaussian, made: Tensor) -> dict[str, Any]:
        found: dict[str, Any] = {"fid": real.distance(made)}
        count, width = made.shape
        if width <= SMALL and count >= 4:
            halves = split_differences(real.distance, made, SPLITS)
            found |= {"fid_std": halves.std(), FID_HALVES: halves}
        if count >= EACH * width:
            limit = found["fid_infinity"] = fid_infinity(real, made)
            if width <= SMALL:
                half = 1.96 * split_differences(lambda some: fid_infinity(real, some), made, FITS).std()
                found |= {"fid_infinity_low": limit - half, "fid_infinity_high": limit + half}
        return found


class Gaussian:
    """The normal distribution of a reference set's features, with all that every FID against this set needs."""

    def __init__(self, real: Tensor) -> None:
        import torch

        x = real.double()
        self.mean = x.mean(dim=0)
        values, vectors = torch.linalg.eigh(x.T.cov())
        self.root = vectors * values.clamp(min=0).sqrt()  # root root^T is the covariance
        self.spread = float(values.clamp(min=0).sum())

    def distance(self, made: Tensor) -> float:
        """FID: |m - m'|^2 + tr(C + C' - 2 (C C')^1/2). The last trace is the nuclear norm of X root / sqrt(M - 1), where X are
        the centred features. This is exact, never imaginary, and fast for small M. Negative rounding errors become 0."""
        import torch

        x = made.double()
        mean = x.mean(dim=0)
        x = (x - mean) / (len(x) - 1) ** 0.5
        product = x @ self.root
        if len(x) > x.shape[1]:
            shared = torch.linalg.eigvalsh(product.T @ product).clamp(min=0).sqrt().sum()
        else:
            shared = torch.linalg.svdvals(product).sum()
        return max(0.0, float((self.mean - mean).square().sum() + self.spread + x.square().sum() - 2 * shared))


def split_differences(statistic: Callable[[Tensor], float], made: Tensor, splits: int) -> np.ndarray:
    """Half the difference of a statistic between the two halves of the pictures, for random splits: [splits]. Its standard
    deviation is that of the statistic of all pictures. A bootstrap would repeat pictures, which raises FID and its spread: with
    64 features and 256 pictures near the real ones it doubled the spread. The splits are the same for every case, so
    differences between cases keep their pairs."""
    import numpy as np
    import torch

    draw, half, found = np.random.default_rng(20202), len(made) // 2, []
    for _ in range(splits):
        order = torch.from_numpy(draw.permutation(len(made)))
        found.append(0.5 * (statistic(made[order[:half]]) - statistic(made[order[half:]])))
    return np.array(found)


def fid_floor(real: Tensor, n: int, draws: int = 8) -> float:
    """What a perfect model would score with n pictures: the mean FID of n pictures drawn from the reference, with repetition,
    against the reference itself."""
    import numpy as np
    import torch

    reference, draw = Gaussian(real), np.random.default_rng(404)
    some = [real[torch.from_numpy(draw.integers(0, len(real), n))] for _ in range(draws)]
    return float(np.mean([reference.distance(x) for x in some]))


def fid_infinity(real: Gaussian, made: Tensor, points: int = 8) -> float:
    """FID at M = infinity: a line is fitted to the FIDs of growing subsets over 1 / M. It can be negative for small M. Near the
    number of features FID is no line in 1 / M, so M must be larger. The subsets are the first rows of one fixed shuffle."""
    import numpy as np
    import torch

    m = len(made)
    made = made[torch.from_numpy(np.random.default_rng(0).permutation(m))]
    counts = np.unique(np.linspace(m // 2, m, points).astype(int))
    distances = [real.distance(made[:n]) for n in counts]
    return float(np.polyfit(1 / counts, distances, 1)[1])
