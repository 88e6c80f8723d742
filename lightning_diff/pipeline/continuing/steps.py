"""Another number of training steps for a run that has begun: where it can go on, and what is done to its folder for that."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from ...config.compose import stored_config
from ...config.convert import stored_text
from ...config.errors import ConfigError
from ...config.paths import WEIGHTS
from ...config.schema import Config
from ...files import file_hash, whole_file, write_text
from ...tracking.record import STEPS, Record


@dataclass(frozen=True)
class Change:
    """A run of `old` steps gets `new` ones: it goes on from `step`, whose checkpoint this is (None: it has none yet)."""

    old: int
    new: int
    step: int
    checkpoint: Path | None


def change_of(folder: Path, config: Config) -> Change | None:
    """The change that this config asks of the folder's run; None if it has the same number of steps.

    The run goes on from its last checkpoint that does not depend on the number of steps (training/schedule.py). Raises
    ConfigError if there is none."""
    if not (folder / "config.yaml").is_file():
        return None
    had, asked = stored_config(folder / "config.yaml").training, config.training
    if had.steps == asked.steps:
        return None
    from ...training.checkpoint import checkpoints_in, step_of
    from ...training.schedule import decay_start

    most = min(decay_start(had), decay_start(asked))
    found = [(step, file) for file in checkpoints_in(folder) if (step := step_of(file)) is not None]
    fitting = [pair for pair in found if pair[0] <= most]
    if found and not fitting:
        remedy = f"give another name=, and init_from={folder} to start from its weights"
        if had.schedule in ("cosine", "linear"):
            remedy += "; a run with training.schedule=wsd can be trained longer later"
        raise ConfigError(
            f"training.steps={asked.steps}: {folder} is at step {found[0][0]} of {had.steps}, and with training.schedule="
            f"{had.schedule} it can get another end only up to step {most}; {remedy}"
        )
    step, checkpoint = max(fitting, default=(0, None))
    return Change(had.steps, asked.steps, step, checkpoint)


def change_steps(change: Change, folder: Path, record: Record) -> None:
    """Let the run go on to its new end. Its old weights stay in checkpoints/, its old rows in the record. The config is written
    last, so a killed process does no harm: the same command does this again."""
    from ...models.averages import FOLDER, snapshot_steps
    from ...training.checkpoint import LAST, forget_after

    last, old = folder / LAST, folder / LAST.with_name(f"weights-{change.old}.safetensors")
    if change.checkpoint not in (None, last):
        with whole_file(last) as partial:
            shutil.copyfile(str(change.checkpoint), partial)
    forget_after(folder, change.step)
    if (folder / WEIGHTS).is_file():
        (folder / WEIGHTS).replace(old)
    stored = stored_config(folder / "config.yaml")
    for step in snapshot_steps(folder):  # those that a run with this end would not have
        if step > change.step or step % stored.training.ema_every:
            (folder / FOLDER / f"{step:08d}.safetensors").unlink()
    weights = file_hash(old) if old.is_file() else None
    record.write(STEPS, change.step, old=change.old, new=change.new, weights=weights)
    config = replace(stored, training=replace(stored.training, steps=change.new))
    write_text(folder / "config.yaml", stored_text(config))
