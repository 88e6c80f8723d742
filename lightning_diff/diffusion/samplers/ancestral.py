"""DDIM, DDPM and Euler ancestral: each step predicts x_0 and adds noise to it up to the next noise level."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ...config.fields import between
from ...config.registry import choice
from ..records import NoiseLevel, Prediction
from .base import Fresh, Sampler, Step

if TYPE_CHECKING:
    from torch import Tensor

    from ..denoiser import Denoiser
    from ..path import Path


def ancestral_step(denoise: Denoiser, eta: float) -> Step:
    """DDIM (Song et al. 2021, eq. 12) for any path; eta = 1 is DDPM's ancestral step (Ho et al. 2020, algorithm 2), and
    in the coordinates x / alpha the "Euler ancestral" of k-diffusion.

    From s to t the forward chain adds the variance var = sigma_t^2 - (alpha_t / alpha_s)^2 sigma_s^2. The step back to s adds
    fresh noise of variance eta^2 var sigma_s^2 / sigma_t^2, which is 0 at the last step.
    """

    def step(x: Tensor, t: NoiseLevel, s: NoiseLevel, fresh: Fresh) -> tuple[Tensor, Prediction]:
        p = denoise(x, t)
        new = eta**2 * s.sigma**2 * max(0.0, 1 - (t.alpha * s.sigma / (s.alpha * t.sigma)) ** 2)
        x = s.alpha * p.x_0 + math.sqrt(max(0.0, s.sigma**2 - new)) * p.eps
        return (x + math.sqrt(new) * fresh(x) if new > 0 else x), p

    return step


@choice("sampler", "ddim")
class DDIM(Sampler):
    """DDIM (Song et al. 2021) on any path. `eta` is the share of fresh noise at each step: 0 adds none, 1 is DDPM."""

    eta: float = between(0.0, 0, 1)

    from_x_0_and_eps: ClassVar[bool] = True

    def stepper(self, denoise: Denoiser, path: Path) -> Step:
        return ancestral_step(denoise, self.eta)


@dataclass(frozen=True, kw_only=True)
class Ancestral(Sampler):
    """DDIM's step with eta = 1."""

    from_x_0_and_eps: ClassVar[bool] = True

    def stepper(self, denoise: Denoiser, path: Path) -> Step:
        return ancestral_step(denoise, 1.0)


@choice("sampler", "ddpm")
class DDPM(Ancestral):
    """DDPM's ancestral sampling (Ho et al. 2020, algorithm 2). Every step adds fresh noise."""

    steps: int = between(100, 1, 1000)


@choice("sampler", "euler_ancestral")
class EulerAncestral(Ancestral):
    """Euler ancestral (k-diffusion). It is DDPM's step under its name in other projects."""
