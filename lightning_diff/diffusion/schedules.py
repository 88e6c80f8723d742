"""Noise schedules: alpha(t) and sigma(t) for t in [0, 1], in float64. t = 0 is the picture, t = 1 is the noise.

The discrete schedules of 1,000 steps (DDPM, Stable Diffusion) are products of 1 - beta_j. The gamma function extends them to
times between the steps. At t = (i + 1) / 1000, i = 0..999, they equal the products.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Schedule = Callable[[Tensor], tuple[Tensor, Tensor]]
STEPS = 1000
SIGMA_MIN, SIGMA_MAX, RHO = 0.002, 80.0, 7.0  # Karras et al. 2022, table 1


def flow(t: Tensor) -> tuple[Tensor, Tensor]:
    """A straight line (Lipman et al. 2022; Liu et al. 2022)."""
    return 1 - t, t


COSINE_END = 0.5 * math.pi * 0.9957


def cosine(t: Tensor) -> tuple[Tensor, Tensor]:
    """Variance preserving, alpha = cos(pi t / 2) (Nichol & Dhariwal 2021). It ends at a log-SNR of about -10."""
    return (t * COSINE_END).cos(), (t * COSINE_END).sin()


def edm(t: Tensor) -> tuple[Tensor, Tensor]:
    """Variance exploding, sigma = 80 t^7. So a grid that is uniform in t from sigma = 80 to 0.002 is the grid of Karras et al.
    2022 (eq. 5)."""
    return torch.ones_like(t), SIGMA_MAX * t**RHO


def _log_product(n: Tensor, start: float, step: float) -> Tensor:
    """The logarithm of the product over j < n of (1 - start - step j). Gamma functions define it for any real n."""
    top = (1 - start) / step + 1
    return n * math.log(abs(step)) + math.lgamma(top) - torch.lgamma(top - n)


def _preserving(log_alpha: Tensor) -> tuple[Tensor, Tensor]:
    log_alpha = log_alpha.clamp(max=0)
    return log_alpha.exp(), (-torch.expm1(2 * log_alpha)).sqrt()


def linear(t: Tensor) -> tuple[Tensor, Tensor]:
    """beta from 1e-4 to 0.02 in 1,000 steps (Ho et al. 2020)."""
    low, high = 1e-4, 0.02
    return _preserving(0.5 * _log_product(STEPS * t, low, (high - low) / (STEPS - 1)))


def scaled_linear(t: Tensor) -> tuple[Tensor, Tensor]:
    """sqrt(beta) from sqrt(0.00085) to sqrt(0.012) in 1,000 steps (Rombach et al. 2022; Stable Diffusion):
    1 - b^2 = (1 - b)(1 + b)."""
    low, high = 0.00085**0.5, 0.012**0.5
    step = (high - low) / (STEPS - 1)
    up = 1 / step * (1 + low)  # product of (1 + low + step j) = step^n gamma(up + n) / gamma(up)
    n = STEPS * t
    rising = n * math.log(step) + torch.lgamma(up + n) - math.lgamma(up)
    return _preserving(0.5 * (_log_product(n, low, step) + rising))


def zero_terminal(schedule: Schedule) -> Schedule:
    """The schedule with zero terminal SNR, alpha(1) = 0 (Lin et al. 2023, algorithm 1). sqrt(abar) is shifted and scaled, so
    that its last value is 0 and its first value does not change. Before the first step (t < 1/1000) it continues to
    alpha(0) = 1."""
    first, last = (float(schedule(torch.tensor(t, dtype=torch.float64))[0]) for t in (1 / STEPS, 1.0))

    def rescaled(t: Tensor) -> tuple[Tensor, Tensor]:
        alpha = schedule(t)[0]
        after = (alpha - last) * (first / (first - last))
        alpha = torch.where(alpha > first, alpha, after.clamp(min=0))
        return alpha, ((1 - alpha) * (1 + alpha)).sqrt()

    return rescaled


SCHEDULES: dict[str, Schedule] = {
    "flow": flow,
    "cosine": cosine,
    "linear": linear,
    "scaled_linear": scaled_linear,
    "linear_zero": zero_terminal(linear),
    "scaled_linear_zero": zero_terminal(scaled_linear),
    "edm": edm,
}
ENDS_IN_NOISE = ("flow", "linear_zero", "scaled_linear_zero")  # alpha(1) = 0: x_1 is pure noise

# Where a grid ends before it jumps to the picture: sigma / alpha. On the other schedules it ends at t = 1 / STEPS.
LAST_RATIO = {"edm": SIGMA_MIN}

_INVERSES: dict[str, Callable[[Tensor], Tensor]] = {
    "flow": lambda ratio: 1 - 1 / (1 + ratio),
    "cosine": lambda ratio: ratio.atan() / COSINE_END,
    "edm": lambda ratio: (ratio / SIGMA_MAX) ** (1 / RHO),
}


def time_of(schedule: str, ratio: Tensor) -> Tensor:
    """The t in [0, 1] at which sigma / alpha is `ratio` (float64, any shape). If there is none, the nearest end."""
    if schedule in _INVERSES:
        return _INVERSES[schedule](ratio).clamp(0, 1)
    low, high = torch.zeros_like(ratio), torch.ones_like(ratio)
    for _ in range(52):
        middle = 0.5 * (low + high)
        alpha, sigma = SCHEDULES[schedule](middle)
        below = sigma < ratio * alpha
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return 0.5 * (low + high)
