"""From noise to picture: DDPM, DDIM, Euler, Heun. Each is a small function on a denoiser.

The noise of each sample comes from its own seed, so that a sample depends on its seed and its caption, not on the batch
that it is drawn in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from . import noise
from .denoiser import Denoiser
from .path import Path, Prediction

Step = Callable[[int, Tensor, Tensor, Tensor], tuple[Tensor, Prediction]]


def time_grid(steps: int, device: torch.device) -> Tensor:
    """t from 1 to 0, [steps + 1]."""
    return torch.linspace(1, 0, steps + 1, device=device)


def _ancestral(denoise: Denoiser, path: Path, seeds: Tensor, eta: float) -> Step:
    """DDIM (Song et al. 2021, eq. 12) for any path; eta = 1 is DDPM's ancestral step (Ho et al. 2020, algorithm 2).

    The forward chain adds var = sigma_t^2 - (alpha_t / alpha_s)^2 sigma_s^2 from s to t; the step back to s adds fresh
    noise of variance eta^2 var sigma_s^2 / sigma_t^2: the pinch of noise, none at the last step.
    """

    def step(n: int, x: Tensor, t: Tensor, s: Tensor) -> tuple[Tensor, Prediction]:
        p = denoise(x, t)
        (alpha_t, sigma_t), (alpha_s, sigma_s) = path.at(t), path.at(s)
        fresh = eta**2 * sigma_s**2 * (1 - (alpha_t * sigma_s / (alpha_s * sigma_t)) ** 2)
        x = alpha_s * p.x_0 + (sigma_s**2 - fresh).clamp(min=0).sqrt() * p.eps
        if eta > 0:
            x = x + fresh.clamp(min=0).sqrt() * noise.normal(seeds, tuple(x.shape[1:]), 0, noise.STEP + n)
        return x, p

    return step


def _heun(denoise: Denoiser, path: Path, order: int) -> Step:
    """Euler's (order 1) or Heun's (order 2; Karras et al. 2022, algorithm 1) step on the probability flow.

    Any path is the straight one in other coordinates: y = x / (alpha + sigma), tau = sigma / (alpha + sigma), where
    dy / dtau = eps - x_0. In them Euler's step is DDIM's.
    """

    def step(n: int, x: Tensor, t: Tensor, s: Tensor) -> tuple[Tensor, Prediction]:
        (alpha_t, sigma_t), (alpha_s, sigma_s) = path.at(t), path.at(s)
        total_t, total_s = alpha_t + sigma_t, alpha_s + sigma_s
        dtau = sigma_s / total_s - sigma_t / total_t
        p = denoise(x, t)
        slope = p.eps - p.x_0
        y = x / total_t + dtau * slope
        if order == 2 and bool((sigma_s > 0).all()):
            q = denoise(y * total_s, s)
            y = x / total_t + dtau * 0.5 * (slope + q.eps - q.x_0)
        return y * total_s, p

    return step


def trajectory(
    name: str, denoise: Denoiser, path: Path, seeds: Tensor, shape: tuple[int, ...], steps: int, eta: float = 0.0
) -> Iterator[tuple[Tensor, Prediction]]:
    """(x_s, what the denoiser said at t) after each step. seeds int64 [B]; x [B, *shape] starts as N(0, sigma(1)^2)."""
    grid = time_grid(steps, seeds.device)
    table = {
        "ddpm": lambda: _ancestral(denoise, path, seeds, 1.0),
        "ddim": lambda: _ancestral(denoise, path, seeds, eta),
        "euler": lambda: _heun(denoise, path, 1),
        "heun": lambda: _heun(denoise, path, 2),
    }
    step = table[name]()
    x = noise.normal(seeds, shape, 0, noise.START) * path.at(grid[:1])[1]
    for n in range(steps):
        t, s = (grid[n + i].expand(len(seeds)) for i in (0, 1))
        x, prediction = step(n, x, t, s)
        yield x, prediction


@torch.no_grad()
def sample(
    name: str, denoise: Denoiser, path: Path, seeds: Tensor, shape: tuple[int, ...], steps: int, eta: float = 0.0
) -> Tensor:
    """x_0 [B, *shape]."""
    *_, (x, _) = trajectory(name, denoise, path, seeds, shape, steps, eta)
    return x
