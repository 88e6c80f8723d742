"""Reading and writing of checkpoints. A file on the disk is always complete (law 7) and is never unpickled (law 8)."""

from __future__ import annotations

import errno
import os
import zipfile
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from lightning_utilities import apply_to_collection
from pytorch_lightning.plugins.io import CheckpointIO
from torch import Tensor

from ..config.errors import ConfigError
from ..files import whole_file
from .footprint import tensor_bytes

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
        read_checkpoint(partial, mmap=True)
        with zipfile.ZipFile(partial) as file:
            if damaged := file.testzip():  # checks each tensor's checksum, with little memory
                raise OSError(errno.EIO, f"{damaged} was not written as it is", str(place))
    folder = os.open(place.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def read_checkpoint(path: Path, map_location: Any = "cpu", mmap: bool = False) -> dict[str, Any]:
    """The checkpoint in that file. With `mmap`, a tensor is read only when it is used.

    Raises ConfigError for a file that is not a complete checkpoint of plain data and tensors."""
    try:
        checkpoint = torch.load(path, map_location=map_location, weights_only=True, mmap=mmap)
    except Exception as e:
        raise ConfigError(f"{path}: not a whole checkpoint ({type(e).__name__}); delete it to start over") from e
    if not isinstance(checkpoint, dict) or "global_step" not in checkpoint:
        raise ConfigError(f"{path}: not a checkpoint of a run")
    return checkpoint
