"""TensorBoard: RUN/tensorboard, for `tensorboard --logdir outputs`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ...config.registry import choice
from ..base import Sweep, TrackedRun, Tracker

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


@choice("tracker", "tensorboard")
class TensorBoard(Tracker):
    """RUN/tensorboard: the training, a line for each guider and sampler of the sweep, and its grids."""

    title: ClassVar[str] = "TensorBoard"
    install: ClassVar[str] = "-e '.[tensorboard]'"

    @property
    def packages(self) -> list[str]:
        return ["tensorboard"]

    def open(self, run: TrackedRun) -> EventFiles:
        return EventFiles(run.folder / "tensorboard")


class EventFiles:
    """The training in the folder itself; below it a run for each line of the sweep, so that guiders are lines of one
    chart, and one for the pictures. TensorBoard counts in whole steps: those of a sweep are 100 w."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writer: SummaryWriter | None = None

    def train(self, step: int, values: Mapping[str, float]) -> None:
        if self.writer is None:  # what a killed run wrote from this step on is written again: hide it
            self.writer = _writer(self.folder, purge_step=step)
        for name, value in values.items():
            self.writer.add_scalar(f"train/{name}", value, step)
        self.writer.flush()  # a kill must not take what lies before the last checkpoint: that is not written again

    def sweep(self, sweep: Sweep) -> None:
        import numpy as np
        from PIL import Image

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
        return _writer(self.folder / name)

    def finish(self) -> None:
        if self.writer is not None:
            self.writer.close()


def _writer(folder: Path, purge_step: int | None = None) -> SummaryWriter:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=purge_step)
