"""The run folder is the truth (law 6): an append-only file of events, one JSON object a line."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Record:
    """`record.jsonl`. A line cut short by a kill is passed over when read, and closed off before the next is written.
    Reading changes nothing: a line that looks cut short may be one that the run is writing."""

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
        """One row a step; a step that was recorded again after a restart counts as recorded last."""
        return [row for _, row in sorted({row["step"]: row for row in self.read(event)}.items())]
