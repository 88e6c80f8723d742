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
from ..nets.foreign import DiffusersNet
from ..syntax import code_hash

PACKAGES = ("torch", "torchmetrics", "open_clip_torch", "pytorch-lightning")


UNUSED = ("conflicts", "name", "word", "evaluations", "resolve_nfe")  # methods of samplers and guiders
OF_TRAINING = ("blocks",)  # methods of nets that draw nothing
UNKNOWN = "not recorded"
DRAWING = (
    *("at_scales", "denoiser", "latent_shape", "_without_caption"),
    *("_network", "_run", "_prepare", "_bf16", "_pictures"),
)


def drawing_code(sampler: Any, guider: Any, nets: Sequence[type] = ()) -> dict[str, Any]:
    """Hashes of the code that draws: of what all pictures share, of the sampler, of the guider and of the `nets`, by the names
    of their classes."""
    model = (getattr(LatentDiffusion, name) for name in DRAWING)
    parts = {"shared": (*model, Path), "sampler": (type(sampler),), "guidance": (type(guider),)}
    found: dict[str, Any] = {name: code_hash(*roots, without=UNUSED) for name, roots in parts.items()}
    return found | {"nets": {net.__name__: net_code(net) for net in nets}}


def net_code(net: type) -> str:
    """The identity of a net's code: its hash, or of a net of another package that package's version."""
    package = net.__module__.split(".")[0]
    if package != __name__.split(".")[0] and (owners := importlib.metadata.packages_distributions().get(package)):
        return f"{package} {importlib.metadata.version(owners[0])}"
    try:
        return code_hash(net, without=OF_TRAINING)
    except OSError:  # a class without a file
        return UNKNOWN


def classes_of(*nets: nn.Module) -> list[type]:
    """The classes of nets, without torch.compile's, and with the one that a DiffusersNet calls."""
    plain = [getattr(net, "_orig_mod", net) for net in nets]
    return [type(net) for net in [*plain, *(net.net for net in plain if isinstance(net, DiffusersNet))]]


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
