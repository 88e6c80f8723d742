"""The path from picture to noise, x_t = alpha(t) x_0 + sigma(t) eps, and the four views of one prediction (law 2)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Schedule = Callable[[Tensor], tuple[Tensor, Tensor]]


def flow(t: Tensor) -> tuple[Tensor, Tensor]:
    """A straight line (Lipman et al. 2022; Liu et al. 2022)."""
    return 1 - t, t


def cosine(t: Tensor) -> tuple[Tensor, Tensor]:
    """Variance preserving, alpha = cos(pi t / 2) (Nichol & Dhariwal 2021), ended at a log-SNR of about -10."""
    angle = t * (0.5 * math.pi * 0.9957)
    return angle.cos(), angle.sin()


def linear(t: Tensor) -> tuple[Tensor, Tensor]:
    """Variance preserving, beta from 0.1 to 20 (Ho et al. 2020, in the continuous form of Song et al. 2021)."""
    log_alpha = -0.25 * t.square() * (20.0 - 0.1) - 0.5 * t * 0.1
    return log_alpha.exp(), (-torch.expm1(2 * log_alpha)).sqrt()


SCHEDULES: dict[str, Schedule] = {"flow": flow, "cosine": cosine, "linear": linear}


@dataclass
class Prediction:
    """What a denoiser says: x_0 and eps, with x_t = alpha x_0 + sigma eps. Both [B, C, H, W]."""

    x_0: Tensor
    eps: Tensor


def _coefficients(name: str, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """(a, b) such that the network's target is a x_0 + b eps."""
    one, zero = torch.ones_like(alpha), torch.zeros_like(alpha)
    table = {"eps": (zero, one), "x0": (one, zero), "v": (-sigma, alpha), "flow": (-one, one)}
    return table[name]


@dataclass(frozen=True)
class Path:
    """A schedule and a parameterisation. Times t [B] lie in [0, 1]: 0 is the picture, 1 the noise."""

    schedule: str = "flow"
    prediction: str = "flow"

    def at(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """(alpha, sigma), each [B, 1, 1, 1]."""
        alpha, sigma = SCHEDULES[self.schedule](t[:, None, None, None])
        return alpha, sigma

    def noised(self, x_0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = self.at(t)
        return alpha * x_0 + sigma * eps

    def target(self, x_0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """What the network should say."""
        a, b = _coefficients(self.prediction, *self.at(t))
        return a * x_0 + b * eps

    def read(self, output: Tensor, x_t: Tensor, t: Tensor) -> Prediction:
        """Solve x_t = alpha x_0 + sigma eps, output = a x_0 + b eps for x_0 and eps.

        eps has no answer where alpha = 0 (refused by the config), x0 none where sigma = 0 (no sampler asks there).
        """
        alpha, sigma = self.at(t)
        a, b = _coefficients(self.prediction, alpha, sigma)
        det = alpha * b - sigma * a
        return Prediction((b * x_t - sigma * output) / det, (alpha * output - a * x_t) / det)


def times(density: str, u: Tensor) -> Tensor:
    """Uniform numbers u [B] in (0, 1) to times of the density: uniform, or logit-normal (Esser et al. 2024, 3.1)."""
    if density == "uniform":
        return u
    return torch.sigmoid(torch.special.ndtri(u.double())).float()
