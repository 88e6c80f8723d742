"""ld.load: a model as an object, from the shipped weights or from a run folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..config.compose import stored_config
from ..config.errors import ConfigError
from ..config.paths import SHIPPED, WEIGHTS
from ..devices import device_of
from ..diffusion.guiders.base import Guider
from ..diffusion.samplers.base import Sampler
from ..models.latent_diffusion import LatentDiffusion
from ..pipeline.objects import model_of


def load(
    source: str | Path | None = None,
    device: str | None = None,
    sampler: Sampler | None = None,
    guider: Guider | None = None,
    ema: float = 0.0,
) -> LatentDiffusion:
    """The model of a run folder; without `source` the shipped one. `device` is by default a GPU if there is one. `sampler` and
    `guider` replace those of the run. `ema` is a length of post-hoc EMA. Raises ConfigError for a source that is no run."""
    folder = SHIPPED / "still_life" if source is None else Path(source).expanduser()
    if not (folder / WEIGHTS).is_file() or not (folder / "config.yaml").is_file():
        what = f"no finished run in it ({WEIGHTS}, config.yaml)" if folder.exists() else "no such file or folder"
        raise ConfigError(f"{folder}: {what}; ld.load takes a run folder, outputs/NAME")
    config = stored_config(folder / "config.yaml")
    config = replace(
        config,
        sampler=sampler or config.sampler,
        guidance=guider or config.guidance,
        training=replace(config.training, compile=False),  # a notebook draws a few pictures
    )
    return model_of(config, folder, ema, device or device_of("auto"))
