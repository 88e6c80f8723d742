"""evaluate.py model=: measure a model that is not one of this project's runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ...config.compose import compose_config
from ...config.errors import ConfigError
from ...config.installed import check_installed
from ...config.texts.areas import key_of
from ...data.sources.own import OwnPictures
from ..arguments import Arguments, read_columns
from ..show import show_composed, shows


def measure_model(found: Arguments) -> None:
    """Measure Stable Diffusion, another pipeline of diffusers, or what a function of a user's file makes. Raises ConfigError."""
    from ...pipeline.others.opened import check_words, name_of, own_words

    model = found.words["model"]
    if found.words["run"]:
        raise ConfigError("run= and model=: give one of them")
    if found.many:
        raise ConfigError("-m: does nothing with model=; leave it out")
    check_words(model, found.overrides)
    words = [*own_words(model, found.overrides), *found.overrides]
    config = compose_config(words)
    if shows(found):
        return show_composed(found, [words])
    if isinstance(config.data, OwnPictures) and not any(key_of(word) == "data.test" for word in words):
        config = replace(config, data=replace(config.data, test="none"))  # all pictures are the reference
    check_installed(config)
    from ...pipeline.others.measured import measure

    measure(model, config, Path(config.outputs) / (config.name or name_of(model)), read_columns(found.words["columns"]))
