"""DPM-Solver++ of order 2, without and with fresh noise. It remembers the previous step."""

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


def log_snr(m: NoiseLevel) -> float:
    """lambda = log(alpha / sigma), half the log-SNR."""
    if m.sigma <= 0:
        return math.inf
    return math.log(m.alpha / m.sigma) if m.alpha > 0 else -math.inf


@dataclass(frozen=True, kw_only=True)
class DPMSolver(Sampler):
    """DPM-Solver++(2M) (Lu et al. 2022, algorithm 2), and its SDE form (eq. 19 there, as in k-diffusion and diffusers).

    The first step and the last step, which ends at sigma = 0, have order 1.
    """

    stochastic: ClassVar[bool] = False

    def stepper(self, denoise: Denoiser, path: Path) -> Step:
        memory: list[tuple[float, Tensor]] = []  # lambda and x_0 of the previous step

        def step(x: Tensor, t: NoiseLevel, s: NoiseLevel, fresh: Fresh) -> tuple[Tensor, Prediction]:
            p = denoise(x, t)
            at, h = log_snr(t), log_snr(s) - log_snr(t)
            move = 0.0
            if memory and s.sigma > 0:
                before, x_0 = memory.pop()
                move = 0.5 * h / (at - before)  # 1 / (2 r)
                d = p.x_0 + move * (p.x_0 - x_0) if move else p.x_0
            else:
                d = p.x_0
            memory[:] = [(at, p.x_0)]
            decay = math.exp(-h)
            if not self.stochastic:
                return (s.sigma / t.sigma) * x + s.alpha * (1 - decay) * d, p
            x = (s.sigma / t.sigma) * decay * x + s.alpha * (1 - decay**2) * d
            new = s.sigma * math.sqrt(1 - decay**2)
            return (x + new * fresh(x) if new > 0 else x), p

        return step


@choice("sampler", "dpmpp_2m")
class DPMSolver2M(DPMSolver):
    """DPM-Solver++(2M) (Lu et al. 2022). It has order 2 because it remembers the previous step; one evaluation per step. In the
    main job 12 steps give the numbers of 20 steps of Euler (experiments/recipe); the paper takes 15 to 20 with guidance."""

    steps: int = between(12, 1, 1000)


@choice("sampler", "dpmpp_2m_sde")
class DPMSolver2MSDE(DPMSolver):
    """The SDE form of DPM-Solver++(2M): fresh noise at every step."""

    stochastic: ClassVar[bool] = True
