"""prepare.py: write WebDataset shards; for an experiment also train its frozen components and cache their features."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from ..config.paths import PARTS
from ..config.schema import Config
from ..data.cached.latents import CachedLatents
from ..data.dataset import Pictures
from ..data.sources.own import OwnPictures, read_once
from ..devices import device_of
from ..pipeline.components import needed_parts
from ..pipeline.data import data_event, prepare_data, say_data
from ..pipeline.naming import refuse_among_pictures
from ..pipeline.stages import place_components, train_missing
from ..ranks import say
from ..strings import counted
from ..training.features import frozen_nets


def prepare(config: Config, where: str = "", count: int = 0) -> None:
    """Make the shards if they are missing, or read the given ones through, and say what they hold. `where` names a folder for
    what the trainer sees of them (at most `count` samples, 0 for all), or a step."""
    refuse_among_pictures(config, Path(config.cache), "the cache", "cache=")
    if where:
        from .preparing.preview import free_place, preview

        folder = free_place(config, where, count)
        refuse_among_pictures(config, folder, "what is shown", "show=")
    found = prepare_data(config)
    say_data(found, config, data_event(found, config))
    if where:
        preview(config, found, folder, where, count)
    if not where and isinstance(config.data, OwnPictures) and found.splits["train"].read_through:
        from .preparing.sheet import say_statistics

        say_statistics(found, config)
    train = found.splits["train"]
    say(
        f"data: {config.data.identity(Path(config.cache))}, in {counted(len(train.shards), 'shard')}, {train.shards[0].parent}"
    )


def prepare_experiment(config: Config) -> None:
    """Compute all that an experiment needs before its first step. Processes that run the same command share the work."""
    with read_once():
        prepare(config)
        if config.task == "diffusion":
            _prepare_features(config)


def _prepare_features(config: Config) -> None:
    paths = {part: train_missing(part, config) for part in needed_parts(config, config.evaluation.enabled)}
    with TemporaryDirectory() as scratch:
        place_components(("autoencoder", "text"), config, Path(scratch))
        features = frozen_nets(
            config.data, Path(config.cache), Path(scratch) / PARTS, device_of(config.training.accelerator)
        ).train
    say(f"parts: {', '.join(f'{part} {path}' for part, path in paths.items())}")
    here = f": features in {config.cache}"
    kept = {
        Pictures: ", encoded in each step",
        CachedLatents: f": latents in {config.cache}, captions are encoded in each step",
    }
    count = counted(len(features), "captioned picture")
    say(f"{count}{kept.get(type(features), here)}")
