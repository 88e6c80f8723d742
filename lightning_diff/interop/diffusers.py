"""The UNet and the autoencoder of other people's models, as arguments and tensors of our nets: from diffusers' folders
(UNet2DConditionModel, AutoencoderKL) and from files with the names of diffusers or of latent diffusion (LDM)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..config.errors import ConfigError
from ..config.foreign.laws import read_json
from ..nets.ldm.shape import Shape, shape_of
from ..nets.ldm_autoencoder import LatentDiffusionAutoencoder
from ..nets.ldm_unet import LatentDiffusionUNet
from .fields.unet import unet_arguments
from .fields.vae import autoencoder_arguments, latent_normalisation
from .files.deduce import SCALING, autoencoder_words, counted, family_of, ldm_levels, unet_words
from .files.find import EMA, Found, find
from .files.tensors import State, read_ema, read_found
from .lora import merge_lora
from .names import RESNET, VAE_BLOCK, from_diffusers, from_ldm, unet_table, vae_table

FILE = "diffusion_pytorch_model.safetensors"
UNET_PREFIX, VAE_PREFIX = "model.diffusion_model.", "first_stage_model."
NO_KEY = ("eps", "cosine_first", "frequency_shift", "middle")  # what a model says of itself and no key of ours


@dataclass(frozen=True)
class Opened:
    """A part of a foreign model, read: the arguments of our net, its tensors under our names, its own words (`config`), what was
    `guessed` because no file says it, and notes."""

    arguments: dict[str, Any]
    state: State
    found: Found
    config: dict[str, Any]
    guessed: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())


def component(path: Path, name: str) -> Path:
    """The folder of the part `name` in a pipeline's folder, or the folder itself."""
    return path / name if (path / name / "config.json").is_file() else path


def read_config(folder: Path) -> dict[str, Any]:
    """A component's config.json. Raises ConfigError."""
    return read_json(folder / "config.json")


def open_unet(path: Path, average: str = "raw", loras: Sequence[Path] = ()) -> Opened:
    """The UNet of whatever lies at `path`. `average` says which weights of a single file that has both: `raw` or `ema`. The
    `loras` are merged into it. Raises ConfigError."""
    found = find(path, "unet")
    notes = list(found.notes)
    averaged = any(n.startswith(EMA) for n in found.others)
    if average == "ema" and not averaged:
        raise ConfigError(f"{path}: no averaged weights in it (names with {EMA}); leave init_average out")
    if not found.tensors:
        raise ConfigError(
            f"{path}: averaged weights (EMA) alone, whose names have no dots; convert it with diffusers (extract_ema=True)"
        )
    state = read_found(found)
    if average == "ema":
        state = read_ema(path, state)
    if averaged:
        notes.append(f"its {'averaged' if average == 'ema' else 'raw'} weights were taken; the file has raw and EMA")
    if found.layout == "ldm":
        state = from_ldm(state, unet_table(*ldm_levels(state)), RESNET)
    guessed: tuple[str, ...] = ()
    words = found.config
    if words is None:
        words = unet_words(state)
        known = "attention_head_dim" in words
        guessed = ("norm_eps, time sinusoids: as in Stable Diffusion", *(() if known else ("attention_head_dim",)))
    arguments = unet_arguments(words, found.where)
    if "attention_head_dim" in guessed:
        del arguments["heads"]
    for lora in loras:
        state = merge_lora(state, lora)
        notes.append(f"{lora} was merged")
    return Opened(arguments, from_diffusers(state), found, dict(words), guessed, tuple(notes))


def open_autoencoder(path: Path, scaling_factor: float | None = None) -> Opened:
    """The autoencoder of whatever lies at `path`, with `shift` and `scale` of its latents. `scaling_factor` is for a file that
    says none. Raises ConfigError."""
    found = find(path, "vae")
    state = read_found(found)
    state = {n: t for n, t in state.items() if not n.startswith("loss.")}  # left over from its training
    if found.layout == "ldm":
        levels = counted(state, "encoder.down.")
        state = from_ldm(state, vae_table(levels, counted(state, "encoder.down.0.block.")), VAE_BLOCK)
    words, guessed = found.config, ()
    if words is None:
        factor = scaling_factor or _factor(found)
        if factor is None:
            raise ConfigError(
                f"{path}: an autoencoder alone, which does not say its scaling factor; say autoencoder.scaling_factor=0.18215 "
                "(Stable Diffusion 1.x and 2.x) or 0.13025 (XL)"
            )
        words = autoencoder_words(state, factor)
    elif scaling_factor and scaling_factor != words.get("scaling_factor", 0.18215):
        said = words.get("scaling_factor", 0.18215)
        raise ConfigError(f"autoencoder.scaling_factor={scaling_factor}: {found.where} says {said}; leave it out")
    arguments = autoencoder_arguments(words, found.where)
    shift, scale = latent_normalisation(words, found.where)
    state = from_diffusers(state)
    n = arguments["latent_channels"]
    for name, channels in (("quant_conv", 2 * n), ("post_quant_conv", n)):
        if not words.get(f"use_{name}", True):  # it would be the identity
            state[f"{name}.weight"], state[f"{name}.bias"] = (
                torch.eye(channels)[:, :, None, None],
                torch.zeros(channels),
            )
    state["shift"], state["scale"] = torch.tensor(shift), torch.tensor(scale)
    return Opened(arguments, state, found, dict(words), guessed, found.notes)


def _factor(found: Found) -> float | None:
    """The scaling factor of a single-file checkpoint's family; None if the file is an autoencoder alone."""
    said = found.metadata.get("modelspec.architecture", "")
    if said.startswith("stable-diffusion"):
        return SCALING["XL" if "-xl" in said else "Stable Diffusion 1.x"]
    if not any(n.startswith((UNET_PREFIX, "conditioner.", "cond_stage_model.")) for n in found.others):
        return None
    return SCALING[family_of(found.others, {})]


def described(net: LatentDiffusionAutoencoder) -> dict[str, Any]:
    """The arguments that an autoencoder was built with."""
    widths = [level.resnets[-1].conv1.out_channels for level in net.encoder.down_blocks]  # type: ignore[union-attr, index]
    groups = net.encoder.conv_norm_out.num_groups
    return {"widths": widths, "latent_channels": net.latent_channels, "blocks": net.blocks, "groups": groups}


def unet_state(path: Path, net: LatentDiffusionUNet, average: str = "raw", loras: Sequence[Path] = ()) -> State:
    """The parameters for `net`, under our names. Raises ConfigError, which names the words to say, if the net is not what the
    model says of itself."""
    opened = open_unet(path, average, loras)
    arguments = opened.arguments
    if "heads" not in arguments:  # no file says them
        arguments = {**arguments, "heads": [h or 1 for h in net.shape.heads]}
    theirs = shape_of(**arguments)
    differing = net.shape.differences(theirs)
    if "heads" not in opened.arguments:
        differing.pop("middle_heads", None)
        differing.pop("groups", None)
    if differing:
        raise ConfigError(f"{opened.found.where}: not this net: {_words(differing, theirs)}")
    return opened.state


def _words(differing: dict[str, tuple[Any, Any]], theirs: Shape) -> str:
    """The differences between a run's net and a model's own words, as words to say on the command line."""
    said = []
    for name, (here, there) in differing.items():
        listed = str(list(there) if isinstance(there, tuple) else there).replace(" ", "")
        if name == "heads":
            attending = [(w, h) for w, h in zip(theirs.widths, there, strict=True) if h]
            if len({h for _, h in attending}) == 1:
                said.append(f"net.heads={attending[0][1]}")
            elif len({w // h for w, h in attending}) == 1:
                said.append(f"net.heads=0 net.head_width={attending[0][0] // attending[0][1]}")
            else:
                said.append(f"it has {listed} heads, which no key says")
        elif name in ("widths", "blocks", "depth", "groups"):
            said.append(f"net.{name}={listed}")
        elif name == "pooled_width" and bool(here) != bool(there):
            said.append(f"net.pooled={str(bool(there)).lower()}")
        elif name == "channels":
            said.append(f"autoencoder.latent_channels={there}")
        elif name == "middle_heads" and "heads" in differing:
            continue
        else:
            said.append(f"its {name} is {listed}, the run's {here}")
    return ", ".join(said)


def carried_arguments(path: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the net that no key of ours says and that the model says of itself, where they differ from what
    `arguments` ask for. Raises ConfigError."""
    found = find(path, "unet")
    if found.config is None:
        return {}
    theirs = unet_arguments(found.config, found.where)
    differing = shape_of(**arguments).differences(shape_of(**theirs))
    return {name: theirs[name] for name in NO_KEY if name in differing}


def autoencoder_state(path: Path, net: LatentDiffusionAutoencoder, scaling_factor: float | None = None) -> State:
    """The parameters for `net`, under our names, with the latent's shift and scale: diffusers' latents are
    (raw - shift) * factor, ours are (raw - shift) / scale. Raises ConfigError, which names the words to say."""
    opened = open_autoencoder(path, scaling_factor)
    here, there = described(net), opened.arguments
    if opened.found.config is None:
        there = {**there, "groups": here["groups"]}  # no tensor says it
    if here != there:
        words = " ".join(f"autoencoder.{k}={v}" for k, v in there.items() if here[k] != v).replace(", ", ",")
        raise ConfigError(f"{opened.found.where}: not this autoencoder; say {words}")
    return opened.state


def load_unet(path: Path, average: str = "raw", loras: Sequence[Path] = ()) -> LatentDiffusionUNet:
    """The UNet of a model, with the shape that the model says. Raises ConfigError."""
    opened = open_unet(path, average, loras)
    if "heads" not in opened.arguments:
        raise ConfigError(f"{opened.found.where}: no word on the number of attention heads; give the model's folder")
    net = LatentDiffusionUNet(**opened.arguments)
    net.load_state_dict(opened.state)
    return net


def load_autoencoder(path: Path, scaling_factor: float | None = None) -> LatentDiffusionAutoencoder:
    """The autoencoder of a model, with the shape that the model says. Raises ConfigError."""
    opened = open_autoencoder(path, scaling_factor)
    net = LatentDiffusionAutoencoder(**opened.arguments)
    net.load_state_dict(opened.state)
    return net
