"""Reading and writing of checkpoints. A file on the disk is always complete (law 7) and is never unpickled (law 8).

The folder checkpoints/ keeps the last two, the one before the learning rate falls, and those of `training.keep_every`.
"""

from __future__ import annotations

import errno
import os
import re
import zipfile
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from lightning_utilities import apply_to_collection
from pytorch_lightning.plugins.io import CheckpointIO
from torch import Tensor

from ..config.errors import ConfigError
from ..files import whole_file
from ..sums import state_of
from .footprint import tensor_bytes

LAST = Path("checkpoints") / "last.ckpt"
PREVIOUS = LAST.with_name("previous.ckpt")  # the one before the last
UNDECAYED = LAST.with_name("undecayed.ckpt")  # where the learning rate begins to fall: another end can start there
LARGE = 2**27  # bytes; a smaller checkpoint is written so fast that a copy is not worth its time


class AtomicCheckpoints(CheckpointIO):
    """Writes a checkpoint to a temporary file, flushes it, reads it back, and only then renames it over the last one. A large
    checkpoint is copied first and written while the training continues: then the next save, or `wait`, raises its errors."""

    def __init__(self) -> None:
        self.writer = ThreadPoolExecutor(1)
        self.pending: Future[None] | None = None

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        self.wait()
        if tensor_bytes(checkpoint) < LARGE:
            _write(checkpoint, Path(path))
        else:
            self.pending = self.writer.submit(_write, copied(checkpoint), Path(path))

    def wait(self) -> None:
        """Wait until the last checkpoint is on the disk."""
        pending, self.pending = self.pending, None
        if pending is not None:
            pending.result()

    def teardown(self) -> None:
        self.wait()

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = None) -> dict[str, Any]:
        return read_checkpoint(Path(path), map_location or "cpu")

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


def copied(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """A copy of the checkpoint with its own tensors, on the CPU. A tensor that had two names still has both."""
    once: dict[int, Tensor] = {}

    def copy(t: Tensor) -> Tensor:
        if id(t) not in once:
            once[id(t)] = t.detach().to("cpu", copy=True)
        return once[id(t)]

    found: dict[str, Any] = apply_to_collection(checkpoint, Tensor, copy)
    return found


def _write(checkpoint: dict[str, Any], place: Path) -> None:
    with whole_file(place) as partial:
        with partial.open("wb") as f:  # with a path, torch hides the reason why it cannot write
            torch.save(checkpoint, f)
        if damaged := _damaged_in(os.fspath(partial.absolute()), state_of(partial)):
            raise OSError(errno.EIO, f"{damaged} was not written as it is", str(place))
        read_checkpoint(partial, mmap=True)
        with partial.open("rb") as f:
            os.fsync(f.fileno())
        if place.name == LAST.name and place.is_file():
            place.replace(place.with_name(PREVIOUS.name))
    folder = os.open(place.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def kept_name(step: int) -> Path:
    """The checkpoint of a step that is kept for good."""
    return LAST.with_name(f"step-{step:09d}.ckpt")


def checkpoints_in(folder: Path) -> list[Path]:
    """The run's checkpoints, in the order in which it goes on from them."""
    kept = sorted((folder / LAST.parent).glob(f"step-{'[0-9]' * 9}.ckpt"), reverse=True)
    return [path for path in (folder / LAST, folder / PREVIOUS, *kept, folder / UNDECAYED) if path.is_file()]


def step_of(path: Path) -> int | None:
    """The step of a checkpoint; None if it is not whole."""
    try:
        return int(read_checkpoint(path, mmap=True)["global_step"])
    except ConfigError:
        return None


def forget_after(folder: Path, step: int) -> None:
    """Let the run not go on from later steps: they belong to another end. Those that are kept get another name."""
    (folder / PREVIOUS).unlink(missing_ok=True)
    for path in checkpoints_in(folder):
        if (found := re.fullmatch(r"step-(\d+)", path.stem)) and int(found[1]) > step:
            path.replace(path.with_name(f"{path.stem}-of-another-end.ckpt"))


@lru_cache(64)
def _damaged_in(path: str, state: tuple[int, ...]) -> str | None:
    """The first tensor that has not the sum that the file says. It takes little memory. Raises what zipfile raises."""
    with zipfile.ZipFile(path) as file:
        return file.testzip()


def read_checkpoint(path: Path, map_location: Any = "cpu", mmap: bool = False) -> dict[str, Any]:
    """The checkpoint in that file. With `mmap`, a tensor is read only when it is used.

    Raises ConfigError for a file that is not a complete checkpoint of plain data and tensors, or is damaged."""
    try:
        whole = _damaged_in(os.fspath(path.absolute()), state_of(path)) is None
        checkpoint = torch.load(path, map_location=map_location, weights_only=True, mmap=mmap) if whole else None
    except Exception as e:
        raise ConfigError(f"{path}: damaged, not a whole checkpoint ({type(e).__name__}); {RESTART}") from e
    if not whole:
        raise ConfigError(f"{path}: damaged (it is not as it was written); {RESTART}")
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("global_step"), int):
        raise ConfigError(f"{path}: not a checkpoint of a run")
    return checkpoint


RESTART = "take it from a copy, or delete the folder checkpoints/ to start over"
