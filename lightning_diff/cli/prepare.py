"""prepare.py: write WebDataset shards; for an experiment also train its frozen components and cache their features."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from rich.progress import Progress

from ..config.paths import PARTS
from ..config.schema import Config
from ..data.index import build_index
from ..devices import device_of
from ..pipeline.components import needed_parts
from ..pipeline.stages import place_components, train_missing
from ..ranks import console, say
from ..training.features import frozen_nets


def prepare_data(config: Config) -> None:
    """Make the shards if they are missing, and print where they are and what they hold."""
    with Progress(console=console, transient=True) as bar:
        tasks: dict[str, object] = {}

        def told(split: str, done: int, total: int) -> None:
            task = tasks.setdefault(split, bar.add_task(split, total=total))
            bar.update(task, completed=done)  # type: ignore[arg-type]

        splits = config.data.prepare(Path(config.cache), told)
    for split, shards in splits.items():
        if shards:
            index = build_index(shards, Path(config.cache))
            say(
                f"{split}: {len(index)} captioned pictures ({index.skipped} left out) in {len(shards)} shards, {shards[0].parent}"
            )
    say(f"data: {config.data.identity}")


def prepare_experiment(config: Config) -> None:
    """Compute all that an experiment needs before its first step. Processes that run the same command share the work."""
    prepare_data(config)
    if config.task != "diffusion":
        return
    paths = {part: train_missing(part, config) for part in needed_parts(config, config.evaluation.enabled)}
    with TemporaryDirectory() as scratch:
        place_components(("autoencoder", "text"), config, Path(scratch))
        features = frozen_nets(
            config.data, Path(config.cache), Path(scratch) / PARTS, device_of(config.training.accelerator)
        ).features
    say(f"parts: {', '.join(f'{part} {path}' for part, path in paths.items())}")
    say(f"features of {len(features)} pictures and captions, in {config.cache}")
