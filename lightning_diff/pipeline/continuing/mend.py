"""The run's weights and its data, before it goes on: weights that are damaged are made again from the last checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...config.errors import ConfigError
from ...config.paths import WEIGHTS
from ...config.schema import Config
from ...data.index import Index
from ...data.sources.base import Prepared
from ...nets.weights import read_passport
from ...ranks import first_rank, say
from ...sums import set_aside
from ...tracking.record import Record
from ..origin import training_command
from .same import fixed_values


def wrong_weights(config: Config, folder: Path) -> str:
    """What is wrong with the run's weights: damaged, or of another run; empty if nothing is."""
    from ...training.origin import differences

    try:
        passport = read_passport(folder / WEIGHTS)
    except ConfigError:
        return "damaged"
    other = next(differences(passport.get("config", {}), fixed_values(config, steps=True)), "")
    return f"of another run (it has another {other})" if other else ""


def has_weights(config: Config, folder: Path, record: Record) -> bool:
    """Whether the run has its weights. Wrong ones are set aside if its last checkpoint gives them again. Raises ConfigError."""
    if not (folder / WEIGHTS).is_file():
        return False
    if not (why := wrong_weights(config, folder)):
        return True
    from ...training.checkpoint import checkpoints_in, step_of

    steps = config.training.steps
    if all(step_of(path) != steps for path in checkpoints_in(folder)):
        raise ConfigError(
            f"{folder / WEIGHTS}: {why}, and no checkpoint of step {steps} is there to make it again; take it from a copy, or "
            "delete it to train again"
        )
    say(f"{folder / WEIGHTS}: {why}; set aside, and made again from the last checkpoint")
    if first_rank():
        set_aside(folder / WEIGHTS)
        record.write("damaged", steps, file=WEIGHTS, reason=why)
    return False


def check_weights(config: Config, folder: Path) -> None:
    """Raises ConfigError if the run's weights are damaged or of another run, or are not what their passport says: before its
    pictures are made, which may take long."""
    if why := wrong_weights(config, folder):
        command = training_command(folder) or "the command that trained the run"
        raise ConfigError(f"{folder / WEIGHTS}: {why}; this makes it again: {command}")
    from ...models.build import build
    from ...models.passports import check_passport

    check_passport(read_passport(folder / WEIGHTS), folder / WEIGHTS, build)


def check_test_split(found: Prepared, config: Config, record: Record) -> None:
    """Raises ConfigError if the test pictures, which the run had when it was trained, are gone: it would be measured on its
    training pictures."""
    before = next((e["test"] for e in reversed(record.read("data")) if e.get("test")), 0)
    if before and "test" not in found.splits:
        raise ConfigError(
            f"{config.data.words}: its {before} test pictures are gone; restore them, or train under another name= to measure "
            "with the training pictures"
        )


def data_origin(config: Config, index: Index) -> dict[str, Any]:
    """Hashes of what the run is trained on, for its checkpoints: of contents, in the order of the training."""
    if config.data.drawn:
        return {"set": config.data.identity(Path(config.cache)), "pictures": len(index)}
    pictures, captions = index.fingerprints()
    return {"pictures": len(index), "contents": pictures, "captions": captions}
