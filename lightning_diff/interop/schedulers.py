"""A scheduler of diffusers as a sampler of this project."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..config.errors import ConfigError
from ..diffusion.records import NoiseLevel, Prediction
from ..diffusion.samplers.base import Sampler

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..diffusion.denoiser import Denoiser
    from ..diffusion.path import Path

PREDICTIONS = {"epsilon": "eps", "sample": "x0", "v_prediction": "v", "flow_prediction": "flow"}


@dataclass(frozen=True, kw_only=True)
class DiffusersSampler(Sampler):
    """Samples with a scheduler of diffusers. `described` is its class and config as JSON. The net is asked at the scheduler's
    noise levels, whatever the path; the scheduler gets the output that it expects, in its own coordinates. If it draws noise,
    each sample has a generator with its own seed."""

    kind: str = "diffusers"
    described: str = ""

    def scheduler(self, device: Any) -> Any:
        import diffusers

        found = json.loads(self.described)
        made = getattr(diffusers, found["class"]).from_config(found["config"])
        made.set_timesteps(self.steps, device=device)
        return made

    def trajectory(
        self, denoise: Denoiser, path: Path, x: Tensor, seeds: Tensor, times: Sequence[NoiseLevel] | None = None
    ) -> Iterator[tuple[Tensor, Prediction]]:
        import torch

        s = self.scheduler(x.device)
        flow = "FlowMatch" in type(s).__name__
        exploding = not flow and float(s.init_noise_sigma) != 1.0
        first = path.at(1.0)
        eps = x / (first.alpha**2 * path.data_std**2 + first.sigma**2) ** 0.5  # path.start's noise, of variance 1
        x = eps * s.init_noise_sigma if exploding else eps
        generators = [torch.Generator(device="cpu").manual_seed(int(seed)) for seed in seeds]
        takes = inspect.signature(s.step).parameters
        more = {"generator": generators} if "generator" in takes else {}
        wanted = "flow" if flow else PREDICTIONS[s.config.prediction_type]
        for i, t in enumerate(s.timesteps):
            ratio, alpha = _level(s, i, t, flow, exploding)
            m = path.at_ratio(ratio)
            p = denoise(x / alpha * m.alpha, m)
            own = NoiseLevel(m.t, alpha, ratio * alpha)
            if exploding:  # the net's output in the variance-preserving coordinates that such schedulers convert from
                own = NoiseLevel(m.t, 1 / (1 + ratio**2) ** 0.5, ratio / (1 + ratio**2) ** 0.5)
            a, b = path.coefficients(own, wanted)
            x = s.step(a * p.x_0 + b * p.eps, t, x, return_dict=False, **more)[0]
            yield x, p


def _level(s: Any, i: int, t: torch.Tensor, flow: bool, exploding: bool) -> tuple[float, float]:
    """(sigma / alpha, alpha in the scheduler's own coordinates) at its step i."""
    if flow:
        sigma = min(float(s.sigmas[i]), 1 - 1e-6)
        return sigma / (1 - sigma), 1 - sigma
    if exploding:
        return float(s.sigmas[i]), 1.0
    total = float(s.alphas_cumprod[int(t)])
    return ((1 - total) / total) ** 0.5, total**0.5


def from_diffusers(scheduler: Any, steps: int = 20) -> DiffusersSampler:
    """The sampler that steps with this scheduler. Raises ConfigError for an object that is none."""
    if not hasattr(scheduler, "step") or not hasattr(scheduler, "set_timesteps") or not hasattr(scheduler, "config"):
        raise ConfigError(
            f"{type(scheduler).__name__}: no scheduler of diffusers (it has no step, set_timesteps, config)"
        )
    config = {key: value for key, value in dict(scheduler.config).items() if not key.startswith("_")}
    config = {key: value for key, value in config.items() if isinstance(value, str | int | float | bool | list | None)}
    return DiffusersSampler(steps=steps, described=json.dumps({"class": type(scheduler).__name__, "config": config}))
