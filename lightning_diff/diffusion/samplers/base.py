"""The base class of samplers: the number of steps, the grid of times, and the loop over the steps.

The noise of each sample comes from its own seed. So a sample depends on its seed and its caption, not on its batch. The
coefficients of a step are computed once, in float64; the latents keep their own precision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ...config.errors import ConfigError
from ...config.fields import above, at_least, between, one_of
from ...config.registry import Choice
from ..records import NoiseLevel, Prediction

if TYPE_CHECKING:
    from torch import Tensor

    from ..denoiser import BranchPredictions, Denoiser
    from ..path import Path

Fresh = Callable[["Tensor"], "Tensor"]  # a tensor -> standard normal noise of its shape, new at every step
Step = Callable[["Tensor", NoiseLevel, NoiseLevel, Fresh], tuple["Tensor", Prediction]]

GUIDED = 0.5  # a weight for which every guider evaluates both branches


@dataclass(frozen=True, kw_only=True)
class Sampler(Choice):
    """Turns noise into a picture in `steps` steps, at the times of a `grid`.

    `nfe` > 0 replaces `steps`: the sampler takes as many steps as that number of network evaluations per picture allows with
    guidance. So samplers and guiders can be compared at equal cost. `shift` belongs to the shifted grid; leading, leading_1 and
    linspace are the steps that the pipelines of other projects take. `precision` auto
    evaluates networks in bf16 where that is faster. With Inception's features, bf16 raised FID by 2 to 3 % over float32.
    """

    steps: int = between(20, 1, 1000)
    nfe: int = at_least(0, 0)
    grid: str = one_of("uniform", "uniform", "shifted", "karras", "exponential", "leading", "leading_1", "linspace")
    shift: float = above(3.0, 0, only={"grid": ("shifted",)})
    precision: str = one_of("auto", "auto", "bf16", "float32")

    # Whether a step uses x_0 and eps of the prediction alone. CFG++ needs this: its x_0 and eps do not add up to x_t.
    from_x_0_and_eps: ClassVar[bool] = False

    def stepper(self, denoise: Denoiser, path: Path) -> Step:
        """The step function of one generation: (x at t, t, s, fresh noise) -> (x at s, the denoiser's prediction at t)."""
        raise NotImplementedError

    def conflicts(self, objective: Any) -> Iterator[str]:
        if self.grid in ("karras", "exponential") and objective.ends_in_noise:
            yield (
                f"sampler.grid={self.grid} {objective.pure_noise} and sigma / alpha is infinite; use uniform or shifted"
            )
        counted = objective.schedule.startswith(("linear", "scaled_linear"))
        if self.grid in ("leading", "leading_1", "linspace") and not counted:
            yield f"sampler.grid={self.grid}: counts the 1,000 steps of objective.schedule=linear and scaled_linear; use uniform"
        if self.grid == "shifted" and not objective.ends_in_noise:
            yield (
                f"sampler.grid=shifted on objective.schedule={objective.schedule}: sigma / alpha times sampler.shift lies "
                "beyond the noise that the path ends in; use uniform, karras or exponential"
            )

    def times(self, path: Path) -> list[NoiseLevel]:
        """The noise levels before, between and after its steps, from t = 1 to t = 0."""
        from ..grids import time_grid

        return time_grid(path, self.steps, self.grid, self.shift)

    def trajectory(
        self, denoise: Denoiser, path: Path, x: Tensor, seeds: Tensor, times: Sequence[NoiseLevel] | None = None
    ) -> Iterator[tuple[Tensor, Prediction]]:
        """Start with x [B, C, H, W] at the first of `times` and yield (x_s, the denoiser's prediction at t) after each step.
        seeds: int64 [B]."""
        from .. import noise

        step = self.stepper(denoise, path)
        for n, (t, s) in enumerate(pairwise(self.times(path) if times is None else times)):

            def fresh(like: Tensor, n: int = n) -> Tensor:
                return noise.normal(seeds, tuple(like.shape[1:]), 0, noise.STEP + n).to(like.dtype)

            x, prediction = step(x, t, s, fresh)
            yield x, prediction

    def sample(
        self, denoise: Denoiser, path: Path, x: Tensor, seeds: Tensor, times: Sequence[NoiseLevel] | None = None
    ) -> Tensor:
        """The sample x_0 [B, C, H, W], at the end of the trajectory."""
        import torch

        with torch.no_grad():
            *_, (x_0, _) = self.trajectory(denoise, path, x, seeds, times)
        return x_0

    def evaluations(self, guider: Any, path: Path, scale: float) -> int:
        """The number of network evaluations (NFE) for one picture. It is counted while a sample of two values is drawn."""
        import torch

        counted, x = _Counted(), torch.ones(1, 1, 1, 2)
        self.sample(guider.guided(counted, path, scale), path, x, torch.zeros(1, dtype=torch.long))
        return counted.count

    def resolve_nfe(self, guider: Any, path: Path) -> Self:
        """The same sampler with as many steps as `nfe` allows with guidance. Raises ConfigError if not even one step fits."""
        if not self.nfe:
            return self
        for steps in range(min(self.nfe, 1000), 0, -1):
            one = replace(self, steps=steps, nfe=0)
            if one.evaluations(guider, path, GUIDED) <= self.nfe:
                return one
        raise ConfigError(f"sampler.nfe={self.nfe}: fewer than one guided step of {self.kind} takes; raise it")


class _Counted:
    """Branches that evaluate no network, but count the evaluations."""

    def __init__(self) -> None:
        self.count = 0

    def predict(self, x_cond: Sequence[Tensor], x_other: Sequence[Tensor], m: NoiseLevel) -> BranchPredictions:
        self.count += len(x_cond) + len(x_other)
        return [Prediction(x, x) for x in x_cond], [Prediction(x, x) for x in x_other]
