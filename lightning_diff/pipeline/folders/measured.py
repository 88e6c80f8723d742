"""FID and all other metrics of a folder of pictures, against another folder or against the held-out pictures of a run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import PIL
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ...config.errors import ConfigError
from ...config.paths import WEIGHTS, check_writable
from ...config.registry import plugins_entry
from ...config.schema import Config
from ...data.decode import DECODING
from ...data.sample import LeftOut, lost
from ...data.sources.own import read_once
from ...devices import device_of
from ...evaluation.features import features_of, judge_features
from ...evaluation.folders.comparing import BIASED, SPLITS, compared, judge_recall
from ...evaluation.folders.reading import Eyes, PictureSet, listed, read_folder
from ...evaluation.provenance import environment, tensor_hash
from ...evaluation.sweep import Row
from ...files import file_hash, write_text
from ...models.build import load_part
from ...progress import lines_told
from ...ranks import console, first_rank
from ..data import prepare_data
from .asked import Asked, asked
from .reference import reference_pictures


@dataclass
class Measured:
    """`values` of the pictures by column, and the same of `real` pictures in their place: FID's floor, for example. `recall` is
    how often the judge finds a picture's own caption among `among` captions (None: there are too few). `common` pictures are in
    both sets, bit for bit. `shipped` is true if the judge is the one that comes with the package."""

    values: Row
    real: Row
    passport: dict[str, Any]
    left_out: dict[str, list[LeftOut]]
    recall: float | None = None
    among: int = 0
    common: int = 0
    shipped: bool = False

    def as_json(self) -> str:
        """All of it as JSON."""
        return json.dumps(asdict(self), indent=1)


def evaluate_pictures(
    pictures: str | Path,
    reference: str | Path | None = None,
    *,
    run: str | Path | None = None,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
) -> Measured:
    """Measure the pictures of a folder against those of the folder `reference`, or against the held-out pictures of a finished
    `run`. The run's judge is used; without a run it is the one that comes with the package.

    `overrides` are words such as "evaluation/features=inception". With `out`, the result is also written there as JSON; nothing
    else is written, except that a run's data is made again in its cache if it is gone. Raises ConfigError."""
    given = asked(
        Path(pictures).expanduser(),
        None if reference is None else Path(reference).expanduser(),
        None if run is None else Path(run).expanduser(),
        overrides,
    )
    place = None if out is None else checked_out(Path(out).expanduser(), given)
    found = measure(given)
    if place is not None:
        write_text(place, found.as_json() + "\n")
    return found


def checked_out(place: Path, given: Asked) -> Path:
    """Raises ConfigError if no file can be written there, or if it would lie among the files of a run, of its cache or of the
    pictures, and could be in the place of one."""
    if place.is_dir() or place.suffix != ".json":
        raise ConfigError(f"out={place}: give a file that ends in .json")
    read = [Path(os.path.realpath(some)) for some in (given.config.cache, given.pictures, given.reference) if some]
    for folder in Path(os.path.realpath(place)).parents:
        is_run = (folder / "config.yaml").is_file() and any((folder / n).is_file() for n in (WEIGHTS, "record.jsonl"))
        if is_run or folder in read:
            raise ConfigError(f"out={place}: would lie among the files of {folder}; name a place outside it")
    check_writable(f"out={place}", place.parent, "a file in a folder")
    return place


def measure(given: Asked) -> Measured:
    """Read both sets and compare them. Shows the progress. Raises ConfigError."""
    e, config = given.config.evaluation, given.config
    lists = {"pictures": (given.pictures, listed(given.pictures, "pictures"))}
    if given.reference is not None:
        lists["reference"] = (given.reference, listed(given.reference, "reference"))
    tower = load_part(given.judge).to(device_of(config.training.accelerator))
    extract = e.features.build(tower.device)
    side = e.features.side if given.reference is not None else 0
    size = tower.image_size if given.shipped else config.data.image_size
    eyes = Eyes(tower, extract, size, side, e.batch)
    with read_once():
        own = _run_set(config, eyes) if given.reference is None else None
        with _progress() as bar:
            read = {
                word: read_folder(root, listing, eyes, word, _counted(bar, word, len(listing.found)))
                for word, (root, listing) in lists.items()
            }
            made, real = read["pictures"], own or read["reference"]
            task = bar.add_task("metrics", total=None)
            values, floor = compared(
                made, real, e.metrics, tower, lambda what: bar.update(task, description=what, refresh=True)
            )
            known = judge_recall(real, tower) or judge_recall(made, tower)
    common = len(set(made.contents) & set(real.contents))
    values |= {"n": len(made), "n_reference": len(real)}
    left = {word: some.left for word, some in read.items()}
    recall, among = known or (None, 0)
    return Measured(values, floor, _passport(given, made, real, eyes), left, recall, among, common, given.shipped)


def _passport(given: Asked, made: PictureSet, real: PictureSet, eyes: Eyes) -> dict[str, Any]:
    """Everything that the numbers depend on (law 4)."""
    e, tower = given.config.evaluation, file_hash(given.judge)
    square = "centre square, {0} x {0} px, Lanczos"
    shown = {0: "as for the tower", None: "whole pictures, as they are"}.get(eyes.side, square.format(eyes.side))
    return {
        "pictures": made.passport | {"left_out": lost(made.left)},
        "reference": real.passport | {"left_out": lost(real.left)},
        "judge": {
            "tower": tower,
            "fid_features": f"judge {tower}" if eyes.extract is None else e.features.made_by,
            "clip_score": "100 cos, the first caption of each picture",
        },
        "metrics": {m.kind: m.passport for m in e.metrics},
        "resize": {"tower": square.format(eyes.size), "features": shown},
        "decoding": DECODING,
        "real": f"mean of {SPLITS} splits of the reference; {' and '.join(BIASED)} scaled to n and n_reference",
        "environment": environment() | {"pillow": PIL.__version__},
        **plugins_entry([e.features, *e.metrics]),
    }


@torch.no_grad()
def _run_set(config: Config, eyes: Eyes) -> PictureSet:
    """The pictures that a run is measured with."""
    prepare_data(config)
    split, asked_for = reference_pictures(config)
    images = asked_for.images
    embedding = features_of(images, judge_features(eyes.tower), eyes.batch)
    features = embedding if eyes.extract is None else features_of(images, eyes.extract, eyes.batch)
    passport = {"split": split, "n": len(images), "sha256": tensor_hash(images)}
    return PictureSet(embedding, features, asked_for.captions, passport)


@contextmanager
def _progress() -> Iterator[Progress]:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not first_rank()) as bar:
        yield bar


def _counted(bar: Progress, word: str, total: int) -> Callable[[int], None]:
    task, line = bar.add_task(word, total=total), lines_told()

    def told(done: int) -> None:
        bar.update(task, completed=done)
        line(word, done, total)

    return told
