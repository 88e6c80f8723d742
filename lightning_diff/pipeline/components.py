"""The frozen components of a run (autoencoder, text tower, judging tower, attribute classifier): which weights they have, and
the run's own copy of them. Looking one up trains nothing: stages.py does that first."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..config.compose import compose_config
from ..config.errors import ConfigError
from ..config.paths import PARTS, SHIPPED, WEIGHTS
from ..config.registry import named
from ..config.schema import Config
from ..data.shards import digest
from ..files import whole_file
from ..models.build import autoencoder_net, build, kind_of, start_from
from ..nets.weights import has_passport, read_passport, save_weights

HEAD_START = 0.2  # the share of its steps that an autoencoder still needs when it starts from one of other pictures
EXPERIMENTS = {"autoencoder": "autoencoder", "text": "contrastive", "judge": "judge", "attributes": "attributes"}
NAMES = {
    "autoencoder": "autoencoder",
    "text": "text tower",
    "judge": "judging tower",
    "attributes": "attribute classifier",
}


@dataclass(frozen=True)
class Place:
    """Where a part's weights are, and whose they are; or where they will be, when its `recipe` has been trained there."""

    path: Path
    origin: str
    recipe: Config | None = None


def locate_part(part: str, config: Config) -> Place:
    """The weights of a part for this config's data: the file given, the shipped one if it was trained on such data, or
    else one that is trained first."""
    given = {"autoencoder": config.autoencoder.weights, "text": config.text.weights}.get(part, "auto")
    if given != "auto":
        return Place(Path(given), "given")
    data = config.data.identity
    shipped = SHIPPED / config.data.kind / PARTS / f"{part}.safetensors"
    if shipped.is_file():
        passport = read_passport(shipped)
        fits = passport["data"] == data and _same_net(part, config, passport)
        if fits and _same_recipe(part, config, passport):
            return Place(shipped, "shipped")
    recipe = part_config(part, config)
    made_by = {"data": data, "autoencoder": asdict(recipe.autoencoder), "steps": recipe.training.steps}
    if part == "text":
        made_by |= {"text": asdict(recipe.text)}
    key = digest(made_by)
    folder = Path(config.outputs) / "parts" / f"{part}-{config.data.kind}-{key}"
    return Place(folder / WEIGHTS, "trained for these pictures", recipe)


def _same_net(part: str, config: Config, passport: dict[str, Any]) -> bool:
    """Whether it has the sizes that this config asks for."""
    net = passport["net"]
    if part == "autoencoder":
        return bool({**net, "kind": kind_of(net)} == autoencoder_net(config.autoencoder))
    if part == "text":
        sizes = config.text.arguments(config.data.image_size)
        return all(net.get(name) == size for name, size in sizes.items())
    return True


def _same_recipe(part: str, config: Config, passport: dict[str, Any]) -> bool:
    """Whether an autoencoder was trained for the errors that this config counts. What its passport does not know of was
    not there yet."""
    if part != "autoencoder":
        return True
    had = {**asdict(named("autoencoder", kind_of(passport["net"]))()), **passport["config"]["autoencoder"]}
    return all(had[name] == getattr(config.autoencoder, name) for name in config.autoencoder.errors)


def part_config(part: str, config: Config) -> Config:
    """The config of a part's own experiment on this config's data; a judge gets other pictures where they can be made."""
    recipe = compose_config([f"experiment={EXPERIMENTS[part]}"])
    relative = SHIPPED / "still_life" / PARTS / f"{part}.safetensors"
    fits = part == "autoencoder" and relative.is_file() and _same_net(part, config, read_passport(relative))
    t = recipe.training
    training = replace(
        t,
        steps=max(1, round(t.steps * config.part_steps * (HEAD_START if fits else 1))),
        accelerator=config.training.accelerator,
        devices=config.training.devices,
        nodes=config.training.nodes,
        workers=config.training.workers,
    )
    return replace(
        recipe,
        data=config.data.others(recipe.data.seed, hold_out=part in ("autoencoder", "text")),
        init_from=str(relative) if fits else None,  # an autoencoder of other pictures is a good start
        autoencoder=config.autoencoder,
        text=replace(recipe.text, **{k: getattr(config.text, k) for k in recipe.text.sizes})
        if part == "text"
        else recipe.text,
        training=training,
        outputs=config.outputs,
        cache=config.cache,
        tracking=replace(config.tracking, wandb="disabled", also=[]),
    )


def check_part(part: str, path: Path) -> None:
    """Raises ConfigError for the weights of another part. A tower may do either of a tower's jobs."""
    found = read_passport(path).get("part")
    if found != part and {found, part} != {"text", "judge"}:
        raise ConfigError(
            f"{part}.weights={path}: its passport says {found!r}, not {part!r}; give weights of that part"
        )


def place_part(part: str, config: Config, folder: Path) -> Path:
    """The run's own copy of a part (a link where the file system allows), so that the run folder is enough to sample
    from it. Weights of an open_clip model and of other autoencoders are given a passport. Raises ConfigError when the
    file is not that part; what has to be trained is there already."""
    placed = folder / PARTS / f"{part}.safetensors"
    if placed.is_file():
        return placed
    source = locate_part(part, config).path
    if part == "text" and not (config.text.has_passport and config.text.reads_plainly):
        towers = config.text.encoder(source)
        save_weights(placed, towers.state_dict(), {"part": part, "net": towers.config, "data": source.name})
    elif part == "autoencoder" and (source.is_dir() or not has_passport(source)):
        passport = {"part": part, "net": autoencoder_net(config.autoencoder), "data": source.name}
        net = build(passport)
        start_from(net, source)
        save_weights(placed, net.state_dict(), passport)
    else:
        check_part(part, source)
        if part == "autoencoder" and not _same_net(part, config, read_passport(source)):
            shape = dict(read_passport(source)["net"])
            words = [
                f"autoencoder={kind_of(shape)}",
                *(f"autoencoder.{k}={v}" for k, v in shape.items() if k != "kind"),
            ]
            sizes = " ".join(words).replace(", ", ",")
            raise ConfigError(f"autoencoder.weights={source}: they are of another shape than asked for; say {sizes}")
        with whole_file(placed) as partial:
            try:
                os.link(source, partial)
            except OSError:
                shutil.copyfile(source, partial)
    return placed


def needed_parts(config: Config, measured: bool) -> tuple[str, ...]:
    """The frozen components that training uses and, where the run is `measured`, evaluation."""
    judges: tuple[str, ...] = ()
    if measured:
        judges = ("judge", "attributes") if config.data.attributes else ("judge",)
    return ("autoencoder", "text", *judges)
