"""The frozen components of a run (autoencoder, text encoder, judge, attribute classifier): where their weights are, and the
run's own copies of them.

Nothing is trained here: stages.py first trains the components that are missing.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
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
from ..models.build import Start, autoencoder_net, build, kind_of, load_part, start_from
from ..models.text_encoders.small import seen
from ..nets.text import reading_of
from ..nets.weights import has_passport, is_whole, read_passport, save_weights
from ..ranks import first_rank, say
from ..sums import ASIDE, known_sha256, read_sidecar, set_aside, write_sidecar

NO_WEIGHTS = "no weights"  # in place of the file of a component that has none
HEAD_START = 0.2  # the share of its steps that an autoencoder needs if it starts from one of other pictures
EXPERIMENTS = {"autoencoder": "autoencoder", "text": "contrastive", "judge": "judge", "attributes": "attributes"}
NAMES = {
    "autoencoder": "autoencoder",
    "text": "text encoder",
    "judge": "judge",
    "attributes": "attribute classifier",
}


@dataclass(frozen=True)
class Place:
    """The path of a component's weights and their `origin`. If `recipe` is given, its training writes them to that path."""

    path: Path
    origin: str
    recipe: Config | None = None


def locate_part(part: str, config: Config, look: bool = False) -> Place:
    """Find the weights of a component for this config's data: the given file, else the shipped file if it was trained on such
    data, else a file that a training writes first. If you only `look`, a set that has not been read through
    is not read; then the name of that file is not known yet."""
    given = {"autoencoder": config.autoencoder.weights, "text": config.text.weights}.get(part, "auto")
    if given != "auto":
        return Place(Path(given), "given")
    if part == "autoencoder" and not config.autoencoder.errors:
        return Place(Path(NO_WEIGHTS), f"none, autoencoder={config.autoencoder.kind}")
    unread = look and config.data.prepared(Path(config.cache)) is None
    data = (
        f"{config.data.kind}-unread" if unread and not config.data.drawn else config.data.identity(Path(config.cache))
    )
    shipped = SHIPPED / config.data.kind / PARTS / f"{part}.safetensors"
    if shipped.is_file():
        passport = read_passport(shipped)
        fits = passport["data"] == data and _same_net(part, config, passport)
        if fits and _same_recipe(part, config, passport):
            return Place(shipped, "shipped")
    recipe = part_config(part, config)
    made_by = {"data": data, "steps": recipe.training.steps}
    if part in ("autoencoder", "text"):
        made_by[part] = asdict(getattr(recipe, part))
    key = digest(made_by)
    folder = Path(config.outputs) / "parts" / f"{part}-{config.data.kind}-{key}"
    return Place(folder / WEIGHTS, "trained for these pictures", recipe)


def _same_net(part: str, config: Config, passport: dict[str, Any]) -> bool:
    """Whether the net of a passport has the sizes that this config asks for."""
    net = passport["net"]
    if part == "autoencoder":
        return bool({**net, "kind": kind_of(net)} == autoencoder_net(config.autoencoder))
    if part == "text":
        sizes = config.text.arguments(config.data.image_size)
        return all(net.get(name) == size for name, size in sizes.items())
    return True


def _same_recipe(part: str, config: Config, passport: dict[str, Any]) -> bool:
    """Whether an autoencoder was trained with the loss terms of this config. A term that its passport does not name did
    not exist yet: it had its default. True for other components."""
    if part != "autoencoder":
        return True
    had = {**asdict(named("autoencoder", kind_of(passport["net"]))()), **passport["config"]["autoencoder"]}
    return all(had[name] == getattr(config.autoencoder, name) for name in config.autoencoder.errors)


def part_config(part: str, config: Config) -> Config:
    """The config that trains a component on this config's data. A judge gets other pictures, if others can be made."""
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
        else replace(recipe.text, patch_size=_patch(recipe.text.patch_size, seen(config.data.image_size))),
        training=training,
        outputs=config.outputs,
        cache=config.cache,
        tracking=replace(config.tracking, wandb="disabled", also=[]),
    )


def _patch(asked: int, image_size: int) -> int:
    """The largest patch size up to `asked` that divides the size at which a tower sees pictures."""
    return next(size for size in range(asked, 0, -1) if image_size % size == 0)


def check_part(part: str, path: Path) -> None:
    """Raises ConfigError if `path` holds another component. A CLIP model may serve as text encoder and as judge."""
    passport = read_passport(path)
    found = passport.get("part")
    if found != part and {found, part} != {"text", "judge"}:
        raise ConfigError(
            f"{part}.weights={path}: its passport says {found!r}, not {part!r}; give weights of that part"
        )
    if "net" not in passport:
        raise ConfigError(f"{part}.weights={path}: its passport names no net; make the file with this project")


def place_part(part: str, config: Config, folder: Path) -> Path:
    """Make the run's own copy of a component, so that sampling needs only the run folder, and nothing that happens to the
    original reaches it. Weights of an open_clip model or of a foreign autoencoder get a passport. A component that must be
    trained has to exist already. Raises ConfigError if the file is not this component."""
    placed = folder / PARTS / f"{part}.safetensors"
    if has_part(placed):
        return placed
    _copy_part(part, config, placed)
    if (sum_before := read_sidecar(placed)) not in (None, known_sha256(placed)):
        old = placed.with_name(placed.name + ASIDE)
        if not old.is_file() or known_sha256(old) != known_sha256(placed):  # else the sum itself was damaged
            placed.unlink()
            raise ConfigError(
                f"{placed}: damaged or gone, and the {NAMES[part]} that it was copied from is another one now (the sum was "
                f"{str(sum_before)[:12]}); take it from a copy, or train under another name="
            )
    write_sidecar(placed)
    return placed


def has_part(placed: Path) -> bool:
    """Whether a run's copy of a component is there and as it was written. A damaged one is set aside, and made again."""
    if not placed.is_file():
        return False
    if is_whole(placed) and has_readable_passport(placed):
        if read_sidecar(placed) is None:
            with suppress(OSError):  # a copy of an older run, in a folder that may be read only
                write_sidecar(placed)
        return True
    say(f"{placed}: damaged; set aside, and made again")
    if first_rank():
        set_aside(placed)
    return False


def has_readable_passport(path: Path) -> bool:
    try:
        return bool(read_passport(path))
    except ConfigError:
        return False


def _copy_part(part: str, config: Config, placed: Path) -> None:
    """Write the run's copy of a component."""
    source = locate_part(part, config).path
    if part == "autoencoder" and not config.autoencoder.errors:  # it has nothing to learn
        passport = {"part": part, "net": autoencoder_net(config.autoencoder), "data": "any"}
        save_weights(placed, build(passport).state_dict(), passport)
    elif part == "text" and not (config.text.has_passport and config.text.reads_plainly and _plain(source)):
        towers = config.text.encoder(source)
        save_weights(placed, towers.state_dict(), {"part": part, "net": towers.config, "data": source.name})
    elif part == "autoencoder" and (source.is_dir() or not has_passport(source)):
        passport = {"part": part, "net": autoencoder_net(config.autoencoder), "data": source.name}
        net = build(passport)
        start_from(net, Start(source, scaling_factor=getattr(config.autoencoder, "scaling_factor", None)))
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
        load_part(source)  # a copy of weights that cannot be used would stay
        with whole_file(placed) as partial:
            shutil.copyfile(source, partial)


def _plain(tower: Path) -> bool:
    """Whether a tower's file names no other layer than the last one, and its final norm. A run's file names what it reads."""
    return reading_of(read_passport(tower).get("net", {})) == (1, True)


def judges_of(config: Config) -> tuple[str, ...]:
    """The frozen components that evaluation uses."""
    return ("judge", "attributes") if config.data.attributes else ("judge",)


def needed_parts(config: Config, measured: bool) -> tuple[str, ...]:
    """The frozen components that training uses and, if the run is `measured`, those that evaluation uses."""
    judges = judges_of(config) if measured else ()
    return judges if config.task == "aligndraw" else ("autoencoder", "text", *judges)
