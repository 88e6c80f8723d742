"""prepare.py show=: what the trainer sees. The pictures and captions of a set, or of a step's batch, are written to a folder."""

from __future__ import annotations

import csv
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from ...config.errors import ConfigError
from ...config.paths import check_writable
from ...config.schema import Config
from ...data.account.summary import cropped, remarks_of, scaled
from ...data.dataset import Pictures
from ...data.sources.base import Prepared
from ...progress import tracked
from ...ranks import say
from ...strings import counted
from ...tracking.figures import save_grid

COLUMNS = ("split", "key", "source", "caption", "tokenised", "tokens_cut", "width", "height", "scaled", "cropped")
MORE = ("captions", "position", "remarks", "file")
LEFT_OUT = ("source", "member", "offset", "reason", "remedy", "count")
ON_SHEET = 64  # pictures
LONGEST = 244  # bytes of a file's name without its ending, and without a number behind it
LONGEST_PATH = 3800  # bytes


@dataclass(frozen=True)
class Shown:
    """A sample to show: its split, its number there, its position in the stream (its number if no step is asked for), and how
    often it was listed before."""

    split: str
    number: int
    position: int
    turn: int = 0


def free_place(config: Config, where: str, count: int) -> Path:
    """The folder to write to: `where`, or for step:N a folder of that name in config.outputs. Raises ConfigError if it cannot
    be, before anything is prepared."""
    step = where.removeprefix("step:") if where.startswith("step:") else ""
    if where.startswith("step:") and not re.fullmatch(r"[0-9]+", step):
        raise ConfigError(f"show={where}: a step is a whole number, show=step:1234")
    if step and int(step) >= config.training.steps:
        raise ConfigError(f"show={where}: the training has {config.training.steps} steps, numbered from 0")
    if count < 0:
        raise ConfigError(f"show.count={count}: it is a number of pictures, 0 for all")
    folder = Path(config.outputs) / f"step-{step}" if step else Path(where).expanduser()
    try:
        os.lstat(folder)
        free = folder.is_dir() and not any(folder.iterdir())
    except FileNotFoundError:
        free = True
    except (OSError, ValueError) as e:  # the path goes through a file, it is too long, or no path has such a character
        raise ConfigError(f"show={where}: {e.strerror if isinstance(e, OSError) else e}") from e
    if not free:
        raise ConfigError(f"show={where}: {folder} is there already; give another name, or delete it")
    check_writable(f"show={where}", folder)
    return folder


def preview(config: Config, found: Prepared, folder: Path, where: str, count: int) -> None:
    """Write to `folder`: SPLIT/KEY.png, the very tensors; samples.csv; left-out.csv; a contact sheet. Of the whole set, or, for
    `where` step:N, of that step's batch. `count` limits the samples, 0 shows all. Raises ConfigError."""
    pictures = {
        split: Pictures(
            index,
            config.data.image_size,
            fit=config.data.fit,
            ordering=config.data.ordering,
            framing=config.data.framing(config.seed) if split == "train" else None,
        )
        for split, index in found.splits.items()
    }
    step = where.startswith("step:")
    every = list(_of_step(config, pictures["train"], int(where[5:])) if step else _of_set(pictures))
    some = every if not count else [every[i] for i in sorted(set(np.linspace(0, len(every) - 1, count).astype(int)))]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as e:
        raise ConfigError(f"show={where}: {e.filename}: {e.strerror}") from e
    rows, images, captions = _written(config, pictures, some, folder)
    _table(folder / "samples.csv", (*COLUMNS, *MORE), rows)
    write_left_out(found, folder / "left-out.csv")
    save_grid(_one_shape(images), captions, folder / "sheet.png", columns=8)
    say(
        f"{len(rows):,} of {counted(len(every), 'sample')}, and what is left out, in {folder}; some of them on {folder}/sheet.png"
    )


def _one_shape(images: list[np.ndarray]) -> np.ndarray:
    """uint8 [N, 3, H, W]: pictures [3, h, w] in the middle of white ones that hold each of them."""
    height, width = (max(image.shape[axis] for image in images) for axis in (1, 2))
    sheet = np.full((len(images), 3, height, width), 255, np.uint8)
    for white, image in zip(sheet, images, strict=True):
        top, left = (height - image.shape[1]) // 2, (width - image.shape[2]) // 2
        white[:, top : top + image.shape[1], left : left + image.shape[2]] = image
    return sheet


def write_left_out(found: Prepared, path: Path) -> None:
    """Write a table of all that is left out, each with its place, its reason and what to do."""
    _table(path, LEFT_OUT, [[getattr(one, name) for name in LEFT_OUT] for one in found.left])


def _of_set(pictures: dict[str, Pictures]) -> Iterator[Shown]:
    for split, some in pictures.items():
        yield from (Shown(split, i, i) for i in range(len(some)))


def _of_step(config: Config, train: Pictures, step: int) -> Iterator[Shown]:
    """The samples of a step, in their order in the global batch."""
    for position, number, turn in train.order(config.training.batch, config.seed).places(step):
        yield Shown("train", number, position, turn)


def _written(
    config: Config, pictures: dict[str, Pictures], some: Sequence[Shown], folder: Path
) -> tuple[list[list[Any]], list[np.ndarray], list[str]]:
    """(rows of samples.csv, pictures and captions of the contact sheet). The pictures are written."""
    tokenizer, size = config.text.tokenizer(), config.data.image_size
    facts = {
        split: (facts := p.index.facts, scaled(facts.sizes, config.data), cropped(facts.sizes, config.data))
        for split, p in pictures.items()
    }
    on_sheet = set(np.linspace(0, len(some) - 1, min(ON_SHEET, len(some))).astype(int).tolist())
    rows, images, captions = [], [], []
    taken: Counter[str] = Counter()
    for n, one in enumerate(tracked(some, "show", len(some))):
        set_of, (known, scale, share), i = pictures[one.split], facts[one.split], one.number
        pixels, caption, _, _ = set_of.read(i, one.turn, one.position)
        said = tokenizer.read(caption)
        width, height = known.sizes[i].tolist()
        file = _save(pixels, folder, f"{one.split}/{set_of.name(i)}", taken)
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


def _save(pixels: Tensor, folder: Path, key: str, taken: Counter[str]) -> str:
    """Write SPLIT/KEY.png, and return its name: one that the file system takes and that no file has. `taken` counts names."""
    flat = key.replace("\0", "_").replace("/", "_")
    name = "/".join(_short(part.replace("\0", "_")) for part in key.split("/"))
    if len(os.fsencode(folder / name)) > LONGEST_PATH:
        name = _short(flat)
    while True:
        taken[name] += 1
        path = folder / (f"{name}-{taken[name]}.png" if taken[name] > 1 else f"{name}.png")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):  # another key's picture is where this one's folder would be
            name = _short(flat)
            continue
        with suppress(FileExistsError), path.open("xb") as file:
            Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(file, "PNG")
            return str(path.relative_to(folder))


def _short(part: str) -> str:
    data = os.fsencode(part)
    if len(data) <= LONGEST:
        return part
    return f"{data[: LONGEST - 9].decode('utf-8', 'ignore')}-{hashlib.sha256(data).hexdigest()[:8]}"


def _table(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", errors="replace", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(columns)
        writer.writerows(rows)
