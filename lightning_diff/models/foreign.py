"""A whole latent diffusion model of another project, drawn with the nets and the samplers of this one: Stable Diffusion 1.x, 2.x
and XL, as a pipeline's folder of diffusers or as a single file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from ..config.errors import ConfigError
from ..config.foreign.own_words import said_by
from ..config.foreign.pipeline import class_in, pipeline_words
from ..diffusion.guiders.base import Guider
from ..diffusion.guiders.cfg import CFG
from ..diffusion.path import Path as DiffusionPath
from ..diffusion.samplers.ancestral import DDIM
from ..diffusion.samplers.base import Sampler
from ..interop.diffusers import Opened, open_autoencoder, open_unet
from ..interop.files.deduce import FAMILIES
from ..interop.probe import probe
from ..interop.text import find_text, tower_of_folder
from ..nets.text import TextEncoder, Towers
from ..nets.weights import load_state
from .build import build, null_condition
from .latent_diffusion import LatentDiffusion

STEPS, SCALE = 50, 7.5  # of a pipeline that is asked for nothing else
SIDES = {"Stable Diffusion 1.x": 512, "Stable Diffusion 2.x": 512, "XL": 1024}  # pixels, where no file says them


@dataclass(frozen=True)
class Foreign:
    """A foreign model. `guessed` says what no file of it tells."""

    model: LatentDiffusion
    guessed: tuple[str, ...]


def load_foreign(
    path: Path,
    device: str = "cpu",
    sampler: Sampler | None = None,
    guider: Guider | None = None,
) -> Foreign:
    """The model in a pipeline's folder of diffusers, or in a single file. Only safetensors are read, and nothing is executed.

    By default it draws with DDIM in 50 steps, on the time grid that the model's scheduler has, and with the guidance scale 7.5.
    Raises ConfigError for what is not such a model, and for a word of the model that is not computed here."""
    index = pipeline_words(path) if path.is_dir() else {}
    unet, vae = open_unet(path), open_autoencoder(path)
    if "heads" not in unet.arguments:
        raise ConfigError(f"{path}: no word on the number of the UNet's attention heads; give the model's folder")
    autoencoder = _part("autoencoder", vae)
    net = _part("net", unet, pixels_per_latent=autoencoder.factor)
    text = _text_encoder(path, bool(net.pooled))
    if (width := text.condition([""]).tokens.shape[-1]) != (wanted := unet.arguments["token_width"]):
        raise ConfigError(
            f"{path}: its text encoder gives tokens of width {width}, its UNet reads {wanted}; they do not belong together"
        )
    said = said_by(path)
    keys, guessed = dict(said.keys) if said else {}, [*unet.guessed, *vae.guessed]
    if "objective.prediction" not in keys:
        keys["objective.prediction"] = _prediction(unet)
        guessed.append(f"objective.prediction={keys['objective.prediction']}")
    schedule = keys.setdefault("objective.schedule", "scaled_linear")
    zeros = net.pooled and index.get("force_zeros_for_empty_prompt", True)
    model = LatentDiffusion(
        autoencoder.to(device),
        text.to(device),
        net.to(device),
        DiffusionPath(schedule, keys["objective.prediction"]),
        null_condition("zeros" if zeros else "empty", text),
        sampler or DDIM(steps=STEPS, grid=keys.get("sampler.grid", "uniform")),
        guider or CFG(scale=SCALE),
        _side(unet, autoencoder.factor, keys),
    )
    return Foreign(model, tuple(guessed))


def latent_diffusion_in(path: Path) -> bool:
    """Whether load_foreign may open what lies there, told without reading weights: a pipeline of such a class whose scheduler is
    known, or a safetensors file."""
    if path.is_file():
        return path.suffix == ".safetensors"
    try:
        return bool(class_in(path)) and bool(pipeline_words(path)) and said_by(path) is not None
    except ConfigError:
        return False


def _part(part: str, opened: Opened, **more: Any) -> Any:
    net: nn.Module = build({"part": part, "net": {"kind": "ldm", **opened.arguments, **more}})
    load_state(net, opened.state, opened.found.path)
    return net.requires_grad_(False).eval()


def _text_encoder(path: Path, pooled: bool) -> TextEncoder:
    """The tower, or XL's two towers. Where the tokens are taken follows from the family: Stable Diffusion 2.x and XL take the
    layer before the last one; a folder of 2.x holds no layer after it."""
    tower = tower_of_folder(path)
    if not pooled:
        last = find_text(path)[0].layout != "open_clip"
        tower.read_at(1 if last else min(2, tower.layers), True)
        return _described(tower)
    other = tower_of_folder(path, "text_2")
    for each in (tower, other):
        each.read_at(2, False)
    return _described(Towers([tower, other], "channels", "last"))


def _described(text: Any) -> TextEncoder:
    """With the description from which a checkpoint builds it again."""
    text.made_by = {"part": "text", "net": text.config}
    frozen: TextEncoder = text.requires_grad_(False).eval()
    return frozen


def _family(opened: Opened) -> str:
    return FAMILIES.get(opened.arguments["token_width"], FAMILIES[768])[0]


def _prediction(unet: Opened) -> str:
    """What the UNet of a file without a word on it predicts. Of Stable Diffusion 2.x both are in use, so it is measured."""
    return probe(unet, None).guess if _family(unet) == "Stable Diffusion 2.x" else "eps"


def _side(unet: Opened, factor: int, keys: Mapping[str, str]) -> int:
    """The size of the model's pictures, in pixels."""
    if isinstance(side := unet.config.get("sample_size"), int):
        return side * factor
    family = _family(unet)
    return 768 if family == "Stable Diffusion 2.x" and keys["objective.prediction"] == "v" else SIDES[family]
