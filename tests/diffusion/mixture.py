"""Data of which everything is known: each number of x_0 is drawn from a mixture of two normals, on its own.

At every t, x_t is a mixture too, so the best denoiser is a formula; and in one dimension the probability flow keeps the
quantile, so where it ends is a formula as well: x_0 = F_0^-1(F_1(x_1)).
"""

from typing import Any

import torch
from torch import Tensor

from lightning_diff.config.registry import choices, named
from lightning_diff.diffusion.denoiser import conditional
from lightning_diff.diffusion.grids import time_grid
from lightning_diff.diffusion.noise import start
from lightning_diff.diffusion.path import Path
from lightning_diff.diffusion.records import NoiseLevel

WEIGHTS, MEANS, STDS = (torch.tensor(a, dtype=torch.float64) for a in ((0.4, 0.6), (-0.8, 0.7), (0.5, 0.3)))
MEAN = float((WEIGHTS * MEANS).sum())
STD = float(((WEIGHTS * (STDS**2 + MEANS**2)).sum() - MEAN**2) ** 0.5)
SHAPE = (1, 2, 2)
SAMPLERS = list(choices("sampler"))
EVALUATIONS = {"heun": 2, "heun_karras": 2, "midpoint": 2}  # a step (heun: one in the last); the others spend one


def sampler(name: str, eta: float = 0.0) -> Any:
    """The sampler of that name; `eta` is DDIM's alone."""
    return named("sampler", name)(**({"eta": eta} if name == "ddim" else {}))


def parts(x: Tensor, m: NoiseLevel) -> tuple[Tensor, Tensor]:
    """(mean, std) of x_t's normals, [..., 2]."""
    return m.alpha * MEANS, ((m.alpha * STDS) ** 2 + m.sigma**2) ** 0.5 + 0 * x[..., None]


def cdf(x: Tensor, m: NoiseLevel) -> Tensor:
    mean, std = parts(x, m)
    return (WEIGHTS * torch.special.ndtr((x[..., None] - mean) / std)).sum(-1)


class Exact:
    """The network that has learned the mixture perfectly, in the path's parameterisation. It notes the rows of each
    call. The condition is ignored."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[int] = []

    def __call__(self, shown: Tensor, t: Tensor, condition: Any = None) -> Tensor:
        self.rows.append(len(shown))
        m = self.path.at(float(t[0]))
        x_t = (shown / self.path.scaled(torch.ones(1, dtype=torch.float64), m)).double()
        mean, std = parts(x_t, m)
        z = (x_t[..., None] - mean) / std
        share = (WEIGHTS.log() - std.log() - 0.5 * z**2).softmax(-1)
        x_0 = (share * (MEANS + m.alpha * STDS**2 / std * z)).sum(-1)
        eps = (share * (m.sigma / std * z)).sum(-1)  # not (x_t - alpha x_0) / sigma, which cancels at small sigma
        return self.path.target(x_0, eps, m).to(shown.dtype)


def draw(
    name: str,
    path: Path,
    steps: int,
    seeds: Tensor,
    eta: float = 0.0,
    kind: str = "uniform",
    dtype: Any = torch.float64,
) -> Tensor:
    x = start(path, seeds, SHAPE).to(dtype)
    grid = time_grid(path, steps, kind)
    return sampler(name, eta).sample(conditional(Exact(path), path, None), path, x, seeds, grid)


def flow_end(path: Path, seeds: Tensor) -> Tensor:
    """Where the probability flow takes the samplers' x_1, by bisection."""
    x_1 = start(path, seeds, SHAPE).double()
    q = cdf(x_1, path.at(1.0))
    low, high = torch.full_like(x_1, -20), torch.full_like(x_1, 20)
    picture = NoiseLevel(0.0, 1.0, 0.0)
    for _ in range(80):
        middle = 0.5 * (low + high)
        below = cdf(middle, picture) < q
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return 0.5 * (low + high)
