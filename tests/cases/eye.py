"""What `prepare.py show=` writes of a set, read back: the only way in which these tests look at a source."""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from lightning_diff.cli.prepare import prepare
from lightning_diff.config.compose import compose_config
from lightning_diff.config.errors import ConfigError

Members = Sequence[tuple[str, object]]
Look = Callable[..., "Seen"]


@dataclass
class Seen:
    """{key: caption} of each split, {member: reason} of what is left out, the rows of samples.csv, the folder, the error."""

    train: dict[str, str]
    test: dict[str, str]
    left: dict[str, str]
    rows: list[dict[str, str]]
    folder: Path
    error: str = ""


def look(scratch: Path, kind: str, source: Path | str, *words: str) -> Seen:
    """Prepare a set, and look at it with show=."""
    folder = scratch / "shown"
    size = [] if any(word.startswith("data.image_size") for word in words) else ["data.image_size=16"]
    config = compose_config([f"data={kind}", *size, f"cache={scratch}/cache", *words, f"data.source='{source}'"])
    try:
        prepare(config, str(folder))
    except ConfigError as e:
        return Seen({}, {}, {}, [], folder, str(e))
    rows = _rows(folder / "samples.csv")
    splits = {split: {r["key"]: r["caption"] for r in rows if r["split"] == split} for split in ("train", "test")}
    for row in rows:
        assert Image.open(folder / row["file"]).size == (int(config.data.image_size),) * 2
    assert (folder / "sheet.png").is_file()
    left = {r["member"] or Path(r["source"]).name: r["reason"] for r in _rows(folder / "left-out.csv")}
    return Seen(splits["train"], splits["test"], left, rows, folder)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f))


def encoded(
    colour: tuple[int, int, int] = (200, 30, 40), form: str = "JPEG", size: tuple[int, int] = (24, 20)
) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, form)
    return out.getvalue()


def tar(path: Path, members: Members, form: int = tarfile.PAX_FORMAT, mode: str = "w") -> Path:
    """A tar of (name, content): bytes, text, (type, target) for a link, None for a folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode, format=form) as t:  # type: ignore[call-overload]
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, tuple):
                info.type, info.linkname = content
                t.addfile(info)
            elif content is None:
                info.type = tarfile.DIRTYPE
                t.addfile(info)
            else:
                data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
                assert isinstance(data, bytes)
                info.size = len(data)
                t.addfile(info, io.BytesIO(data))
    return path


def folder(root: Path, files: Members) -> Path:
    """A folder of (name, content); the content None makes a folder."""
    for name, content in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)  # type: ignore[arg-type]
    return root
