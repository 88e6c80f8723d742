"""Guidance, seen: the prediction with the prompt, the one without, and their difference, at several steps and scales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..config.registry import named
from ..data.decode import to_pixels
from ..diffusion import noise
from ..diffusion.records import NoiseLevel, Prediction
from ..models.latent_diffusion import LatentDiffusion

SHOWN = 8  # steps


@dataclass(frozen=True)
class Seen:
    """One step at one scale, all pictures uint8 [3, H, W]: what there is, the predictions of x_0 with the prompt, without it and
    guided, and the difference of the first two around gray. `gain` is what the difference was multiplied by to be visible."""

    t: float
    there: Tensor
    with_prompt: Tensor
    without: Tensor
    difference: Tensor
    guided: Tensor
    gain: float


def spread(count: int, most: int = SHOWN) -> list[int]:
    """At most `most` numbers below `count`, evenly spread, with the first and the last."""
    return sorted({round(i * (count - 1) / max(most - 1, 1)) for i in range(most)}) if count else []


@torch.no_grad()
def guidance_seen(model: LatentDiffusion, prompt: str, seed: int, scales: Sequence[float]) -> dict[float, list[Seen]]:
    """For each scale, several steps of one generation from the same noise. The two predictions are the net's own, without the
    guider's corrections."""
    cfg: Any = named("guidance", "cfg")()
    plain = replace(model, guider=cfg)
    found = {}
    for w in scales:
        steps = _steps(model, prompt, seed, w)
        branches = [plain.denoiser([prompt], of) for of in (1.0, 0.0)]
        seen = []
        for i in spread(len(steps)):
            x, m, guided = steps[i]
            c, u = (branch(x, m).x_0 for branch in branches)
            there, one, other, result = _pictures(model, torch.cat([x, c, u, guided.x_0]))
            apart = one.float() - other.float()
            gain = 120 / max(float(apart.abs().max()), 1.0)
            shown = (128 + gain * apart).round().clamp(0, 255).to(torch.uint8)
            seen.append(Seen(m.t, there, one, other, shown, result, gain))
        found[w] = seen
    return found


def _steps(model: LatentDiffusion, prompt: str, seed: int, w: float) -> list[tuple[Tensor, NoiseLevel, Prediction]]:
    """(x_t, its noise level, the guided prediction) of each evaluation of a generation."""
    guided, found = model.denoiser([prompt], w), []

    def watched(x: Tensor, m: NoiseLevel) -> Prediction:
        p = guided(x, m)
        found.append((x, m, p))
        return p

    rows = torch.tensor([seed], device=model.device)
    model.sampler.sample(watched, model.path, noise.start(model.path, rows, model.latent_shape()), rows)
    return found


@torch.no_grad()
def pinch_films(model: LatentDiffusion, prompt: str, seed: int, w: float) -> dict[str, list[Tensor]]:
    """The same generation with and without fresh noise: several steps of DDPM, which puts a pinch of noise back at each, and of
    DDIM, which does not."""
    found = {}
    for name, kind in (("with a pinch of noise put back at every step", "ddpm"), ("without", "ddim")):
        choice: Any = named("sampler", kind)
        one = replace(model, sampler=choice(steps=model.sampler.steps))
        frames = [x for x, _ in one.trajectory(prompt, seed, w)]
        found[name] = [frames[i] for i in spread(len(frames))]
    return found


def _pictures(model: LatentDiffusion, z: Tensor) -> list[Tensor]:
    return list(to_pixels(model.autoencoder.decode(z).float()).cpu())
