"""Which nets a config means, and which a passport describes; weights to start them from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..config.errors import ConfigError
from ..config.schema import Autoencoder as AutoencoderConfig
from ..config.schema import Config
from ..config.schema import Text as TextConfig
from ..interop.diffusers import autoencoder_state, unet_state
from ..nets.attributes import AttributeClassifier
from ..nets.autoencoder import Autoencoder
from ..nets.ldm_autoencoder import LatentDiffusionAutoencoder
from ..nets.ldm_unet import LatentDiffusionUNet
from ..nets.text import TextEncoder, Tokenizer, Tower, Towers
from ..nets.unet import Condition, NullCondition, UNet
from ..nets.weights import has_passport, load_into, load_state, read_passport

HEAD = 32  # the width of a tower's heads

KINDS: dict[tuple[str, str], Any] = {
    ("unet", "small"): UNet,
    ("unet", "ldm"): LatentDiffusionUNet,
    ("autoencoder", "small"): Autoencoder,
    ("autoencoder", "ldm"): LatentDiffusionAutoencoder,
}


def build(passport: dict[str, Any]) -> nn.Module:
    """The net that a passport describes, with random weights."""
    part, net = passport["part"], dict(passport["net"])
    if part in ("text", "judge"):
        if towers := net.pop("towers", None):
            return Towers([Tower(t) for t in towers], **net)
        return Tower(net)
    if part == "attributes":
        return AttributeClassifier(**net)
    learned = net.pop("null", None)
    built: nn.Module = KINDS[part, net.pop("kind", "small")](**net)
    if learned:
        built.null = NullCondition(learned)
    return built


def load_part(path: Path) -> Any:
    """The part in that file, frozen and in evaluation mode. Raises ConfigError."""
    passport = read_passport(path)
    net = build(passport)
    load_into(net, path)
    net.requires_grad_(False)
    return net.eval()


def autoencoder_net(a: AutoencoderConfig) -> dict[str, Any]:
    """The autoencoder that the config means, as a passport describes it."""
    net: dict[str, Any] = {"widths": list(a.widths), "latent_channels": a.latent_channels, "blocks": a.blocks}
    return net if a.kind == "small" else {"kind": a.kind, "groups": a.groups, **net}


def tower_net(text: TextConfig, image_size: int) -> dict[str, Any]:
    """Our own tower as a passport describes it, but for its vocabulary."""
    vision = {"layers": text.vision_layers, "width": text.vision_width, "head_width": HEAD}
    words = {"context_length": text.context_length, "width": text.width, "heads": text.width // HEAD}
    return {
        "embedding": text.embedding,
        "vision": {**vision, "patch_size": text.patch_size, "image_size": image_size},
        "text": {**words, "layers": text.layers},
    }


@torch.no_grad()
def null_condition(kind: str, tower: TextEncoder) -> Condition:
    """What stands for no caption: the empty one, or zeros; a learned one begins as the empty one."""
    empty = tower.condition([""])
    if kind != "zeros":
        return empty
    return Condition(empty.tokens.zero_(), torch.ones_like(empty.mask), empty.pooled.zero_())


def unet_net(config: Config, autoencoder: Any, null: Condition) -> dict[str, Any]:
    """The UNet that the config means, between this autoencoder's latents and captions of the null condition's shape."""
    u = config.unet
    net = {"channels": autoencoder.latent_channels, "token_width": null.tokens.shape[-1], "widths": list(u.widths)}
    net |= {"blocks": u.blocks, "head_width": u.head_width}
    pooled = null.pooled.shape[-1]
    if config.text.null == "learned":
        net["null"] = [*null.tokens.shape[1:], pooled]
    if u.kind == "small":
        return {**net, "pooled_width": pooled, "attention": list(u.attention)}
    counted = config.objective.schedule.startswith(("linear", "scaled_linear"))  # steps 0..999
    return {
        **net,
        "kind": u.kind,
        "depth": list(u.depth),
        "heads": u.heads,
        "pooled_width": pooled if u.pooled else 0,
        "time_offset": -1.0 if counted else 0.0,
        "pixels_per_latent": autoencoder.factor,
        "masked": u.masked,
        "groups": u.groups,
    }


def start_from(net: nn.Module, path: Path) -> None:
    """Load weights of this project, of a diffusers folder, or of a single-file checkpoint. Raises ConfigError when they
    are not of this net."""
    if path.is_file() and has_passport(path):
        load_into(net, path)
        return
    if isinstance(net, LatentDiffusionUNet):
        state = unet_state(path, net.blocks, net.depth)
    elif isinstance(net, LatentDiffusionAutoencoder):
        state = autoencoder_state(path, len(net.encoder.down_blocks), net.blocks)
    else:
        raise ConfigError(f"{path}: weights without a passport fit unet.kind=ldm and autoencoder.kind=ldm alone")
    if null := getattr(net, "null", None):  # learned here, so not in there
        state |= {f"null.{name}": value for name, value in null.state_dict().items()}
    load_state(net, state, path, "; choose its shape, unet=sd15, sd21 or sdxl, autoencoder=sd")


def tower_config(config: Config, captions: list[str]) -> dict[str, Any]:
    """What builds our own tower: its sizes and the vocabulary of these captions."""
    return {**tower_net(config.text, config.data.image_size), "vocabulary": Tokenizer.words_of(captions)}


def parameters(net: nn.Module) -> float:
    """Millions."""
    return sum(p.numel() for p in net.parameters()) / 1e6
