"""Helpers for passports (law 4): hashes of code, captions and pictures, and the environment."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from ..diffusion.path import Path
from ..models.latent_diffusion import LatentDiffusion
from ..syntax import code_hash

PACKAGES = ("torch", "torchmetrics", "open_clip_torch", "pytorch-lightning")


UNUSED = ("conflicts", "name", "word", "evaluations", "resolve_nfe")  # methods of samplers and guiders
DRAWING = (
    *("at_scales", "denoiser", "latent_shape", "_without_caption"),
    *("_network", "_run", "_prepare", "_bf16", "_pictures"),
)


def drawing_code(sampler: Any, guider: Any) -> dict[str, str]:
    """Hashes of the code that draws: of what all pictures share, of the sampler and of the guider. The nets do not count: their
    weights are in the passport."""
    model = (getattr(LatentDiffusion, name) for name in DRAWING)
    parts = {"shared": (*model, Path), "sampler": (type(sampler),), "guidance": (type(guider),)}
    return {name: code_hash(*roots, without=UNUSED) for name, roots in parts.items()}


def text_hash(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def tensor_hash(images: torch.Tensor) -> str:
    """A hash of the pictures' pixels."""
    return hashlib.sha256(images.contiguous().numpy().tobytes()).hexdigest()[:12]


def modules_hash(*modules: nn.Module) -> str:
    """A hash of all parameters and buffers, with their names."""
    total = hashlib.sha256()
    for module in modules:
        for name, t in module.state_dict().items():
            total.update(name.encode())
            total.update(t.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()[:12]


def environment() -> dict[str, Any]:
    """Package versions and the kind of machine."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    return {**{p: importlib.metadata.version(p) for p in PACKAGES}, "device": device}
