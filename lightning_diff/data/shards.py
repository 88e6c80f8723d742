"""Writing WebDataset shards, and finding them again: the prepared data of a config, cached by what made it."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import webdataset

from ..config.errors import ConfigError
from ..config.schema import Data
from ..files import alone, whole_folder
from .ingest import folder_fingerprint, folder_samples
from .synthetic.base import Sample
from .synthetic.registry import WORLDS, get_world

Progress = Callable[[str, int, int], None]


def digest(value: Any) -> str:
    """Twelve hexadecimal digits of the SHA-256 of a plain value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def identity(data: Data) -> str:
    """What kind of pictures these are, whichever of them were drawn: weights trained on one draw serve another. For
    a world its name, version and size; for collected data the hash of what is there."""
    if data.kind in WORLDS:
        world = get_world(data.kind)
        return f"{world.name}-v{world.version}-{data.image_size}px"
    if data.source is None:
        raise ConfigError(f"data.kind={data.kind}: say where the pictures are, data.source=PATH")
    if data.kind == "folder":
        return f"folder-{folder_fingerprint(Path(data.source))}-{data.image_size}px"
    listing = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in find_shards(data.source)]
    return f"shards-{digest(listing)}-{data.image_size}px"


def find_shards(source: str) -> list[Path]:
    """The tar files of a folder, a file, or a brace pattern such as set/{000..012}.tar. Raises ConfigError for none."""
    if source.startswith("pipe:") or "://" in source:
        raise ConfigError(f"data.source={source}: only local paths are read; nothing from outside is executed")
    path = Path(source)
    try:
        found = (
            sorted(path.glob("*.tar"))
            if path.is_dir()
            else [Path(p) for p in webdataset.shardlists.expand_urls(source)]
        )
    except ValueError as e:
        raise ConfigError(f"data.source={source}: not a brace pattern: {e}") from e
    missing = [str(p) for p in found if not p.is_file()]
    if missing or not found:
        raise ConfigError(f"data.source={source}: no such shard: {missing[0] if missing else '*.tar in that folder'}")
    return found


def write_shards(samples: Iterable[Sample], folder: Path, split: str, size: int) -> int:
    """Samples to `folder`/`split`-NNNNNN.tar, `size` a shard: KEY.png, KEY.txt, KEY.json. Returns how many."""
    count, writer = 0, None
    for sample in samples:
        if count % size == 0:
            if writer is not None:
                writer.close()
            writer = webdataset.TarWriter(str(folder / f"{split}-{count // size:06d}.tar"), mtime=0)
        png = io.BytesIO()
        sample.image.save(png, "PNG", compress_level=1)
        record = {"labels": sample.labels, "key": sample.key, "contrast": sample.contrast}
        assert writer is not None
        writer.write(
            {"__key__": sample.key, "png": png.getvalue(), "txt": sample.caption, "json": json.dumps(record).encode()}
        )
        count += 1
    if writer is not None:
        writer.close()
    return count


def _recipe(data: Data, cache: Path) -> tuple[dict[str, Any], Path]:
    """What made shards are made by, and their folder."""
    recipe = {
        "format": 3,  # of what is written: sets of another format are made again
        "identity": identity(data),
        "train": data.train,
        "test": data.test,
        "seed": data.seed,
        "per": data.shard_size,
    }
    if not data.hold_out:
        recipe["hold_out"] = False
    if data.kind == "folder":
        recipe.pop("train"), recipe.pop("seed")
    return recipe, cache / "data" / f"{data.kind}-{digest(recipe)}"


def prepared(data: Data, cache: Path) -> dict[str, list[Path]] | None:
    """The shards of each split; None if they have to be made first. Raises ConfigError."""
    if data.kind == "shards":
        assert data.source is not None
        shards = find_shards(data.source)
        tests = [p for p in shards if p.name.startswith("test")]
        return {"train": [p for p in shards if p not in tests] or shards, "test": tests}
    folder = _recipe(data, cache)[1]
    if not (folder / "recipe.json").is_file():
        return None
    return {split: sorted(folder.glob(f"{split}-*.tar")) for split in ("train", "test")}


def prepare(data: Data, cache: Path, progress: Progress | None = None) -> dict[str, list[Path]]:
    """The shards of each split, made if they are not there yet. A set is written beside its place and renamed when
    whole, so that a killed run leaves none half-written."""
    found = prepared(data, cache)
    if found is None:
        recipe, folder = _recipe(data, cache)
        with alone(folder):
            if not folder.is_dir():
                _make(data, recipe, folder, progress)
        found = prepared(data, cache)
        assert found is not None
    return found


def _make(data: Data, recipe: dict[str, Any], folder: Path, progress: Progress | None) -> None:
    with whole_folder(folder) as partial:
        for split, samples, total in _splits(data):
            made = write_shards(_counted(samples, split, total, progress), partial, split, data.shard_size)
            if not made and split == "train":
                raise ConfigError(
                    f"data.source={data.source}: none of its {total} pictures can be used; the log says why"
                )
        (partial / "recipe.json").write_text(json.dumps(recipe, indent=1))


def _splits(data: Data) -> Iterator[tuple[str, Iterable[Sample], int]]:
    if data.kind == "folder":
        assert data.source is not None
        yield from folder_samples(Path(data.source), data.image_size, data.test)
        return
    world = get_world(data.kind)
    for split, drawn, count in (
        ("train", "train" if data.hold_out else "all", data.train),
        ("test", "test", data.test),
    ):
        yield split, (world.sample(drawn, data.seed, i, data.image_size) for i in range(count)), count


def _counted(samples: Iterable[Sample], split: str, total: int, progress: Progress | None) -> Iterator[Sample]:
    for i, sample in enumerate(samples):
        if progress is not None and i % 256 == 0:
            progress(split, i, total)
        yield sample
