"""Drawing and scoring of a sweep: all guiders, EMA lengths and guidance scales use the same prompts and the same noise.

Pictures are drawn in blocks of prompts, all cases of a block together. Each picture's features are computed once, and a block's
features are one file. So a killed sweep continues with its next block, processes share the blocks through the file system, and
the numbers do not depend on the number of processes.

On a CPU, a matrix product may round differently if its other rows change. So there every net is called with ROWS prompts, and a
prompt is always in the same row of the same call. Then the bits of a picture and of its features do not depend on the blocks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from ..devices import full_float32
from ..locks import shared
from ..nets.attributes import AttributeClassifier
from ..nets.text import Tower
from ..nets.weights import has_arrays, read_arrays, save_arrays
from .component_metrics import correct_heads
from .extractors.imagenet import Classifier
from .features import Extractor, features_of, judge_features
from .lost.pictures import kept_rows, lost_rows, tried, without
from .metrics.base import CLUSTERS, MetricChoice, PictureMetric
from .metrics.captions import clip_scores

ROWS = 32  # on two cores as fast as larger calls, to 3 % (16: 8 %)


class Case(NamedTuple):
    """One row of a sweep: the guider, the sampler with its steps, the EMA length (0: the training's own EMA), and the guidance
    scale."""

    guider: str
    sampler: str
    ema: float
    scale: float

    @property
    def label(self) -> str:
        """A short name that can be part of a file name: cfg-euler20-w3, apg-heun10-ema0.1-w3."""
        guider = self.guider.replace(":", "")
        return f"{guider}-{self.sampler}{f'-ema{self.ema:g}' if self.ema else ''}-w{self.scale:g}"


Row = dict[str, Any]
Seen = dict[str, Tensor]  # of each picture: features, embedding, clip_score, right.HEAD, named; and the first pictures
Block = tuple[int, int]
Generate = Callable[[Sequence[Case], Sequence[int]], Tensor]  # cases, numbers of B prompts -> uint8 [cases, B, 3, H, W]


@dataclass
class Judges:
    """All that scores pictures: the tower (never the one that conditions), the classifier, the reference's features, the
    metrics."""

    tower: Tower
    extract: Extractor | None  # None: FID and similar metrics use the tower's embedding
    classifier: AttributeClassifier | None
    reference: Tensor  # [R, F], by `extract`, or the embedding
    reference_embedding: Tensor  # [R, E], by the tower
    metrics: Sequence[MetricChoice]

    @cached_property
    def scores(self) -> list[tuple[MetricChoice, Metric]]:
        """Each metric with its torchmetrics.Metric, which already has the reference. Only the first rank computes rows."""
        width = self.reference.shape[1]
        made = [(choice, choice.build(width, keep_real=True, sync=False)) for choice in self.metrics]
        for choice, metric in made:
            choice.refer(metric, {"features": self.reference, "embedding": self.reference_embedding})
        return made


def joined(parts: Sequence[Seen]) -> Seen:
    """Concatenate the features of consecutive blocks. A tensor that only some blocks have is concatenated over those blocks."""
    return {name: torch.cat([p[name] for p in parts if name in p]) for name in parts[0]}


def calls(first: int, stop: int, rows: int | None) -> list[range]:
    """The prompts of each call for a block. Each call has `rows` prompts and starts at a multiple of `rows`, so some prompts may
    be outside the block. With None, the whole block is one call."""
    if rows is None:
        return [range(first, stop)]
    return [range(at, at + rows) for at in range(first // rows * rows, stop, rows)]


def look(
    cases: Sequence[Case],
    block: Block,
    captions: Sequence[str],
    labels: Mapping[str, Tensor],
    generate: Generate,
    judges: Judges,
    rows: int | None,
) -> list[Seen]:
    """Draw a block of prompts. Returns for each case the features and the `pictures`."""
    first, stop = block
    found: list[list[Seen]] = [[] for _ in cases]
    for call in calls(first, stop, rows):
        asked = [min(i, len(captions) - 1) for i in call]  # past the end, repeat the last prompt
        said = {name: column[asked] for name, column in labels.items()}
        of_block = slice(max(first - call.start, 0), stop - call.start)
        for parts, images, lost in zip(found, *tried(generate, cases, asked), strict=True):
            seen = without(see(images, [captions[i] for i in asked], said, judges), lost) | {"pictures": images}
            parts.append({name: values[of_block] for name, values in seen.items()})
    return [joined(parts) for parts in found]


@torch.no_grad()
def see(images: Tensor, captions: Sequence[str], labels: Mapping[str, Tensor], judges: Judges) -> Seen:
    """Evaluate every judging net once, in float32, on pictures, uint8 [B, 3, H, W], of B captions with labels {head: [B]}."""
    with full_float32(judges.tower.device.type):
        return _seen(images, captions, labels, judges)


def _seen(images: Tensor, captions: Sequence[str], labels: Mapping[str, Tensor], judges: Judges) -> Seen:
    embedding = features_of(images, judge_features(judges.tower))
    texts = judges.tower.text_features(captions).cpu()
    seen = {
        "embedding": embedding,
        "clip_score": clip_scores(embedding / embedding.norm(dim=1, keepdim=True), texts),
    }
    if judges.extract is not None:
        seen["features"] = features_of(images, judges.extract)
    if isinstance(judges.extract, Classifier):
        seen["named"] = judges.extract.finds(seen["features"], captions)
    if judges.classifier is not None:
        seen |= {f"right.{name}": ok for name, ok in correct_heads(judges.classifier, images, labels).items()}
    return seen


def score(seen: Seen, labels: Mapping[str, Tensor], judges: Judges, n: int) -> tuple[Row, dict[str, np.ndarray]]:
    """The row of a case, and each picture's values, from which the means and their intervals are computed, with the replicates
    from which differences of statistics get theirs. Statistics of a set
    use the first `n` pictures, because their bias depends on the number. Means use all `drawn` pictures. Lost pictures do not
    count."""
    values, lost = picture_values(seen, labels, judges.metrics), lost_rows(seen)
    if CLUSTERS in labels:
        values[CLUSTERS] = labels[CLUSTERS].numpy()
    row: Row = {"n": n - int(lost[:n].sum()), "drawn": len(lost)}
    if lost.any():
        seen, labels, n = kept_rows(seen, lost), kept_rows(dict(labels), lost), row["n"]
    for choice, metric in judges.scores:
        metric.reset()
        choice.feed(metric, seen, labels, n)
        row |= choice.row(metric)
        values |= choice.replicates(metric)
    return row, values


def picture_values(seen: Seen, labels: Mapping[str, Tensor], metrics: Sequence[MetricChoice]) -> dict[str, np.ndarray]:
    """Each picture's values, from which the table's means are computed; nan for a lost picture."""
    found = [m.values(seen, labels) for m in metrics if isinstance(m, PictureMetric)]
    columns = {name: values for some in found for name, values in some.items()}
    if (lost := lost_rows(dict(seen))).any():
        columns = {name: values.double().masked_fill(lost, torch.nan) for name, values in columns.items()}
    return {name: values.numpy() for name, values in columns.items()}


class Store:
    """The stored features of each case, one file per block: FOLDER/KEY/FIRST-STOP.safetensors. The key is a digest of everything
    that determines a picture. The name has both ends of the block, so no sweep mistakes a shorter block for a longer one. A sweep
    of more pictures starts with the blocks that exist."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str, block: Block) -> Path:
        return self.folder / key / f"{block[0]:07d}-{block[1]:07d}.safetensors"

    def read(self, key: str, count: int) -> Seen:
        """The features of a case's first `count` prompts. Raises FileNotFoundError if some of them are missing."""
        found = [read_arrays(path) for path in self._chain(key, count)]
        if not found:
            raise FileNotFoundError(f"{self.folder / key}: what was seen of the first {count} prompts is not all there")
        return joined(found)

    def _chain(self, key: str, count: int) -> list[Path]:
        """Consecutive blocks from 0 to `count`, with the longest possible blocks first; [] if there are none."""
        stops: dict[int, list[int]] = {}
        for path in (self.folder / key).glob("[0-9]*-[0-9]*.safetensors"):
            first, stop = map(int, path.stem.split("-"))
            if has_arrays(path):
                stops.setdefault(first, []).append(stop)
        chain: list[Path] = []

        def reaches(first: int) -> bool:
            if first == count:
                return True
            for stop in sorted((s for s in stops.get(first, []) if s <= count), reverse=True):
                chain.append(self.path(key, (first, stop)))
                if reaches(stop):
                    return True
                chain.pop()
            return False

        return chain if reaches(0) else []


def blocks(first: int, stop: int, size: int) -> list[Block]:
    """The blocks from `first` to `stop`: for each one its first prompt, and one past its last."""
    return [(at, min(at + size, stop)) for at in range(first, stop, size)]


def draw(
    cases: Mapping[str, Case],
    every: Sequence[Block],
    captions: Sequence[str],
    labels: Mapping[str, Tensor],
    generate: Generate,
    judges: Judges,
    store: Store,
    keep: int,
    rows: int | None,
    share: tuple[int, int] = (0, 1),
    watch: Callable[[Case, int, Seen], None] = lambda *_: None,
) -> Iterator[int]:
    """Draw the missing blocks of {key: case}, together with the other processes. Yields the numbers of the blocks that this
    process has drawn, and ends when all blocks exist. The pictures of the first `keep` prompts are saved. `share` is (this
    process's number, the number of processes); it says where this process starts. `watch` gets what was seen of each block,
    with its case and its first prompt, before it is saved."""

    def missing(i: int) -> list[str]:
        return [key for key in cases if not has_arrays(store.path(key, every[i]), remove=True)]

    work = shared(
        store.folder / f"{min(cases)}.lock", len(every), lambda i: not missing(i), len(every) * share[0] // share[1]
    )
    for i in work:
        left, first = missing(i), every[i][0]
        found = look([cases[key] for key in left], every[i], captions, labels, generate, judges, rows)
        for key, seen in zip(left, found, strict=True):
            pictures = seen.pop("pictures")
            watch(cases[key], first, seen)
            if first < keep:
                seen["pictures"] = pictures[: keep - first]
            save_arrays(store.path(key, every[i]), seen)
        yield i


def front(rows: Sequence[Row], low: Sequence[str], high: Sequence[str]) -> list[int]:
    """The Pareto front. A row is on it unless another row is better in one column and at least equal in all. Lower is better in
    the columns `low`, higher in the columns `high`."""
    table = np.array([[float(r[c]) for c in low] + [-float(r[c]) for c in high] for r in rows])
    beaten = [bool(((table <= row).all(axis=1) & (table < row).any(axis=1)).any()) for row in table]
    return [i for i, worse in enumerate(beaten) if not worse]


def unlike(passports: Sequence[Mapping[str, Any]], free: Sequence[str]) -> list[str]:
    """The fields in which these passports differ, except the `free` ones. Numbers with such differences must not be compared
    (law 4)."""
    first = passports[0]
    names = [n for n in first if n not in free and n != "drawing"]
    found = [n for n in names if len({json.dumps(p.get(n), sort_keys=True) for p in passports}) > 1]
    codes: dict[str, set[str]] = {}
    for passport in passports:
        for part, code in drawn_by(passport).items():
            codes.setdefault(part, set()).add(code)
    return found + ["drawing"] * any(len(some) > 1 for some in codes.values())


def drawn_by(passport: Mapping[str, Any]) -> dict[str, str]:
    """The hashes of the code that drew a row, by what the code is: the same sampler must have the same code in every row."""
    known: Mapping[str, Any] = passport.get("drawing", {})
    parts: dict[str, str] = {
        f"{part} {passport[part]['kind'] if part != 'shared' else ''}": known[part]
        for part in ("shared", "sampler", "guidance")
        if part in known
    }
    nets = known.get("nets", {})
    if isinstance(nets, str):  # not recorded: such rows are like each other alone
        return parts | {"nets": nets}
    return parts | {"nets": "recorded"} | {f"net {name}": code for name, code in nets.items()}
