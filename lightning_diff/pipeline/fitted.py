"""What the trainings of all tasks share: the fit with the run's record, trackers and callbacks, and the weights' passport."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import Dataset

from ..config.checks import all_choices
from ..config.registry import plugins_entry
from ..config.schema import Config
from ..data.index import Index
from ..ranks import console
from ..training.modules.base import BaseModule
from ..training.origin import Origin
from ..training.plugged.base import callbacks_of
from ..training.trainer import fit
from .continuing.mend import data_origin
from .continuing.same import fixed_values
from .objects import placeless
from .run import Run


def origin_of(config: Config, index: Index, hashes: Mapping[str, str]) -> Origin:
    """What a training depends on: its config, its data and the `hashes` of its frozen parts."""
    return Origin(fixed_values(config), data_origin(config, index), dict(hashes), config.training.accept_new_data)


def fit_run(
    run: Run,
    module: BaseModule,
    dataset: Dataset[Any],
    origin: Origin,
    title: str,
    extra: Callable[[], list[pl.Callback]] = list,
) -> int:
    """Train the module of a run, or continue. Returns the step after which it ended. Raises Interrupted, ConfigError."""
    config, mirror = run.config, run.mirror.train
    own = callbacks_of(config.callbacks, config.training, config.validation)
    t, seed = config.training, config.seed
    return fit(module, dataset, t, seed, run.folder, run.record, console, mirror, title, extra, own, origin)


def passport_of(config: Config, part: str, net: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The passport of trained weights: the `part` that they are, the description of its net, and all that made them."""
    return {
        "part": part,
        "net": net,
        "data": config.data.identity(Path(config.cache)),
        "config": placeless(config),
        **more,
        "torch": torch.__version__,
        **plugins_entry(all_choices(config)),
    }
