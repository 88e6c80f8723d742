"""The stages of a run, in their order: the frozen components that it needs, its training, its sweep with the report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ..config.paths import PARTS, WEIGHTS
from ..config.schema import Config
from ..ranks import say
from .component_training import train_component
from .components import NAMES, locate_part, needed_parts, place_part
from .memory import check_machine
from .net_training import train_net
from .run import Run, refuse_another
from .sweep import sweep_stage


def train(config: Config, folder: Path, wait: bool = False) -> None:
    """Train (or go on with) the run of this folder, then evaluate it if the config says so; what is done already is passed
    over. If another process is at it: `wait` for it, or raise ConfigError."""
    check_machine(config)
    with Run(config, folder, wait=wait) as run:
        if config.task != "diffusion":
            return train_component(run)
        place_components(needed_parts(config, config.evaluation.enabled), config, folder)
        if not (folder / WEIGHTS).is_file():
            train_net(run)
        if config.evaluation.enabled:
            sweep_stage(run, [config])


def evaluate(configs: Sequence[Config], folder: Path) -> None:
    """The sweep of a finished run, with the overrides of the command; of several configs one after the other."""
    for config in configs[1:]:
        refuse_another(folder, config)
    with Run(configs[0], folder, "evaluate") as run:
        place_components(needed_parts(configs[0], measured=True), configs[0], folder)
        sweep_stage(run, configs)


def train_missing(part: str, config: Config) -> Path:
    """The weights of a component, trained now if they have to be. Raises ConfigError when a given file is not that
    component."""
    place = locate_part(part, config)
    if place.recipe is not None and not place.path.is_file():
        folder = place.path.parent
        say(f"no {NAMES[part]} for these pictures ({config.data.identity}): training it first, in {folder}")
        train(place.recipe, folder, wait=True)
    return place.path


def place_components(parts: Iterable[str], config: Config, folder: Path) -> None:
    """The run's own copies of its frozen components, each trained first if it has to be."""
    for part in parts:
        if not (folder / PARTS / f"{part}.safetensors").is_file():
            train_missing(part, config)
        place_part(part, config, folder)
