"""A model that is not one of this project's runs, as something that a sweep can measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..config.errors import ConfigError
from ..config.schema import Evaluation
from ..data.decode import resized
from .setup import EvaluationSetup, Passport
from .sweep import Case, Generate


@dataclass(frozen=True)
class AnyModel:
    """Anything with `generate(prompts, seeds, scale) -> uint8 [B, 3, H, W]`. How it draws, and what it was trained on, is not
    known; its passport says so. `weights` identifies it, `about` are further entries of its passport.

    Pictures of another size than the reference's are cropped to their centre square and resized (Lanczos)."""

    model: Any
    name: str
    weights: str
    scales: Sequence[float]
    settings: Evaluation
    setup: EvaluationSetup
    about: Mapping[str, Any]

    def case(self, ema: float, scale: float) -> Case:
        return Case(self.name, "its own", ema, scale)

    def evaluations(self, scale: float) -> int:
        return 0

    def drawer(self, ema: float) -> Generate:
        size = self.setup.size

        def generate(cases: Sequence[Case], prompts: Sequence[int]) -> Tensor:
            captions, seeds = [self.setup.captions[i] for i in prompts], self.setup.seeds(prompts)
            found = [
                checked(self.model.generate(captions, seeds, case.scale), len(captions), self.name) for case in cases
            ]
            return torch.stack([resized(images, size) for images in found])

        return generate

    def passport(self, count: int, scale: float, ema: float) -> Passport:
        about = {"sampler": "its own", "ema": "its own", "trained_on": "unknown", **self.about}
        guidance = {"scale": scale, "convention": "the model's own"}
        return {
            "weights": self.weights,
            "guidance": guidance,
            **about,
            **self.setup.passport(count),
            "resize": self.setup.resize(),
        }


def checked(images: Any, count: int, name: str) -> Tensor:
    """The pictures that a model returned, on the CPU. Raises ConfigError if they are not uint8 [count, 3, H, W]."""
    what = f"{images.dtype} {list(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
    if (
        not isinstance(images, Tensor)
        or images.dtype != torch.uint8
        or images.ndim != 4
        or images.shape[:2] != (count, 3)
    ):
        raise ConfigError(
            f"{name}: generate() of {count} prompts returned {what}; it must return torch.uint8 [{count}, 3, height, width]"
        )
    return images.cpu()
