"""What a measurement of folders is asked for, checked before anything is loaded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...config.compose import load_config
from ...config.errors import ConfigError
from ...config.installed import check_installed
from ...config.paths import PARTS, SHIPPED, WEIGHTS
from ...config.schema import Config
from ...config.texts.areas import key_of, within

USED = ("evaluation.features", "evaluation.metrics", "evaluation.batch", "training.accelerator", "plugins", "pins")
OF_A_RUN = ("evaluation.seed", "cache")  # they say where the run's pictures lie and which are taken


@dataclass
class Asked:
    """Two folders, or a folder and a run (`reference` is None). `shipped`: no run is named, and the model that comes with the
    package judges. `judge` is the file of the judging tower."""

    pictures: Path
    reference: Path | None
    run: Path
    shipped: bool
    config: Config
    judge: Path


def asked(pictures: Path, reference: Path | None, run: Path | None, overrides: Sequence[str] = ()) -> Asked:
    """Check the folders, the run and the overrides. Raises ConfigError."""
    if reference is None and run is None:
        raise ConfigError(
            "reference=: say what to compare with, reference=DIR (a folder of pictures) or run=NAME (its held-out pictures)"
        )
    for word, folder in (("pictures", pictures), ("reference", reference)):
        if folder is not None and not folder.is_dir():
            what = "a file, not a folder of pictures" if folder.exists() else "no such folder"
            raise ConfigError(f"{word}={folder}: {what}")
    if reference is not None and os.path.realpath(pictures) == os.path.realpath(reference):
        raise ConfigError(f"reference={reference}: the same folder as pictures=; every distance would be 0")
    _check_used(overrides, reference is None)
    folder = run or SHIPPED / "still_life"
    if not (folder / WEIGHTS).is_file():
        raise ConfigError(f"run={folder}: no finished run; it has no {WEIGHTS}")
    config = load_config(folder / "config.yaml", overrides)
    check_installed(config)
    return Asked(pictures, reference, folder, run is None, config, _judge(config, folder))


def _check_used(overrides: Sequence[str], of_a_run: bool) -> None:
    """Raises ConfigError for an override that would be ignored."""
    used = (*USED, *(OF_A_RUN if of_a_run else ()))
    for word in overrides:
        if (key := key_of(word)) != "evaluation" and not within(key, used):
            raise ConfigError(f"{key}: would be ignored: nothing is drawn; pictures= takes {', '.join(used)}")


def _judge(config: Config, folder: Path) -> Path:
    """The file of a run's judging tower. Nothing is trained or written. Raises ConfigError if there is none yet."""
    own = folder / PARTS / "judge.safetensors"
    if own.is_file():
        return own
    from ..components import locate_part

    found = locate_part("judge", config).path
    if not found.is_file():
        raise ConfigError(f"run={folder}: it has no judge yet; python evaluate.py run={folder} makes one")
    return found
