"""Whether the numbers of a sweep can be trusted yet: the floor of FID at the same n, and the judge's own quality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..devices import full_float32
from .component_metrics import recall_at_1
from .metrics.fid import fid_floor
from .setup import EvaluationSetup

FAR = 20  # times the floor: such pictures are noise
MOST = 1024  # captions
CHANCE = 5  # times the recall of a guess: such a judge knows next to nothing


def readiness(setup: EvaluationSetup, n: int) -> dict[str, Any]:
    """`floor`: what real pictures score in place of n drawn ones. `recall`: how often the judge finds a real picture's caption
    among `among` captions."""
    captions = setup.captions[:MOST]
    among = min(256, len(captions))
    with full_float32(setup.judges.tower.device.type):
        texts = setup.judges.tower.text_features(captions).cpu()
    recall = recall_at_1(setup.judges.reference_embedding[: len(captions)].cpu(), texts)
    return {"floor": round(fid_floor(setup.judges.reference, n), 4), "recall": round(recall, 4), "among": among}


def cautions(fid: float, known: Mapping[str, Any]) -> str:
    """Sentences for the beginning of a verdict; empty if the numbers can be trusted, or if nothing is known."""
    if "floor" not in known:
        return ""
    floor, recall, among = known["floor"], known["recall"], known["among"]
    said = []
    if fid > FAR * floor:
        said.append(f"These pictures are noise: FID {fid:.3g}, the floor is {floor:.3g}; no scale is best yet.")
    if recall < CHANCE / among:
        said.append(
            f"The judge guesses: it finds {100 * recall:.0f} % of the captions of real pictures among {among}. FID, KID, "
            "precision and the CLIP score that it gives say little; train it longer (part_steps), or measure by a trained net "
            "(evaluation=inception, dinov2 or imagenet)."
        )
    return " ".join(said)
