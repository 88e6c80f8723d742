"""The record of a run: an append-only file of events in the run folder, one JSON object per line. It is the truth (law 6).

Each line ends with its sum: the CRC-32 of the text before it. A line that does not fit its sum is passed over (law 7); a line
without a sum is an older one.
"""

from __future__ import annotations

import json
import logging
import re
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..files import check_file

log = logging.getLogger(__name__)

SUM = re.compile(rb', "sum": "([0-9a-f]{8})"\}$')
NEEDED = {
    "sweep": ("passport", "scale"),
    "train": ("step",),
    "quick": ("step",),
    "steps": ("step",),
}  # keys of an event
STEPS = "steps"  # the event of a run that got another number of steps: it went on from this step to another end


class Record:
    """The file `record.jsonl`. A kill can leave an incomplete line. Reading skips it, and writing ends it before the next line.
    Reading never changes the file, because a line that looks incomplete may be one that the run is writing."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "record.jsonl"
        self.whole = False
        self.told: dict[int, bytes] = {}  # damaged lines that a warning has named

    def _begin(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        check_file(self.path)
        if self.path.is_file() and not self.path.read_bytes().endswith(b"\n") and self.path.stat().st_size:
            with self.path.open("a") as f:
                f.write("\n")
        self.whole = True

    def write(self, event: str, step: int | None = None, **values: Any) -> None:
        line = {"event": event, "time": round(time.time(), 3), **({} if step is None else {"step": step}), **values}
        if not self.whole:
            self._begin()
        text = json.dumps(line)[:-1]
        with self.path.open("a") as f:
            f.write(f'{text}, "sum": "{zlib.crc32(text.encode()):08x}"}}\n')

    def read(self, event: str | None = None) -> list[dict[str, Any]]:
        """The events, oldest first, without those whose lines are damaged."""
        rows = []
        for number, line in enumerate(self.path.read_bytes().split(b"\n") if self.path.is_file() else [], 1):
            row = _event(line.rstrip(b"\r"))
            if row is None and line and self.told.get(number) != line:
                self.told[number] = line
                log.warning("%s: line %s is damaged; it is passed over", self.path, number)
            if row is not None and (event is None or row.get("event") == event):
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


def _event(line: bytes) -> dict[str, Any] | None:
    """The event in a line; None if it is not whole."""
    if (found := SUM.search(line)) and zlib.crc32(line[: found.start()]) != int(found[1], 16):
        return None
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or any(key not in row for key in NEEDED.get(str(row.get("event")), ())):
        return None
    row.pop("sum", None)
    return row
