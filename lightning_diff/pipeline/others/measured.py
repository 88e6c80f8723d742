"""Measuring of models that are objects: the judges for their data, and the model as something that a sweep measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...cluster.detection import heed_slurm
from ...config.errors import ConfigError
from ...config.schema import Config
from ...data.sources.own import read_once
from ...evaluation.any_model import AnyModel
from ...evaluation.provenance import classes_of, modules_hash
from ...evaluation.runner import run_sweep
from ...evaluation.setup import Combination, EvaluationSetup, Measured
from ...models.latent_diffusion import LatentDiffusion, precision_of
from ..components import judges_of
from ..data import prepare_data
from ..many.differences import all_values
from ..run import Run
from ..stages import place_components
from ..sweep import evaluation_setup, finish_sweep
from .opened import open_model


def place_judges(config: Config, folder: Path) -> None:
    """Prepare the data, and put the judges for it into the folder. A judge that is missing is trained first."""
    prepare_data(config)
    place_components(judges_of(config), config, folder)


def measure(model: str, config: Config, folder: Path, columns: Sequence[str] = ()) -> None:
    """Measure the model that evaluate.py's model= names, in this folder, with the report and the trackers of a run."""
    heed_slurm(config.cluster.slurm)
    with read_once(), Run(config, folder, "evaluate") as run:
        opened = open_model(model, config)
        place_judges(config, folder)
        setup = evaluation_setup(config, folder)
        scales = config.guidance.scales
        subject = measured(opened.model, config, setup, scales, opened.name, opened.weights, opened.about)
        swept = run_sweep([subject], folder, run.record, all_values(folder), columns)
        if swept is not None:
            finish_sweep(run, swept)


def measured(
    model: Any,
    config: Config,
    setup: EvaluationSetup,
    scales: Sequence[float],
    name: str = "",
    weights: str = "",
    about: Mapping[str, Any] | None = None,
) -> Measured:
    """The model at these guidance scales. `weights` identifies it; by default its class, or for a LatentDiffusion a hash of all
    weights. Raises ConfigError for an object that cannot draw."""
    if isinstance(model, LatentDiffusion):
        sampler = model.sampler.resolve_nfe(model.guider, model.path)
        return Combination(
            guider=replace(model.guider, scales=list(scales)),
            sampler=replace(sampler, precision=precision_of(sampler, model.device.type)),
            path=model.path,
            load=lambda ema: model,
            weights=weights or modules_hash(model.net, model.autoencoder, model.text_encoder),  # type: ignore[arg-type]
            decay=0.0,
            plugins={"trained_on": "unknown", **(about or {})},
            settings=config.evaluation,
            setup=setup,
            drawn_at=model.image_size,
            nets=classes_of(model.net, model.autoencoder, model.text_encoder),  # type: ignore[arg-type]
        )
    if not callable(getattr(model, "generate", None)):
        raise ConfigError(
            f"{type(model).__name__}: it has no generate(prompts, seeds, scale) -> uint8 [B, 3, H, W], so it cannot be measured"
        )
    named = name or type(model).__name__
    return AnyModel(model, named, weights or named, list(scales), config.evaluation, setup, about or {})
