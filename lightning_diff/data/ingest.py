"""Reading a user's folder: PICTURE.png (jpg, jpeg, webp) beside PICTURE.txt, whose first line with text is the caption."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path

from ..config.errors import ConfigError
from .decode import BadPicture, fit_square, open_picture
from .sample import Sample

log = logging.getLogger(__name__)
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def folder_pictures(source: Path) -> list[Path]:
    """The pictures in the folder that have a caption, sorted by name. Raises ConfigError if there are none."""
    if not source.is_dir():
        raise ConfigError(f"data.source={source}: no such folder")
    pictures = sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    captioned = [p for p in pictures if p.with_suffix(".txt").is_file()]
    if not captioned:
        raise ConfigError(
            f"data.source={source}: {len(pictures)} pictures, none with a caption; put PICTURE.txt beside PICTURE.png"
        )
    if len(captioned) < len(pictures):
        log.warning(
            "%d of %d pictures in %s have no caption and are left out",
            len(pictures) - len(captioned),
            len(pictures),
            source,
        )
    return captioned


def folder_fingerprint(source: Path) -> str:
    """A hash of the pictures' names and sizes and of their captions."""
    h = hashlib.sha256()
    for p in folder_pictures(source):
        h.update(f"{p.relative_to(source)}\0{p.stat().st_size}\0".encode())
        h.update(p.with_suffix(".txt").read_bytes())
    return h.hexdigest()[:12]


def _is_test(index: int, total: int, test: int) -> bool:
    """Whether picture `index` is a test picture. The `test` pictures are spread evenly through the folder."""
    return test > 0 and index * test // total != (index + 1) * test // total


def split_files(pictures: list[Path], test: int) -> dict[str, list[Path]]:
    """The pictures of each split. Raises ConfigError if no picture would be left for training."""
    if test >= len(pictures):
        raise ConfigError(f"data.test={test}: the folder has {len(pictures)} captioned pictures in all")
    tests = [_is_test(i, len(pictures), test) for i in range(len(pictures))]
    return {
        "train": [p for p, kept in zip(pictures, tests, strict=True) if not kept],
        "test": [p for p, kept in zip(pictures, tests, strict=True) if kept],
    }


def read_samples(source: Path, paths: list[Path], image_size: int) -> Iterator[Sample]:
    """Yield the samples of these pictures in the folder `source`. A picture that cannot be read is named in the log, counted
    and left out."""
    skipped = 0
    for number, path in enumerate(paths):
        captions = [line.strip() for line in path.with_suffix(".txt").read_text("utf-8-sig", "replace").splitlines()]
        try:
            picture = fit_square(open_picture(path.read_bytes()), image_size)
        except BadPicture as e:
            log.warning("left out %s: %s", path, e)
            skipped += 1
            continue
        caption = next((c for c in captions if c), "")
        if not caption:
            log.warning("left out %s: its caption is empty", path)
            skipped += 1
            continue
        stem = str(path.relative_to(source).with_suffix("")).replace("/", "_").replace(".", "_")
        yield Sample(f"{number:06d}-{stem}", picture, caption)  # the number keeps a.png, a.jpg, b/c and b_c apart
    if skipped:
        log.warning("%d of %d pictures could not be read and were left out", skipped, len(paths))
