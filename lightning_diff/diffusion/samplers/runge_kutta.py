"""Runge-Kutta samplers on the probability flow: Euler, Heun and midpoint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ...config.fields import between
from ...config.registry import choice
from ..records import NoiseLevel, Prediction
from .base import Fresh, Sampler, Step

if TYPE_CHECKING:
    from torch import Tensor

    from ..denoiser import Denoiser
    from ..path import Path


@dataclass(frozen=True, kw_only=True)
class RungeKutta(Sampler):
    """A step on the probability flow. In the coordinates y = x / (alpha + k sigma), u = sigma / (alpha + k sigma) the flow is
    dy / du = eps - k x_0.

    k = 0 gives the coordinates of Karras et al. 2022 (algorithm 1). k = 1 gives those of the straight path; it works with every
    path that the network has learned. Euler's step equals DDIM's in both. For order 2 and 8 evaluations, k = 1 had 9 to 14 times
    less error on a mixture whose flow is known (benchmarks/convergence.py), and it allows alpha(1) = 0.
    """

    k: ClassVar[float] = 1.0

    def slope(
        self, denoise: Denoiser, path: Path, y: Tensor, d: Tensor, t: NoiseLevel, s: NoiseLevel, du: float
    ) -> Tensor:
        """The slope dy / du that the step from y at t to s uses; `d` is the slope at t."""
        return d

    def size(self, m: NoiseLevel) -> float:
        return float(m.alpha + self.k * m.sigma)

    def direction(self, p: Prediction) -> Tensor:
        return p.eps - self.k * p.x_0

    def stepper(self, denoise: Denoiser, path: Path) -> Step:
        def step(x: Tensor, t: NoiseLevel, s: NoiseLevel, fresh: Fresh) -> tuple[Tensor, Prediction]:
            p = denoise(x, t)
            du = s.sigma / self.size(s) - t.sigma / self.size(t)
            y = x / self.size(t)
            return (y + du * self.slope(denoise, path, y, self.direction(p), t, s, du)) * self.size(s), p

        return step


@choice("sampler", "euler")
class Euler(RungeKutta):
    """Euler's step on the probability flow. It equals DDIM's step without fresh noise, as long as x_t = alpha x_0 + sigma eps.
    CFG++ breaks this equation on purpose, so it needs DDIM itself."""


@choice("sampler", "heun")
class Heun(RungeKutta):
    """Heun's step in the straight path's coordinates. It has order 2 and takes two evaluations per step, but one in the last
    step."""

    steps: int = between(10, 1, 1000)

    def slope(
        self, denoise: Denoiser, path: Path, y: Tensor, d: Tensor, t: NoiseLevel, s: NoiseLevel, du: float
    ) -> Tensor:
        if s.sigma <= 0:
            return d
        p = denoise((y + du * d) * self.size(s), s)
        return 0.5 * (d + p.eps - self.k * p.x_0)


@choice("sampler", "heun_karras")
class HeunKarras(Heun):
    """Heun's step of Karras et al. 2022, algorithm 1, in x / alpha, as in k-diffusion and diffusers. `heun` has less error at
    few steps."""

    k: ClassVar[float] = 0.0

    def conflicts(self, objective: Any) -> Iterator[str]:
        yield from super().conflicts(objective)
        if objective.ends_in_noise:
            yield f"sampler=heun_karras {objective.pure_noise}; use heun, which is better there"


@choice("sampler", "midpoint")
class Midpoint(RungeKutta):
    """The midpoint step in the straight path's coordinates. It has order 2 and takes two evaluations per step."""

    steps: int = between(10, 1, 1000)

    def slope(
        self, denoise: Denoiser, path: Path, y: Tensor, d: Tensor, t: NoiseLevel, s: NoiseLevel, du: float
    ) -> Tensor:
        at = t.sigma / self.size(t) + 0.5 * du
        middle = path.at_ratio(at / (1 - self.k * at))
        return self.direction(denoise((y + 0.5 * du * d) * self.size(middle), middle))
