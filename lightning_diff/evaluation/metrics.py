"""Distances between two sets of features, real [N, F] and made [M, F]; sums in float64.

Each says how far the made pictures are from the real ones in a way of its own: FID compares two Gaussians and is biased
in M; KID and CMMD are kernel distances without that bias; precision asks whether made pictures look real, recall
whether what is real is made; diversity needs no real ones.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

NEIGHBOURS = 3  # of precision and recall (Kynkaanniemi et al. 2019)
WIDE = 5  # of density and coverage (Naeem et al. 2020)


class Gaussian:
    """The normal distribution of the features of a reference set, with what every FID against it shares."""

    def __init__(self, real: Tensor) -> None:
        x = real.double()
        self.mean = x.mean(dim=0)
        values, vectors = torch.linalg.eigh(x.T.cov())
        self.root = vectors * values.clamp(min=0).sqrt()  # root root^T is the covariance
        self.spread = float(values.clamp(min=0).sum())

    def distance(self, made: Tensor) -> float:
        """FID (Heusel et al. 2017): |m - m'|^2 + tr(C + C' - 2 (C C')^1/2). The last trace is the nuclear norm of
        X root / sqrt(M - 1), X the centred features: exact, never imaginary, and fast where M is small."""
        x = made.double()
        mean = x.mean(dim=0)
        x = (x - mean) / (len(x) - 1) ** 0.5
        product = x @ self.root
        if len(x) > x.shape[1]:
            shared = torch.linalg.eigvalsh(product.T @ product).clamp(min=0).sqrt().sum()
        else:
            shared = torch.linalg.svdvals(product).sum()
        return max(0.0, float((self.mean - mean).square().sum() + self.spread + x.square().sum() - 2 * shared))


def frechet_distance(real: Tensor, made: Tensor) -> float:
    """FID between two sets; negative rounding errors are clamped to 0."""
    return Gaussian(real).distance(made)


def fid_infinity(real: Gaussian, made: Tensor, points: int = 8) -> float:
    """FID at M = infinity (Chong & Forsyth 2020): a line through the FIDs of growing subsets over 1 / M. May be negative
    where M is small. The subsets are the first rows of one fixed shuffle."""
    m = len(made)
    made = made[torch.from_numpy(np.random.default_rng(0).permutation(m))]
    counts = np.unique(np.linspace(m // 2, m, points).astype(int))
    distances = [real.distance(made[:n]) for n in counts]
    return float(np.polyfit(1 / counts, distances, 1)[1])


def kernel_distance(real: Tensor, made: Tensor) -> float:
    """KID (Binkowski et al. 2018): the unbiased squared MMD under (x y / F + 1)^3, over all pairs instead of subsets."""
    x, y = real.double(), made.double()

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / a.shape[1] + 1) ** 3

    def within(k: Tensor) -> Tensor:
        return (k.sum() - k.trace()) / (len(k) * (len(k) - 1))

    return float(within(kernel(x, x)) + within(kernel(y, y)) - 2 * kernel(x, y).mean())


def cmmd(real: Tensor, made: Tensor) -> float:
    """CMMD (Jayasumana et al. 2024): 1000 times the squared MMD of unit embeddings under exp(-|x - y|^2 / (2 10^2))."""
    x, y = (nn.functional.normalize(a.double(), dim=1) for a in (real, made))

    def mean(a: Tensor, b: Tensor) -> Tensor:
        return torch.exp(-torch.cdist(a, b).square() / 200).mean()

    return 1000 * float(mean(x, x) + mean(y, y) - 2 * mean(x, y))


def manifold(real: Tensor, made: Tensor) -> dict[str, float]:
    """precision and recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020): a picture is near a set
    if it lies no farther from one of it than that one's k-th neighbour does."""
    x, y = real.double(), made.double()
    across = torch.cdist(x, y)

    def radii(a: Tensor, k: int) -> Tensor:
        return torch.cdist(a, a).kthvalue(min(k + 1, len(a)), dim=1).values  # the nearest is itself

    narrow, wide = radii(x, NEIGHBOURS)[:, None], radii(x, WIDE)[:, None]
    return {
        "precision": float((across <= narrow).any(dim=0).double().mean()),
        "recall": float((across <= radii(y, NEIGHBOURS)[None]).any(dim=1).double().mean()),
        "density": float((across <= wide).double().sum(dim=0).mean() / WIDE),
        "coverage": float((across.min(dim=1).values <= wide[:, 0]).double().mean()),
    }


def diversity(made: Tensor) -> float:
    """The mean of 1 - cos over all pairs of the made pictures."""
    unit = nn.functional.normalize(made.double(), dim=1)
    n = len(unit)
    return float(1 - (unit.sum(dim=0).square().sum() - n) / (n * (n - 1)))


def clip_scores(images: Tensor, texts: Tensor) -> Tensor:
    """100 cos of unit features [N, E] of pictures and of their captions."""
    return 100 * (images * texts).sum(dim=1)
