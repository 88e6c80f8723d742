"""The frozen parts of a run (autoencoder, tower, judge, attribute classifier): shipped, given, or trained first."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import nn

from ..config import Config, ConfigError
from ..data.shards import digest, identity
from ..data.worlds import WORLDS
from ..nets.attributes import AttributeClassifier
from ..nets.autoencoder import Autoencoder
from ..nets.text import Tower
from ..nets.weights import file_hash, load_into, read_passport
from .compose import compose_config
from .run import say

SHIPPED = Path(__file__).resolve().parents[1] / "weights"
EXPERIMENTS = {"autoencoder": "autoencoder", "text": "contrastive", "judge": "judge", "attributes": "attributes"}
NAMES = {
    "autoencoder": "autoencoder",
    "text": "text tower",
    "judge": "judging tower",
    "attributes": "attribute classifier",
}


def build(passport: dict[str, Any]) -> nn.Module:
    """The net that a passport describes, with random weights."""
    nets: dict[str, Any] = {
        "autoencoder": lambda net: Autoencoder(**net),
        "text": Tower,
        "judge": Tower,
        "attributes": lambda net: AttributeClassifier(**net),
    }
    return nets[passport["part"]](passport["net"])


def load_part(path: Path) -> Any:
    """The part in that file, frozen and in evaluation mode. Raises ConfigError."""
    passport = read_passport(path)
    net = build(passport)
    load_into(net, path)
    net.requires_grad_(False)
    return net.eval()


def find_part(part: str, config: Config) -> Path:
    """The weights of a part for this config's data: the file given, the shipped one if it was trained on such data, or
    else one that is trained now. Raises ConfigError when a given file is not that part."""
    given = {"autoencoder": config.autoencoder.weights, "text": config.text.weights}.get(part, "auto")
    if given != "auto":
        return Path(given)
    data = identity(config.data)
    shipped = SHIPPED / f"{part}-{config.data.kind}.safetensors"
    if shipped.is_file() and read_passport(shipped)["data"] == data and _same_net(part, config, read_passport(shipped)):
        return shipped
    return _trained(part, config, data)


def _same_net(part: str, config: Config, passport: dict[str, Any]) -> bool:
    if part != "autoencoder":
        return True
    a = config.autoencoder
    return passport["net"] == {"widths": a.widths, "latent_channels": a.latent_channels, "blocks": a.blocks}


def _trained(part: str, config: Config, data: str) -> Path:
    from .train import WEIGHTS, train

    recipe = part_config(part, config)
    key = digest({"data": data, "autoencoder": asdict(recipe.autoencoder), "steps": recipe.training.steps})
    folder = Path(config.outputs) / "parts" / f"{part}-{config.data.kind}-{key}"
    weights = folder / WEIGHTS
    if not weights.is_file():
        say(f"no {NAMES[part]} for these pictures ({data}): training it first, in {folder}")
        train(recipe, folder)
    return weights


def part_config(part: str, config: Config) -> Config:
    """The config of a part's own experiment on this config's data. A judge sees other pictures where they can be made."""
    recipe = compose_config([f"experiment={EXPERIMENTS[part]}"])
    data = config.data
    if data.kind in WORLDS:
        data = replace(data, seed=recipe.data.seed + data.seed)
    training = replace(
        recipe.training,
        accelerator=config.training.accelerator,
        workers=config.training.workers,
        steps=min(recipe.training.steps, config.training.steps) if config.training.steps < 100 else recipe.training.steps,
    )
    return replace(
        recipe,
        data=data,
        autoencoder=config.autoencoder,
        training=training,
        outputs=config.outputs,
        cache=config.cache,
        tracking=replace(config.tracking, wandb="disabled"),
    )


def part_passport(path: Path) -> dict[str, Any]:
    """What a result says of a part: its name, hash and the pictures that it was trained on."""
    passport = read_passport(path)
    if passport.get("part") not in EXPERIMENTS:
        raise ConfigError(f"{path}: not a frozen part but {passport.get('part')!r}")
    return {"part": passport["part"], "sha256": file_hash(path), "data": passport["data"]}
