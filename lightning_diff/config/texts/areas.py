"""The keys that a command has a use for. A command that reads a run keeps the rest of the run's config as it is."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ConfigError
from ..input.typed import as_typed, fields_at

EVERY = ("train.py", "lightning_diff.doctor")  # commands that know all keys of the config
AREAS = {  # the keys that another command has a use for, and all keys inside them
    "evaluate.py": (
        *("evaluation", "guidance", "sampler", "tracking", "cluster", "plugins", "cache", "training.accelerator"),
        *("training.compile", "pins"),
    ),
    "sample.py": (
        *("guidance", "sampler", "seed", "outputs", "pins", "plugins", "training.accelerator", "training.compile"),
    ),
    "export.py": ("sampler", "plugins", "training.accelerator"),
    "prepare.py": (
        *("data", "text", "autoencoder", "experiment", "outputs", "cache", "plugins", "training.accelerator"),
        *("cluster",),
    ),
    "lightning_diff": (),
}


def key_of(word: str) -> str:
    """The dotted key that an override sets."""
    return word.partition("=")[0].lstrip("+~").replace("/", ".")


def within(key: str, areas: Sequence[str]) -> bool:
    return "" in areas or any(key == area or key.startswith(f"{area}.") for area in areas)


def check_used(command: str, words: Sequence[str]) -> None:
    """Raises ConfigError for an override of a run's config that the command has no use for: it would change nothing, or
    contradict what the run was trained with. A key that does not exist is refused where the config is read."""
    for word in words:
        key = key_of(word)
        if fields_at(key) and not within(key, AREAS[command]):
            raise ConfigError(
                f"{as_typed(word)}: {command} has no use for it, the run keeps what it was trained with; of the config it takes "
                f"{', '.join(AREAS[command])}"
            )
