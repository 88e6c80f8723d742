"""ld.evaluate: the guidance sweep of any model object, as rows."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from ..config.compose import compose_config
from ..config.input.typed import for_hydra
from ..config.schema import Config
from ..data.sources.base import Source, meant_by
from ..evaluation.metrics.base import MetricChoice
from ..evaluation.runner import run_sweep
from ..evaluation.setup import EvaluationSetup
from ..pipeline.others.measured import measured, place_judges
from ..pipeline.sweep import evaluation_setup
from ..tracking.record import Record

BATCH = 64  # pictures in an update of a metric


def evaluate(
    model: Any,
    data: str | Path | Source = "still_life",
    scales: Sequence[float] = (1.0, 2.0, 3.0, 5.0, 8.0),
    samples: int = 256,
    metrics: Sequence[Metric | MetricChoice] = (),
    folder: str | Path | None = None,
    cache: str | Path | None = None,
    image_size: int | None = None,
    seed: int = 0,
    batch: int = 128,
) -> list[dict[str, Any]]:
    """The guidance sweep of a model: a row, with the columns of sweep.csv, for each scale.

    `model` is a LatentDiffusion, or anything with generate(prompts, seeds, scale) -> uint8 [B, 3, H, W]. `data` is a name
    (still_life, digits, ...), a folder of captioned pictures, a pattern of shards, or a Source. Torchmetrics' metrics in
    `metrics` are updated with the pictures, and add columns to the table. Nothing is written, unless `folder` says where the
    tables, figures and blocks are kept; a sweep that was killed there goes on. `cache` keeps shards and reference features.

    Raises ConfigError, in one line, for what cannot be measured."""
    given = [m for m in metrics if isinstance(m, Metric)]
    config = _config(data, image_size, [m for m in metrics if isinstance(m, MetricChoice)], samples, seed, batch)
    if given:
        config.evaluation.grid = samples  # metrics of others need all pictures
    with TemporaryDirectory() if folder is None else nullcontext(str(folder)) as where:
        place = Path(where)
        place.mkdir(parents=True, exist_ok=True)
        kept = cache or (config.cache if folder else _scratch().name)
        config = replace(config, cache=str(kept))
        place_judges(config, place)
        setup = evaluation_setup(config, place)
        swept = run_sweep([measured(model, config, setup, list(scales))], place, Record(place))
        assert swept is not None
        rows = [dict(row) for row in swept.rows]
        for row, pictures in zip(rows, swept.pictures, strict=True):
            for metric in given:
                row |= of_pictures(metric, torch.from_numpy(np.ascontiguousarray(pictures)), setup)
    return rows


@cache
def _scratch() -> TemporaryDirectory[str]:
    """A cache that lasts as long as this process: made pictures are made once."""
    return TemporaryDirectory()


def _config(
    data: str | Path | Source,
    image_size: int | None,
    metrics: Sequence[MetricChoice],
    samples: int,
    seed: int,
    batch: int,
) -> Config:
    size = [] if image_size is None else [f"data.image_size={image_size}"]
    words = [
        f"evaluation.samples={samples}",
        f"evaluation.seed={seed}",
        f"evaluation.batch={batch}",
        "tracking=disabled",
    ]
    if not isinstance(data, Source):
        kind, keys = meant_by(data)
        words += [f"data={kind}", *(for_hydra(f"data.{key}={value}") for key, value in keys.items()), *size]
    config = compose_config(words)
    if isinstance(data, Source):
        config = replace(config, data=data)
    if metrics:
        config.evaluation.metrics = list(metrics)
    return config


def of_pictures(metric: Metric, pictures: Tensor, setup: EvaluationSetup) -> dict[str, float]:
    """The columns of a metric that is updated with pictures: (pictures, real=...) for two sets, else (pictures, captions)."""
    metric.reset()
    named = inspect.signature(metric.update).parameters
    for images, captions, real in ((setup.asked.images, setup.captions, True), (pictures, setup.captions, False)):
        for i in range(0, len(images), BATCH):
            some = images[i : i + BATCH]
            if "real" in named:
                metric.update(some, real=real)
            elif not real:
                metric.update(some, captions[i : i + len(some)])
    value, name = metric.compute(), type(metric).__name__
    if isinstance(value, dict):
        return {f"{name}.{key}": float(number) for key, number in value.items()}
    parts = value if isinstance(value, tuple | list) else [value]
    return {name if not i else f"{name}_{i}": float(number) for i, number in enumerate(parts)}
