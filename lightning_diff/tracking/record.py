"""The record of a run: an append-only file of events in the run folder, one JSON object per line. It is the truth (law 6)."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

STEPS = "steps"  # the event of a run that got another number of steps: it went on from this step to another end


class Record:
    """The file `record.jsonl`. A kill can leave an incomplete line. Reading skips it, and writing ends it before the next line.
    Reading never changes the file, because a line that looks incomplete may be one that the run is writing."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "record.jsonl"
        self.whole = False

    def _begin(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.is_file() and not self.path.read_bytes().endswith(b"\n") and self.path.stat().st_size:
            with self.path.open("a") as f:
                f.write("\n")
        self.whole = True

    def write(self, event: str, step: int | None = None, **values: Any) -> None:
        line = {"event": event, "time": round(time.time(), 3), **({} if step is None else {"step": step}), **values}
        if not self.whole:
            self._begin()
        with self.path.open("a") as f:
            f.write(json.dumps(line) + "\n")

    def read(self, event: str | None = None) -> list[dict[str, Any]]:
        """The events, oldest first."""
        rows = []
        for line in self.path.read_text().splitlines() if self.path.is_file() else []:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict) and (event is None or row.get("event") == event):
                rows.append(row)
        return rows

    def curve(self, event: str = "train") -> list[Mapping[str, Any]]:
        """One row per step. If a step was recorded again after a restart, its last row counts. If the run went back to a step
        and on to another end, the rows of the first end do not count."""
        rows: dict[int, Mapping[str, Any]] = {}
        for row in self.read():
            if row.get("event") == STEPS:
                rows = {step: kept for step, kept in rows.items() if step <= row["step"]}
            elif row.get("event") == event:
                rows[row["step"]] = row
        return [row for _, row in sorted(rows.items())]
