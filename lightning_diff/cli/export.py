"""export.py: write a run as a diffusers folder or as a single-file checkpoint."""

from __future__ import annotations

from pathlib import Path

from ..config.errors import ConfigError
from ..config.schema import Config
from ..interop.export import export_pipeline, export_single_file, exportable_tower, scheduler_config
from ..pipeline.objects import model_of
from ..ranks import say


def export(config: Config, folder: Path, form: str, out: Path) -> None:
    """Write the run to `out`. Raises ConfigError if its nets do not have the architecture of latent diffusion."""
    if out.exists():
        raise ConfigError(f"out={out}: it is there already; give another name")
    model = model_of(config, folder)
    tower = exportable_tower(model.net, model.autoencoder, model.text_encoder, config.text.null)
    if form == "single_file":
        export_single_file(out, model.net, model.autoencoder, tower)
    else:
        scheduler = scheduler_config(config.objective.schedule, config.objective.prediction, config.sampler)
        export_pipeline(out, model.net, model.autoencoder, tower, scheduler, config.data.image_size)
    say(f"{folder} as {form} in {out}")
