"""Building of nets: their descriptions from a config's choices, the nets from passports, and their initial weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..config.errors import ConfigError
from ..config.registry import named
from ..config.schema import Objective
from ..interop.diffusers import autoencoder_state, carried_arguments, unet_state
from ..nets.attributes import AttributeClassifier
from ..nets.autoencoders.base import AutoencoderChoice
from ..nets.denoisers.base import Inputs, NetSpec
from ..nets.ldm_autoencoder import LatentDiffusionAutoencoder
from ..nets.ldm_unet import LatentDiffusionUNet
from ..nets.text import TextEncoder, Tower, Towers
from ..nets.unet import Condition, NullCondition
from ..nets.weights import has_passport, load_into, load_state, read_passport
from .passports import check_passport

NET_PARTS = ("net", "unet")  # a passport's words for the denoising net; "unet" until November 2026


def kind_of(net: dict[str, Any]) -> str:
    """The name of the choice that a passport's net belongs to; "small" if it is not given."""
    return str(net.get("kind", "small"))


def build(passport: dict[str, Any]) -> nn.Module:
    """The net that a passport describes, with random weights; its attribute `made_by` is the part of the passport that describes
    it. Raises ConfigError for a choice that is not known here."""
    built = _built(passport)
    # A tower may be told to read another layer: its own description says so.
    net = built.config if isinstance(built, Tower | Towers) else passport["net"]
    built.made_by = {"part": passport["part"], "net": net}  # type: ignore[assignment]
    return built


def _built(passport: dict[str, Any]) -> nn.Module:
    part, net = passport["part"], dict(passport["net"])
    if part in ("text", "judge"):
        if towers := net.pop("towers", None):
            return Towers([Tower(t) for t in towers], **net)
        return Tower(net)
    if part == "attributes":
        return AttributeClassifier(**net)
    kind, learned = kind_of(net), net.pop("null", None)
    net.pop("kind", None)
    spec: Any = named("net" if part in NET_PARTS else part, kind)
    built: nn.Module = spec.module()(**net)
    if learned:
        built.null = NullCondition(learned)
        if net.get("pooled_width") == 0:  # it reads none: a parameter without a gradient stops several ranks
            built.null.pooled.requires_grad_(False)
    return built


def load_part(path: Path) -> Any:
    """The component in that file, frozen and in evaluation mode. Raises ConfigError."""
    passport = read_passport(path)
    check_passport(passport, path, build)
    net = build(passport)
    load_into(net, path)
    net.requires_grad_(False)
    return net.eval()


def autoencoder_net(autoencoder: AutoencoderChoice) -> dict[str, Any]:
    """The description, for a passport, of this choice's autoencoder."""
    return {"kind": autoencoder.kind, **autoencoder.arguments()}


@torch.no_grad()
def null_condition(kind: str, tower: TextEncoder) -> Condition:
    """The condition that means "no caption": that of the empty caption, or zeros. A learned one starts as the empty caption."""
    empty = tower.condition([""])
    if kind != "zeros":
        return empty
    return Condition(empty.tokens.zero_(), torch.ones_like(empty.mask), empty.pooled.zero_())


def denoising_net(
    net: NetSpec, autoencoder: Any, null: Condition, learned: bool, objective: Objective
) -> dict[str, Any]:
    """The description, for a passport, of this choice's net. It fits the autoencoder's latents and captions of the null
    condition's shape. `learned`: the net learns its null condition."""
    width, pooled = null.tokens.shape[-1], null.pooled.shape[-1]
    given = Inputs(autoencoder.latent_channels, autoencoder.factor, width, pooled, objective.schedule)
    described = {"kind": net.kind, **net.arguments(given)}
    return {**described, "null": [*null.tokens.shape[1:], pooled]} if learned else described


@dataclass(frozen=True)
class Start:
    """Where the weights come from. `average` raw or ema: which weights of a single file that has both. `loras` are merged into
    the UNet's. `scaling_factor` is for an autoencoder's file that does not say it."""

    path: Path
    average: str = "raw"
    loras: Sequence[Path] = ()
    scaling_factor: float | None = None

    @property
    def foreign(self) -> bool:
        """Whether another project made them. Raises ConfigError if it is a file, but not safetensors."""
        return self.path.is_dir() or not has_passport(self.path)


def heeded(described: dict[str, Any], start: Start) -> dict[str, Any]:
    """A net's description, with what a foreign model says of itself and no key of ours says. Raises ConfigError."""
    if described.get("kind") != "ldm" or not start.foreign:
        return described
    shape = {name: value for name, value in described.items() if name not in ("kind", "null")}
    return described | carried_arguments(start.path, shape)


def start_from(net: nn.Module, start: Start | Path) -> None:
    """Load weights of this project, of a diffusers folder, or of a single-file checkpoint. Raises ConfigError when they are not
    this net's."""
    start = Start(start) if isinstance(start, Path) else start
    if not start.foreign:
        if start.loras or start.average != "raw":
            raise ConfigError(
                f"{start.path}: init_lora and init_average are for other projects' weights; leave them out"
            )
        load_into(net, start.path)
        return
    if isinstance(net, LatentDiffusionUNet):
        state = unet_state(start.path, net, start.average, start.loras)
    elif isinstance(net, LatentDiffusionAutoencoder):
        state = autoencoder_state(start.path, net, start.scaling_factor)
    else:
        raise ConfigError(f"{start.path}: weights without a passport fit net=ldm and autoencoder=ldm alone")
    if null := getattr(net, "null", None):  # learned by this project, so those weights lack it
        state |= {f"null.{name}": value for name, value in null.state_dict().items()}
    load_state(net, state, start.path, "; choose its shape, net=sd15, sd21 or sdxl, autoencoder=sd")


def parameters(net: nn.Module) -> float:
    """The number of parameters, in millions."""
    return sum(p.numel() for p in net.parameters()) / 1e6
