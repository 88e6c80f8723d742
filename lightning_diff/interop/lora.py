"""LoRA adapters of other projects, merged into the weights that they change: W + scale B A (Hu et al. 2022), and DoRA's
magnitude (Liu et al. 2024). The names are those of peft, of diffusers, and of kohya's scripts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..config.errors import ConfigError
from ..nets.weights import refuse_infinite
from .files.find import header
from .files.tensors import State, read_tensors
from .names import RESNET, to_ldm, unet_table

DOWN = ("lora_down.weight", "lora_A.weight", "lora_A.default.weight", "lora.down.weight")
UP = ("lora_up.weight", "lora_B.weight", "lora_B.default.weight", "lora.up.weight")
MAGNITUDE = (
    "lora_magnitude_vector",
    "lora_magnitude_vector.weight",
    "lora_magnitude_vector.default.weight",
    "dora_scale",
)
ALPHA = ("alpha",)
PARTS = {"down": DOWN, "up": UP, "magnitude": MAGNITUDE, "alpha": ALPHA}
PREFIXES = ("base_model.model.", "unet.", "lora_unet_")
TEXT = ("text_encoder", "lora_te", "te1.", "te2.")


def _adapters(state: State, path: Path) -> dict[str, dict[str, Tensor]]:
    """{module's name in the file: {down, up, alpha, magnitude}}. Raises ConfigError for a tensor of another kind."""
    found: dict[str, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        for kind, endings in PARTS.items():
            ending = next((e for e in endings if name.endswith("." + e)), None)
            if ending:
                found.setdefault(name.removesuffix("." + ending), {})[kind] = tensor
                break
        else:
            raise ConfigError(
                f"init_lora={path}: {name}: no tensor of a LoRA or a DoRA; other adapters are not merged here"
            )
    return found


def _places(state: State) -> dict[str, str]:
    """{a module's name with underscores, in diffusers' names and in LDM's: its weight's name in `state` (diffusers' names)}."""
    weights = [n.removesuffix(".weight") for n, t in state.items() if n.endswith(".weight") and t.ndim in (2, 4)]
    places = {n.replace(".", "_"): f"{n}.weight" for n in weights}
    levels = 1 + max(int(m[1]) for n in state if (m := re.match(r"down_blocks\.(\d+)\.", n)))
    depth = [
        len(
            {
                m[1]
                for n in state
                if (m := re.match(rf"down_blocks\.{i}\.attentions\.0\.transformer_blocks\.(\d+)\.", n))
            }
        )
        for i in range(levels)
    ]
    blocks = len({m[1] for n in state if (m := re.match(r"down_blocks\.0\.resnets\.(\d+)\.", n))})
    numbers = {f"{n}.weight": torch.tensor(i) for i, n in enumerate(weights)}
    for name, i in to_ldm(numbers, unet_table(blocks, depth), RESNET).items():  # XL's adapters have these names
        places.setdefault(name.removesuffix(".weight").replace(".", "_"), f"{weights[int(i)]}.weight")
    return places


def merge_lora(state: State, path: Path, scale: float = 1.0) -> State:
    """A UNet's tensors (diffusers' names) with a LoRA's adapters merged in. Raises ConfigError if the file is none, or has
    adapters for other modules than this UNet's."""
    names, metadata = header(path)
    read = read_tensors({n: (path, n) for n in names})
    refuse_infinite(read, path)
    settings = _settings(metadata, path)
    places, out = _places(state), dict(state)
    for module, parts in _adapters(read, path).items():
        if module.startswith(TEXT):
            raise ConfigError(
                f"init_lora={path}: it changes the text encoder too ({module}); only a UNet's is merged here"
            )
        plain = module
        for prefix in PREFIXES:
            plain = plain.removeprefix(prefix)
        place = places.get(plain.replace(".processor", "").replace("_lora", "").replace(".", "_"))
        if place is None or "down" not in parts or "up" not in parts:
            raise ConfigError(f"init_lora={path}: {module}: this UNet has no such module with a LoRA's two matrices")
        out[place] = merged(out[place], parts, scale, settings, path)
    return out


def _settings(metadata: Mapping[str, str], path: Path) -> dict[str, Any]:
    """What peft says of the adapters in the file's metadata: r and lora_alpha."""
    said = json.loads(metadata.get("lora_adapter_metadata", "{}"))
    settings = {k.removeprefix("unet."): v for k, v in said.items() if not k.startswith("text_encoder")}
    for name in ("rank_pattern", "alpha_pattern"):
        if settings.get(name):
            raise ConfigError(
                f"init_lora={path}: {name}={settings[name]}: only one rank and one alpha for all are merged here"
            )
    return settings


def merged(
    weight: Tensor, parts: Mapping[str, Tensor], scale: float, settings: Mapping[str, Any], path: Path
) -> Tensor:
    """One weight with its adapter. Its alpha is in the file, or in peft's settings, or equals the rank."""
    down, up = parts["down"].flatten(1), parts["up"].flatten(1)
    rank = len(down)
    alpha = float(parts["alpha"]) if "alpha" in parts else float(settings.get("lora_alpha", rank))
    divisor = rank**0.5 if settings.get("use_rslora") else rank
    if parts["down"].ndim == 4 and parts["up"].shape[-1] != 1:
        raise ConfigError(
            f"init_lora={path}: an adapter of two 3 x 3 convolutions; only linear layers and 1 x 1 are merged"
        )
    delta = (up @ down).reshape(weight.shape) * (scale * alpha / divisor)
    out = weight + delta
    if "magnitude" in parts:
        magnitude, flat = parts["magnitude"], out.flatten(1)
        of_inputs = magnitude.ndim > 1 and magnitude.shape[0] == 1 and magnitude.numel() == flat.shape[1]  # older kohya
        size = magnitude.flatten() / flat.norm(dim=0 if of_inputs else 1)
        out = (flat * (size if of_inputs else size[:, None])).reshape(weight.shape)
    return out
