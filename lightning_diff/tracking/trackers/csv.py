"""The tracker that writes metrics.csv, the training curve for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from ...config.registry import choice
from ..base import Sweep, TrackedRun, Tracker
from ..record import Record

UNMEASURED = ("event", "time", "step")


@choice("tracker", "csv")
class Csv(Tracker):
    """RUN/metrics.csv: the training curve with one row per step, written when the run ends."""

    title: ClassVar[str] = "metrics.csv"

    def open(self, run: TrackedRun) -> MetricsCsv:
        return MetricsCsv(run.folder)


class MetricsCsv:
    """Writes one row per step, with all columns. The whole file is written from the record when the run ends. So it also has the
    steps that a killed run recorded, and each step only once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def train(self, step: int, values: Mapping[str, float]) -> None:
        pass  # the record has it

    def sweep(self, sweep: Sweep) -> None:
        pass  # sweep.csv is its table

    def finish(self) -> None:
        rows: dict[int, dict[str, Any]] = {}
        for event, prefix in (("train", ""), ("quick", "quick_")):
            for row in Record(self.folder).curve(event):
                numbers = {prefix + k: v for k, v in row.items() if k not in UNMEASURED and isinstance(v, int | float)}
                rows.setdefault(row["step"], {"step": row["step"]}).update(numbers)
        text = io.StringIO()
        writer = csv.DictWriter(text, list(dict.fromkeys(k for row in rows.values() for k in row)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for _, row in sorted(rows.items()))
        path = self.folder / "metrics.csv"
        partial = path.with_name(path.name + ".partial")
        partial.write_text(text.getvalue())
        partial.replace(path)
