"""TensorBoard: RUN/tensorboard, for `tensorboard --logdir outputs`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from .base import Sweep


class TensorBoard:
    """The training in the folder itself; below it a run for each line of the sweep, so that guiders are lines of one
    chart, and one for the pictures. TensorBoard counts in whole steps: those of a sweep are 100 w."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "tensorboard"
        self.writer: SummaryWriter | None = None

    def train(self, step: int, values: Mapping[str, float]) -> None:
        if self.writer is None:  # what a killed run wrote from this step on is written again: hide it
            self.writer = SummaryWriter(str(self.folder), purge_step=step)
        for name, value in values.items():
            self.writer.add_scalar(f"train/{name}", value, step)
        self.writer.flush()  # a kill must not take what lies before the last checkpoint: that is not written again

    def sweep(self, sweep: Sweep) -> None:
        for line, rows in sweep.lines().items():
            with self._anew(Path("sweep") / line) as writer:
                for row in rows:
                    for name in sweep.measured:
                        writer.add_scalar(f"sweep/{name}", row[name], round(100 * row["scale"]))
        with self._anew(Path("pictures")) as writer:
            for path in sweep.figures:
                pixels = np.asarray(Image.open(path).convert("RGB"))
                writer.add_image(f"pictures/{path.stem}", pixels, 0, dataformats="HWC")

    def _anew(self, name: Path) -> SummaryWriter:
        """Of a run that is written whole each time, without what an earlier sweep wrote."""
        shutil.rmtree(self.folder / name, ignore_errors=True)
        return SummaryWriter(str(self.folder / name))

    def finish(self) -> None:
        if self.writer is not None:
            self.writer.close()
