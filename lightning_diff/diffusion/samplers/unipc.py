"""UniPC: a corrector and a predictor that share their evaluations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ...config.registry import choice
from ..records import NoiseLevel, Prediction
from .base import Fresh, Sampler, Step
from .dpm_solver import log_snr

if TYPE_CHECKING:
    from torch import Tensor

    from ..denoiser import Denoiser
    from ..path import Path


@choice("sampler", "unipc")
class UniPC(Sampler):
    """UniPC of order 2 with B(h) = expm1(h) (Zhao et al. 2023, algorithms 5 to 8, on x_0). Each evaluation first corrects the
    previous step, then predicts the next one."""

    def stepper(self, denoise: Denoiser, path: Path) -> Step:
        memory: list[tuple[float, Tensor]] = []  # lambda and x_0 of the last two steps, newest last
        last: list[tuple[Tensor, NoiseLevel]] = []  # corrected x of the previous step, its noise level

        def base(x: Tensor, x_0: Tensor, t: NoiseLevel, s: NoiseLevel, grown: float) -> Tensor:
            return (s.sigma / t.sigma) * x - s.alpha * grown * x_0

        def correct(now: Tensor, s: NoiseLevel) -> Tensor:
            x, t = last[-1]
            (at, m0), h = memory[-1], log_snr(s) - memory[-1][0]
            grown = math.expm1(-h)
            residual = 0.5 * (now - m0)
            r = (memory[-2][0] - at) / h if len(memory) > 1 else -math.inf
            if math.isfinite(r) and math.isfinite(h):
                # The two weights solve  a + b = phi_1, a r + b = phi_2.
                phi = [grown / -h - 1]
                phi.append(phi[0] / -h - 0.5)
                first, second = phi[0] / grown, 2 * phi[1] / grown
                a = (first - second) / (1 - r)
                residual = a / r * (memory[-2][1] - m0) + (first - a) * (now - m0)
            return base(x, m0, t, s, grown) - s.alpha * grown * residual

        def step(x: Tensor, t: NoiseLevel, s: NoiseLevel, fresh: Fresh) -> tuple[Tensor, Prediction]:
            p = denoise(x, t)
            if memory:
                x = correct(p.x_0, t)
            at, h = log_snr(t), log_snr(s) - log_snr(t)
            grown = math.expm1(-h)
            out = base(x, p.x_0, t, s, grown)
            if memory and s.sigma > 0:
                r = (memory[-1][0] - at) / h
                if math.isfinite(r):
                    out = out - s.alpha * grown * (0.5 / r) * (memory[-1][1] - p.x_0)
            memory.append((at, p.x_0))
            del memory[:-2]
            last[:] = [(x, t)]
            return out, p

        return step
