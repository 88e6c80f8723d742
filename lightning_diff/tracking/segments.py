"""The segments of a run in W&B: each time that the run is opened, W&B begins a new folder in RUN/wandb.

The names of these folders hold a time. A clock may be set back, and a time zone may change. So the order in which the segments
began is kept in RUN/wandb/segments, the name of one folder a line.
"""

from __future__ import annotations

import re
from pathlib import Path

ID = r"[\w-]{1,64}"
NAME = re.compile(rf"(?:offline-)?run-\d+_\d+-({ID})")
ORDER = "segments"


def begin_segment(folder: Path, segment: Path) -> None:
    """Note that this segment of the run folder began after all that are noted."""
    path = folder / "wandb" / ORDER
    cut = path.is_file() and not path.read_bytes().endswith(b"\n")  # a killed process may have left half a line
    with path.open("a") as f:
        f.write("\n" * cut + segment.name + "\n")


def segments_in(folder: Path) -> list[Path]:
    """The folders of a run's segments, in the order in which they began. Those that an older version began, without a note, come
    first, in the order of their names."""
    path = folder / "wandb" / ORDER
    noted = path.read_text("utf-8", "replace").splitlines() if path.is_file() else []
    place = {name: i for i, name in enumerate(noted)}
    found = [p for p in (folder / "wandb").glob("*run-*-*") if NAME.fullmatch(p.name)]
    return sorted(found, key=lambda p: (place.get(p.name, -1), p.name))


def file_of(segment: Path) -> Path | None:
    """The file that holds all of a segment; None if there is none yet."""
    return next(iter(segment.glob("run-*.wandb")), None)


def id_of(segment: Path) -> str:
    """The id of the W&B run that a segment belongs to. The name of its file says it; that of its folder may have a number at
    its end, where two began in the same second."""
    file, named = file_of(segment), NAME.fullmatch(segment.name)
    assert named is not None
    return file.stem.removeprefix("run-") if file is not None else named[1]
