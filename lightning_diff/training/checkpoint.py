"""Checkpoints that are always whole (law 7) and never unpickled (law 8)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import CheckpointIO

from ..config import ConfigError
from ..files import whole_file


class WholeCheckpoints(CheckpointIO):
    """Written to the side, flushed, read back, and only then renamed over the last one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        place = Path(path)
        with whole_file(place) as partial:
            torch.save(checkpoint, partial)
            read_checkpoint(partial)
        folder = os.open(place.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = None) -> dict[str, Any]:
        return read_checkpoint(Path(path), map_location or "cpu")

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


def read_checkpoint(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Raises ConfigError for a file that is not a whole checkpoint of plain data and tensors."""
    try:
        checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except Exception as e:
        raise ConfigError(f"{path}: not a whole checkpoint ({type(e).__name__}); delete it to start over") from e
    if not isinstance(checkpoint, dict) or "global_step" not in checkpoint:
        raise ConfigError(f"{path}: not a checkpoint of a run")
    return checkpoint
