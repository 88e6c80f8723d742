"""The TensorBoard tracker: it writes RUN/tensorboard, for `tensorboard --logdir outputs`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ...config.registry import choice
from ..base import Sweep, TrackedRun, Tracker, step_of

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


@choice("tracker", "tensorboard")
class TensorBoard(Tracker):
    """RUN/tensorboard: the training curves, a line for each guider and sampler of the sweep, and the grids of pictures."""

    title: ClassVar[str] = "TensorBoard"
    install: ClassVar[str] = "-e '.[tensorboard]'"

    @property
    def packages(self) -> list[str]:
        return ["tensorboard"]

    def open(self, run: TrackedRun) -> EventFiles:
        return EventFiles(run.folder / "tensorboard")


class EventFiles:
    """The event files of a run. The training is in the folder itself. Each line of the sweep is a run in a subfolder, so that
    guiders are lines in one chart; the pictures are one more run. TensorBoard needs integer steps: a sweep's steps are 1000 w."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writer: SummaryWriter | None = None

    def train(self, step: int, values: Mapping[str, float]) -> None:
        if self.writer is None:  # hide later steps that a killed run wrote: they come again
            self.writer = _writer(self.folder, purge_step=step)
        for name, value in values.items():
            self.writer.add_scalar(f"train/{name}", value, step)
        self.writer.flush()  # steps before the last checkpoint are not written again after a kill

    def sweep(self, sweep: Sweep) -> None:
        import numpy as np
        from PIL import Image

        for line, rows in sweep.lines().items():
            with self._anew(Path("sweep") / line) as writer:
                for row in rows:
                    for name in sweep.measured:
                        writer.add_scalar(f"sweep/{name}", row[name], step_of(row))
        with self._anew(Path("pictures")) as writer:
            for path in sweep.figures:
                pixels = np.asarray(Image.open(path).convert("RGB"))
                writer.add_image(f"pictures/{path.stem}", pixels, 0, dataformats="HWC")

    def _anew(self, name: Path) -> SummaryWriter:
        """A writer for a subfolder. What an earlier sweep wrote there is removed first."""
        shutil.rmtree(self.folder / name, ignore_errors=True)
        return _writer(self.folder / name)

    def finish(self) -> None:
        if self.writer is not None:
            self.writer.close()


def _writer(folder: Path, purge_step: int | None = None) -> SummaryWriter:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=purge_step)
