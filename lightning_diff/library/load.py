"""ld.load: a model as an object, from the shipped weights, a run, or weights of another project."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import overload

from ..config.compose import stored_config
from ..config.errors import ConfigError
from ..config.foreign.pipeline import INDEX
from ..config.paths import SHIPPED, WEIGHTS
from ..devices import device_of
from ..diffusion.guiders.base import Guider
from ..diffusion.samplers.base import Sampler
from ..files import is_safetensors, not_safetensors
from ..models.align_draw import AlignDrawModel
from ..models.foreign import load_foreign
from ..models.latent_diffusion import LatentDiffusion
from ..nets.weights import has_passport, read_passport
from ..pipeline.objects import generator_of

TAKEN = "ld.load takes a run folder (outputs/NAME), a pipeline's folder of diffusers, or a safetensors file"


@overload
def load(
    source: None = None,
    device: str | None = None,
    sampler: Sampler | None = None,
    guider: Guider | None = None,
    ema: float = 0.0,
) -> LatentDiffusion: ...


@overload
def load(
    source: str | Path,
    device: str | None = None,
    sampler: Sampler | None = None,
    guider: Guider | None = None,
    ema: float = 0.0,
) -> LatentDiffusion | AlignDrawModel: ...


def load(
    source: str | Path | None = None,
    device: str | None = None,
    sampler: Sampler | None = None,
    guider: Guider | None = None,
    ema: float = 0.0,
) -> LatentDiffusion | AlignDrawModel:
    """The model of a run folder, or of its weights file; of a folder that diffusers saved, or of a single file (Stable Diffusion
    1.x, 2.x and XL); without `source` the shipped one. `device` is by default a GPU if there is one. `sampler` and `guider`
    replace those of the run or of the pipeline. `ema` is a length of a run's post-hoc EMA.

    Raises ConfigError, in one line, for a source that is none of these, and for a setting that it would ignore."""
    path, device = SHIPPED / "still_life" if source is None else Path(source).expanduser(), device or device_of("auto")
    run = _run_of(path)
    if run is None:
        if ema:
            raise ConfigError(f"ema={ema:g}: {path} is no run, and has no averages of other lengths; leave it out")
        return load_foreign(path, device, sampler, guider).model
    config = stored_config(run / "config.yaml")
    if config.task == "aligndraw" and (sampler or guider):
        raise ConfigError(
            f"{'sampler' if sampler else 'guider'}=: alignDRAW has neither sampler nor guider; leave it out"
        )
    config = replace(
        config,
        sampler=sampler or config.sampler,
        guidance=guider or config.guidance,
        training=replace(config.training, compile=False),  # a notebook draws a few pictures
    )
    return generator_of(config, run, ema, device)


def _run_of(path: Path) -> Path | None:
    """The run folder that a source means; None if it is a model of another project. Raises ConfigError if it is neither."""
    if path.is_file():
        if not is_safetensors(path):
            raise ConfigError(f"{path}: {not_safetensors(path)}; {TAKEN}")
        if not has_passport(path):
            return None
        if path.name == WEIGHTS and (path.parent / "config.yaml").is_file():
            return path.parent
        part = read_passport(path).get("part")
        raise ConfigError(f"{path}: one net of this project ({part}), not a whole model; give the folder of its run")
    if (path / WEIGHTS).is_file() and (path / "config.yaml").is_file():
        return path
    if (path / INDEX).is_file():
        return None
    if not path.is_dir():
        what = "no such file or folder"
    elif (path / "config.yaml").is_file():
        what = f"a run without {WEIGHTS}: not finished; its command continues it"
    elif (path / "config.json").is_file():
        what = "one part of a model; give the pipeline's folder, which holds " + INDEX
    else:
        what = f"no finished run in it ({WEIGHTS}, config.yaml) and no {INDEX}"
    raise ConfigError(f"{path}: {what}; {TAKEN}")
