"""Reading of weights for our nets: from diffusers' folders (UNet2DConditionModel, AutoencoderKL) and single-file LDM checkpoints.

Only safetensors are read, because nothing in them can be executed (law 8).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..config.errors import ConfigError
from ..nets.ldm_autoencoder import LatentDiffusionAutoencoder
from ..nets.ldm_unet import LatentDiffusionUNet
from ..nets.weights import read_state
from .names import RESNET, VAE_BLOCK, from_diffusers, from_ldm, unet_table, vae_table

FILE = "diffusion_pytorch_model.safetensors"
UNET_PREFIX, VAE_PREFIX = "model.diffusion_model.", "first_stage_model."


def component(path: Path, name: str) -> Path:
    """The folder of the `unet` or `vae` in a pipeline's folder, or the folder itself. Raises ConfigError."""
    folder = path / name if (path / name / "config.json").is_file() else path
    if not (folder / "config.json").is_file():
        raise ConfigError(f"{path}: no config.json in it or in {name}/; give a diffusers folder or a safetensors file")
    if not (folder / FILE).is_file():
        raise ConfigError(f"{folder}: no {FILE} in it; only safetensors are read (save with safe_serialization=True)")
    return folder


def read_config(folder: Path) -> dict[str, Any]:
    """A component's config.json. Raises ConfigError."""
    try:
        found = json.loads((folder / "config.json").read_text("utf-8"))
    except ValueError as e:
        raise ConfigError(f"{folder / 'config.json'}: not JSON ({e})") from e
    if not isinstance(found, dict):
        raise ConfigError(f"{folder / 'config.json'}: not a table")
    return found


def _each(value: Any, levels: int) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value] * levels


def unet_arguments(c: dict[str, Any]) -> dict[str, Any]:
    """LatentDiffusionUNet's arguments from a UNet2DConditionModel's config. Raises ConfigError if the UNet is not like Stable
    Diffusion's."""
    widths = list(c["block_out_channels"])
    levels = len(widths)
    known = {"CrossAttnDownBlock2D": 1, "DownBlock2D": 0}
    odd = [t for t in c["down_block_types"] if t not in known]
    odd += [k for k in ("class_embed_type", "encoder_hid_dim_type", "time_cond_proj_dim") if c.get(k)]
    odd += [c["addition_embed_type"]] if c.get("addition_embed_type") not in (None, "text_time") else []
    if odd or c.get("in_channels") != c.get("out_channels"):
        raise ConfigError(
            f"a UNet of another kind ({', '.join(map(str, odd)) or 'in_channels and out_channels differ'})"
        )
    layers = _each(c.get("transformer_layers_per_block", 1), levels)
    depth = [n * known[t] for n, t in zip(layers, c["down_block_types"], strict=True)]
    heads = _each(
        c.get("num_attention_heads") or c.get("attention_head_dim", 8), levels
    )  # it means the number of heads
    same = len(set(heads)) == 1
    pooled = c.get("projection_class_embeddings_input_dim") or 0
    return {
        "channels": c["in_channels"],
        "token_width": c["cross_attention_dim"],
        "widths": widths,
        "blocks": c["layers_per_block"],
        "depth": depth,
        "heads": heads[0] if same else 0,
        "head_width": widths[0] // heads[0],
        "pooled_width": pooled - 6 * 256 if pooled else 0,
        "groups": c.get("norm_num_groups", 32),
    }


def autoencoder_arguments(c: dict[str, Any]) -> dict[str, Any]:
    """LatentDiffusionAutoencoder's arguments from an AutoencoderKL's config."""
    return {
        "widths": list(c["block_out_channels"]),
        "latent_channels": c["latent_channels"],
        "blocks": c["layers_per_block"],
        "groups": c.get("norm_num_groups", 32),
    }


def _under(path: Path, prefix: str) -> dict[str, Tensor]:
    state = {n.removeprefix(prefix): t for n, t in read_state(path).items() if n.startswith(prefix)}
    if not state:
        raise ConfigError(f"{path}: no {prefix}* in it; not a single-file checkpoint of latent diffusion")
    return state


def unet_state(path: Path, blocks: int, depth: list[int]) -> dict[str, Tensor]:
    """A UNet's parameters under our names, from a diffusers folder or a single file. Raises ConfigError."""
    if path.is_dir():
        return from_diffusers(read_state(component(path, "unet") / FILE))
    return from_diffusers(from_ldm(_under(path, UNET_PREFIX), unet_table(blocks, depth), RESNET))


def autoencoder_state(path: Path, levels: int, blocks: int, scaling_factor: float | None = None) -> dict[str, Tensor]:
    """An autoencoder's parameters under our names. Its scaling factor (from the folder's config) becomes the latent's scale:
    diffusers' latents are (raw - shift) * factor, ours are (raw - shift) / scale. Raises ConfigError."""
    shift = 0.0
    if path.is_dir():
        folder = component(path, "vae")
        config = read_config(folder)
        scaling_factor = config.get("scaling_factor", 0.18215)
        shift = config.get("shift_factor") or 0.0
        state = from_diffusers(read_state(folder / FILE))
    else:
        state = from_diffusers(from_ldm(_under(path, VAE_PREFIX), vae_table(levels, blocks), VAE_BLOCK))
    channels = state["post_quant_conv.weight"].shape[1]
    state["shift"] = torch.full((channels,), float(shift))
    state["scale"] = torch.full((channels,), 1 / float(scaling_factor or 0.18215))
    return state


def load_unet(path: Path) -> LatentDiffusionUNet:
    """The UNet of a diffusers folder. Raises ConfigError."""
    folder = component(path, "unet")
    arguments = unet_arguments(read_config(folder))
    net = LatentDiffusionUNet(**arguments)
    net.load_state_dict(unet_state(folder, arguments["blocks"], arguments["depth"]))
    return net


def load_autoencoder(path: Path) -> LatentDiffusionAutoencoder:
    """The autoencoder of a diffusers folder. Raises ConfigError."""
    folder = component(path, "vae")
    arguments = autoencoder_arguments(read_config(folder))
    net = LatentDiffusionAutoencoder(**arguments)
    net.load_state_dict(autoencoder_state(folder, len(arguments["widths"]), arguments["blocks"]))
    return net
