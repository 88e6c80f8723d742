"""Text-to-image latent diffusion: train, sample, and measure. docs/library.md tells what is here; nothing is imported before
it is used."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# Name -> the file that has it. They are imported at their first use, because torch takes seconds.
_FACE = {
    "load": "library.load",
    "evaluate": "library.measure",
    "evaluate_pictures": "pipeline.folders.measured",
    "metrics": "library.metrics",
    "LatentDiffusion": "models.latent_diffusion",
    "LatentDiffusionModule": "training.modules.latent_diffusion",
    "CaptionedImages": "training.loading.captioned_images",
    "Objective": "config.schema",
    "Training": "config.schema",
    "ConfigError": "config.errors",
}
_CHOICES = {"guiders": "guidance", "samplers": "sampler", "sources": "data"}


def __getattr__(name: str) -> Any:
    if name in _CHOICES:
        found: Any = importlib.import_module(".library.choices", __name__).group(_CHOICES[name])
    elif name in _FACE:
        module = importlib.import_module(f".{_FACE[name]}", __name__)
        found = module if _FACE[name].endswith(f".{name}") and not hasattr(module, name) else getattr(module, name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *_FACE, *_CHOICES])
