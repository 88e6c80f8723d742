"""What all samplers share: their steps, the grid of times, and the walk over it.

The noise of each sample comes from its own seed, so that a sample depends on its seed and its caption, not on the batch
that it is drawn in. The numbers of a step are computed once, in float64; the pictures stay in their own precision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ...config.errors import ConfigError
from ...config.fields import above, at_least, between, one_of
from ...config.registry import Choice
from ..records import Moment, Prediction

if TYPE_CHECKING:
    from torch import Tensor

    from ..denoiser import Answers, Denoiser
    from ..path import Path

Fresh = Callable[["Tensor"], "Tensor"]  # a tensor -> standard normal noise of its shape, new at every step
Step = Callable[["Tensor", Moment, Moment, Fresh], tuple["Tensor", Prediction]]

GUIDED = 0.5  # a weight for which every guider asks both branches


@dataclass(frozen=True, kw_only=True)
class Sampler(Choice):
    """How noise becomes a picture: `steps` steps at the times of a `grid`.

    `nfe` > 0 takes the place of `steps`: as many steps as that many network evaluations a picture allow under guidance,
    so that samplers and guiders are compared at equal cost. `shift` is the shifted grid's. Networks are evaluated in bf16
    where that pays, unless `precision` says otherwise: with Inception's features that was seen to raise FID by 2 to 3 %
    over float32.
    """

    steps: int = between(20, 1, 1000)
    nfe: int = at_least(0, 0)
    grid: str = one_of("uniform", "uniform", "shifted", "karras", "exponential")
    shift: float = above(3.0, 0, only={"grid": ("shifted",)})
    precision: str = one_of("auto", "auto", "bf16", "float32")

    from_x_0_and_eps: ClassVar[bool] = False  # a step is made of the prediction's x_0 and eps alone, as CFG++ needs it

    def stepper(self, denoise: Denoiser, path: Path) -> Step:
        """The step of one generation: (x at t, t, s, fresh noise) -> (x at s, what the denoiser said at t)."""
        raise NotImplementedError

    def conflicts(self, objective: Any) -> Iterator[str]:
        if self.grid in ("karras", "exponential") and objective.ends_in_noise:
            yield (
                f"sampler.grid={self.grid} {objective.pure_noise} and sigma / alpha is infinite; use uniform or shifted"
            )

    def times(self, path: Path) -> list[Moment]:
        """The times between its steps, from t = 1 to t = 0."""
        from ..grids import time_grid

        return time_grid(path, self.steps, self.grid, self.shift)

    def trajectory(
        self, denoise: Denoiser, path: Path, x: Tensor, seeds: Tensor, times: Sequence[Moment] | None = None
    ) -> Iterator[tuple[Tensor, Prediction]]:
        """(x_s, what the denoiser said at t) after each step from x [B, C, H, W] at the first of `times`. seeds int64 [B]."""
        from .. import noise

        step = self.stepper(denoise, path)
        for n, (t, s) in enumerate(pairwise(self.times(path) if times is None else times)):

            def fresh(like: Tensor, n: int = n) -> Tensor:
                return noise.normal(seeds, tuple(like.shape[1:]), 0, noise.STEP + n).to(like.dtype)

            x, prediction = step(x, t, s, fresh)
            yield x, prediction

    def sample(
        self, denoise: Denoiser, path: Path, x: Tensor, seeds: Tensor, times: Sequence[Moment] | None = None
    ) -> Tensor:
        """x_0 [B, C, H, W]."""
        import torch

        with torch.no_grad():
            *_, (x_0, _) = self.trajectory(denoise, path, x, seeds, times)
        return x_0

    def evaluations(self, guider: Any, path: Path, scale: float) -> int:
        """How often a network is evaluated for one picture (NFE): counted, by drawing one of two values."""
        import torch

        counted, x = _Counted(), torch.ones(1, 1, 1, 2)
        self.sample(guider.guided(counted, path, scale), path, x, torch.zeros(1, dtype=torch.long))
        return counted.count

    def resolve_nfe(self, guider: Any, path: Path) -> Self:
        """The sampler of as many steps as its `nfe` allow under guidance. Raises ConfigError if that is none."""
        if not self.nfe:
            return self
        for steps in range(min(self.nfe, 1000), 0, -1):
            one = replace(self, steps=steps, nfe=0)
            if one.evaluations(guider, path, GUIDED) <= self.nfe:
                return one
        raise ConfigError(f"sampler.nfe={self.nfe}: fewer than one guided step of {self.kind} takes; raise it")


class _Counted:
    """Branches that answer nothing and count what they are asked."""

    def __init__(self) -> None:
        self.count = 0

    def answers(self, good: Sequence[Tensor], bad: Sequence[Tensor], m: Moment) -> Answers:
        self.count += len(good) + len(bad)
        return [Prediction(x, x) for x in good], [Prediction(x, x) for x in bad]
