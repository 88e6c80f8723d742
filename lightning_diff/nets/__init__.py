"""Plain nn.Modules, and the choices of them. They know nothing of data, of diffusion, or of Lightning.

For users of the library, the keys of the denoising nets are here: UViT(widths=[48, 192]) is net=uvit, UNet(...) is net=small,
LatentDiffusionUNet(...) is net=ldm, and `from_diffusers` takes a net of diffusers."""

from __future__ import annotations

from typing import Any

_KEYS = {"UViT": "uvit", "UNet": "small", "LatentDiffusionUNet": "ldm"}


def __getattr__(name: str) -> Any:
    if name in _KEYS:
        from ..config.registry import named

        return named("net", _KEYS[name])
    if name == "from_diffusers":
        from .foreign import from_diffusers

        return from_diffusers
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
