"""A generator in, a table out: every guider, average and guidance scale, from the same prompts and the same noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..nets.attributes import AttributeClassifier
from ..nets.text import Tower
from .parts import correct_heads
from .statistics import Extractor, clip_scores, features_of, frechet_distance, judge_features


class Case(NamedTuple):
    """One row of a sweep: how it is guided, how the weights were averaged (0: as in training), the guidance scale."""

    guider: str
    ema: float
    scale: float

    @property
    def label(self) -> str:
        """Short, and fit for a file's name: w3, apg-ema0.1-w3."""
        guider = "" if self.guider == "cfg" else f"{self.guider}-"
        return f"{guider}{f'ema{self.ema:g}-' if self.ema else ''}w{self.scale:g}"


Generate = Callable[[Case], Tensor]  # uint8 [N, 3, H, W], the same prompts and seeds each time
Row = dict[str, Any]


@dataclass
class Judges:
    """What scores: the tower (never the one that conditions), the FID's features of the reference, the classifier."""

    tower: Tower
    extract: Extractor
    reference: Tensor
    classifier: AttributeClassifier | None


def score(images: Tensor, captions: list[str], labels: Mapping[str, Tensor], judges: Judges) -> Row:
    """The numbers of one set of pictures, uint8 [N, 3, H, W], N captions, labels {head: [N]}."""
    made = features_of(images, judges.extract)
    unit = features_of(images, judge_features(judges.tower))
    unit = unit / unit.norm(dim=1, keepdim=True)
    with torch.no_grad():
        texts = judges.tower.text_features(captions).cpu()
        row: Row = {
            "n": len(images),
            "fid": frechet_distance(judges.reference, made),
            "clip_score": float(clip_scores(unit, texts).mean()),
        }
        if judges.classifier is not None:
            row |= accuracies(judges.classifier, images, labels)
    return row


def accuracies(classifier: AttributeClassifier, images: Tensor, labels: Mapping[str, Tensor]) -> Row:
    """Of what each caption states: everything right, the same among captions of one object, and head by head."""
    right = correct_heads(classifier, images, labels)
    everything = torch.stack(list(right.values())).all(dim=0)
    single = labels["count"] == 0
    row = {"accuracy": _mean(everything), "single_object_accuracy": _mean(everything[single])}
    for name, ok in right.items():
        row[f"accuracy_{name}"] = _mean(ok[labels[name] >= 0])
    return row


def _mean(ok: Tensor) -> float:
    return float(ok.float().mean()) if len(ok) else float("nan")


def sweep(
    cases: list[Case],
    generate: Generate,
    captions: list[str],
    labels: Mapping[str, Tensor],
    judges: Judges,
    passport: Callable[[Case], dict[str, Any]],
    known: Callable[[Case, dict[str, Any]], Row | None],
) -> Iterator[tuple[Case, Row, Tensor | None]]:
    """(case, row, pictures) of each; a row whose passport is already known is not computed again (pictures None)."""
    for case in cases:
        papers = passport(case)
        row = known(case, papers)
        if row is not None:
            yield case, row, None
            continue
        images = generate(case)
        yield case, {**case._asdict(), **score(images, captions, labels, judges), "passport": papers}, images


def best_row(rows: list[Row]) -> Row:
    """The row of the highest accuracy on single objects where there is one, else of the lowest FID."""
    if "single_object_accuracy" in rows[0]:
        return max(rows, key=lambda r: float(r["single_object_accuracy"]))
    return min(rows, key=lambda r: float(r["fid"]))
