"""prepare.py show=: what the trainer sees. The pictures and captions of a set, or of a step's batch, are written to a folder."""

from __future__ import annotations

import csv
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.progress import track
from torch import Tensor

from ..config.errors import ConfigError
from ..config.schema import Config
from ..data.dataset import Pictures
from ..data.order import sample_at
from ..data.sources.base import Prepared
from ..data.summary import cropped, remarks_of, scaled
from ..ranks import console, say
from ..tracking.figures import save_grid

COLUMNS = ("split", "key", "source", "caption", "tokenised", "tokens_cut", "width", "height", "scaled", "cropped")
MORE = ("captions", "position", "remarks", "file")
LEFT_OUT = ("source", "member", "offset", "reason", "remedy", "count")
ON_SHEET = 64  # pictures
LONGEST = 200  # bytes of a file's name


@dataclass(frozen=True)
class Shown:
    """A sample to show: its split, its number there, and its position in the stream (its number if no step is asked for)."""

    split: str
    number: int
    position: int


def preview(config: Config, found: Prepared, where: str, count: int) -> None:
    """Write to the folder `where` (or, for step:N, to a folder of that name in config.outputs): SPLIT/KEY.png, the very
    tensors; samples.csv; left-out.csv; a contact sheet. `count` limits the samples, 0 shows all. Raises ConfigError."""
    pictures = {split: Pictures(index, config.data.image_size) for split, index in found.splits.items()}
    step = re.fullmatch(r"step:(\d+)", where)
    if where.startswith("step:") and not step:
        raise ConfigError(f"show={where}: a step is a whole number, show=step:1234")
    folder = Path(config.outputs) / f"step-{step[1]}" if step else Path(where).expanduser()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"show={where}: {folder} is there already; give another name, or delete it")
    every = list(_of_step(config, pictures["train"], int(step[1])) if step else _of_set(pictures))
    some = every if not count else [every[i] for i in sorted(set(np.linspace(0, len(every) - 1, count).astype(int)))]
    rows, images, captions = _written(config, pictures, some, folder)
    _table(folder / "samples.csv", (*COLUMNS, *MORE), rows)
    _table(folder / "left-out.csv", LEFT_OUT, [[getattr(one, name) for name in LEFT_OUT] for one in found.left])
    save_grid(np.stack(images), captions, folder / "sheet.png", columns=8)
    say(
        f"{len(rows):,} of {len(every):,} samples, and what is left out, in {folder}; some of them on {folder}/sheet.png"
    )


def _of_set(pictures: dict[str, Pictures]) -> Iterator[Shown]:
    for split, some in pictures.items():
        yield from (Shown(split, i, i) for i in range(len(some)))


def _of_step(config: Config, train: Pictures, step: int) -> Iterator[Shown]:
    """The samples of a step, in their order in the global batch."""
    batch = config.training.batch
    if step >= config.training.steps:
        raise ConfigError(f"show=step:{step}: the training has {config.training.steps} steps, numbered from 0")
    for position in range(step * batch, (step + 1) * batch):
        yield Shown("train", sample_at(position, len(train), config.seed), position)


def _written(
    config: Config, pictures: dict[str, Pictures], some: Sequence[Shown], folder: Path
) -> tuple[list[list[Any]], list[np.ndarray], list[str]]:
    """(rows of samples.csv, pictures and captions of the contact sheet). The pictures are written."""
    tokenizer, size = config.text.tokenizer(), config.data.image_size
    facts = {
        split: (p.index.facts, scaled(p.index.facts, size), cropped(p.index.facts)) for split, p in pictures.items()
    }
    on_sheet = set(np.linspace(0, len(some) - 1, min(ON_SHEET, len(some))).astype(int).tolist())
    rows, images, captions = [], [], []
    taken: set[str] = set()
    for n, one in enumerate(track(some, "show", console=console, transient=True)):
        set_of, (known, scale, share), i = pictures[one.split], facts[one.split], one.number
        pixels, caption, _, _ = set_of.read(i, one.position)
        said = tokenizer.read(caption)
        width, height = known.sizes[i].tolist()
        file = _file_name(one.split, set_of.name(i), taken)
        _save(pixels, folder / file)
        change = "up" if scale[i] > 1 else "down" if scale[i] < 1 else "same"
        rows.append(
            [
                *(one.split, set_of.name(i), _source(set_of, i), caption, said.text, said.tokens - said.kept),
                *(width or size, height or size, change, f"{share[i]:.3f}"),
                *(int(known.counts[i]), one.position, remarks_of(known, i), file),
            ]
        )
        if n in on_sheet:
            images.append(pixels.numpy())
            captions.append(caption)
    return rows, images, captions


def _source(some: Pictures, i: int) -> str:
    """The file of a folder, or the shard, that a sample comes from."""
    place, shard = str(some.index.facts.places[i]), str(some.index.shards[some.index.spans[i, 0]])
    return place if some.index.how.ours else shard


def _file_name(split: str, key: str, taken: set[str]) -> str:
    """SPLIT/KEY.png, in characters and lengths that a file system takes, and unlike all before."""
    parts = [_short(part.replace("\0", "_")) for part in key.split("/")]
    name = "/".join([split, *parts])
    number, unlike = 1, name
    while unlike.casefold() in taken:
        number += 1
        unlike = f"{name}-{number}"
    taken.add(unlike.casefold())
    return f"{unlike}.png"


def _short(part: str) -> str:
    data = os.fsencode(part)
    if len(data) <= LONGEST:
        return part
    return f"{data[:LONGEST].decode('utf-8', 'ignore')}-{hashlib.sha256(data).hexdigest()[:8]}"


def _save(pixels: Tensor, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(path)


def _table(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", errors="replace", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(columns)
        writer.writerows(rows)
