"""A generator in, a table out: every guidance scale, from the same prompts and the same noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..nets.attributes import AttributeClassifier
from ..nets.text import Tower
from .parts import correct_heads
from .statistics import Extractor, clip_scores, features_of, frechet_distance, judge_features

Generate = Callable[[float], Tensor]  # guidance scale -> uint8 [N, 3, H, W], the same prompts and seeds each time
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
    scales: list[float],
    generate: Generate,
    captions: list[str],
    labels: Mapping[str, Tensor],
    judges: Judges,
    passport: Callable[[float], dict[str, Any]],
    known: Callable[[dict[str, Any]], Row | None],
) -> Iterator[tuple[Row, Tensor | None]]:
    """(row, pictures) of each scale; a row whose passport is already known is not computed again (pictures None)."""
    for scale in scales:
        papers = passport(scale)
        row = known(papers)
        if row is not None:
            yield row, None
            continue
        images = generate(scale)
        yield {"guider": "cfg", "scale": scale, **score(images, captions, labels, judges), "passport": papers}, images


def best_row(rows: list[Row]) -> Row:
    """The row of the highest accuracy on single objects where there is one, else of the lowest FID."""
    if "single_object_accuracy" in rows[0]:
        return max(rows, key=lambda r: float(r["single_object_accuracy"]))
    return min(rows, key=lambda r: float(r["fid"]))
