"""Turn the config into the objects that the rooms below take."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..config.schema import Config, Objective
from ..devices import device_of
from ..diffusion.path import Path as DiffusionPath
from ..models.align_draw import AlignDrawModel, load_align_draw
from ..models.build import Start
from ..models.latent_diffusion import LatentDiffusion
from ..models.load import load_model

PLACES = ("outputs", "cache", "tracking", "cluster")  # keys that say where things lie


def placeless(config: Config) -> dict[str, Any]:
    """The config as weights' passports hold it: a run that was copied to another place makes the same weights file again."""
    return {key: value for key, value in asdict(config).items() if key not in PLACES}


def path_of(o: Objective) -> DiffusionPath:
    """The probability path of an objective."""
    return DiffusionPath(o.schedule, o.prediction, o.data_std)


def start_of(config: Config) -> Start | None:
    """The weights that a diffusion run starts from; None if it starts from random ones."""
    if config.init_from is None:
        return None
    return Start(Path(config.init_from), config.init_average, [Path(p) for p in config.init_lora])


def model_of(config: Config, folder: Path, ema: float = 0.0, device: str | None = None) -> LatentDiffusion:
    """Load the model of a run folder, with the sampler and the guider of the config, to that device, or to the config's. Raises
    ConfigError."""
    t = config.training
    return load_model(
        folder,
        path_of(config.objective),
        config.sampler,
        config.guidance,
        config.data.image_size,
        device or device_of(t.accelerator),
        config.text.null,
        ema,
        t.compile,
    )


def generator_of(
    config: Config, folder: Path, ema: float = 0.0, device: str | None = None
) -> LatentDiffusion | AlignDrawModel:
    """Load the model of a run folder, whatever task trained it, to that device, or to the config's. Raises ConfigError."""
    if config.task == "aligndraw":
        return load_align_draw(folder, device or device_of(config.training.accelerator), ema)
    return model_of(config, folder, ema, device)
