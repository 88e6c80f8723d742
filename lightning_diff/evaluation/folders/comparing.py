"""All metrics of one set of pictures against another, and what real pictures score in their place."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ...nets.text import Tower
from ..component_metrics import recall_at_1
from ..metrics.base import MetricChoice, SetMetric
from ..metrics.captions import CLIPScore, Named, clip_scores
from ..metrics.fid import FID, Gaussian, split_differences
from ..sweep import Judges, Row, Seen, score
from .reading import PictureSet

SPLITS = 4  # of the reference, for what real pictures score
WIDE_SPLITS = 10  # of the pictures, for the spread of FID with more than SMALL features
BIASED = ("fid", "cmmd_google")  # their bias is c (1 / n + 1 / m) for n and m pictures of one distribution
OF_CAPTIONS = (CLIPScore, Named)
MOST = 1024  # captions for the judge's own quality

Step = Callable[[str], None]  # is told what is computed next


def _seen(some: PictureSet, tower: Tower) -> Seen:
    """The features of a set, and the CLIP score of each picture that has a caption (nan for the others)."""
    scores = torch.full((len(some),), torch.nan)
    rows = some.captioned
    for at in range(0, len(rows), 256):
        part = rows[at : at + 256]
        texts = tower.text_features([some.captions[i] for i in part]).cpu()
        scores[part] = clip_scores(torch.nn.functional.normalize(some.embedding[part], dim=1), texts)
    seen = {"features": some.features, "embedding": some.embedding, "clip_score": scores}
    return seen if some.named is None else seen | {"named": some.named}


@torch.no_grad()
def compared(
    made: PictureSet, real: PictureSet, metrics: Sequence[MetricChoice], tower: Tower, step: Step = lambda what: None
) -> tuple[Row, Row]:
    """(the values of the pictures by column, those of real pictures in their place). The metrics of captions are left out where
    no picture has one."""
    seen, reference = _seen(made, tower), _seen(real, tower)
    step("metrics")
    row = _score(seen, reference, _useful(metrics, made))
    if "fid" in row and "fid_std" not in row and any(isinstance(m, FID) for m in metrics):
        step("the interval of FID")
        gaussian, features = Gaussian(real.features), seen["features"]
        row["fid_std"] = float(split_differences(gaussian.distance, features, WIDE_SPLITS).std())
    step("what real pictures score")
    floor = real_scores(reference, len(made), metrics)
    if real.captioned:
        floor |= _score(reference, reference, [m for m in _useful(metrics, real) if isinstance(m, OF_CAPTIONS)])
    return row, floor


def _useful(metrics: Sequence[MetricChoice], some: PictureSet) -> list[MetricChoice]:
    """Metrics of sets, and those of captions if there are captions."""
    return [m for m in metrics if isinstance(m, SetMetric) or (isinstance(m, OF_CAPTIONS) and some.captioned)]


def _score(seen: Seen, reference: Seen, metrics: Sequence[MetricChoice]) -> Row:
    judges = Judges(None, None, None, reference["features"], reference["embedding"], metrics)  # type: ignore[arg-type]
    row, _ = score(seen, {}, judges, len(seen["embedding"]))
    return {name: value for name, value in row.items() if name not in ("n", "drawn")}


def real_scores(real: Seen, n: int, metrics: Sequence[MetricChoice]) -> Row:
    """What n pictures of the reference's own distribution score against it: two parts of it, without a common picture, are
    compared, and the mean over SPLITS such splits is taken. A part has n pictures, or half of the reference if that is less.

    The bias of FID and of the authors' CMMD falls as 1 / n + 1 / m with the numbers of pictures (Chong & Forsyth 2020), so these
    two are scaled from the parts' numbers to n and to the whole reference."""
    m = len(real["embedding"])
    part = min(n, m // 2)
    ratio = (1 / n + 1 / m) / (1 / part + 1 / (m - part))
    others = [choice for choice in metrics if isinstance(choice, SetMetric) and not isinstance(choice, FID)]
    rows: list[Row] = []
    for split in range(SPLITS):
        order = torch.from_numpy(np.random.default_rng([404, split]).permutation(m))
        ones, rest = ({name: values[some] for name, values in real.items()} for some in (order[:part], order[part:]))
        row = _score(ones, rest, others)
        if any(isinstance(choice, FID) for choice in metrics):
            row["fid"] = Gaussian(rest["features"]).distance(ones["features"])
        rows.append(row)
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    return {name: value * ratio if name in BIASED else value for name, value in means.items()}


def judge_recall(some: PictureSet, tower: Tower) -> tuple[float, int] | None:
    """(how often the judge finds a picture's own caption, among how many captions); None if there are too few captions."""
    rows = some.captioned[:MOST]
    if len(rows) < 8:
        return None
    texts: Tensor = tower.text_features([some.captions[i] for i in rows]).cpu()
    images = torch.nn.functional.normalize(some.embedding[rows], dim=1)
    return recall_at_1(images, texts), min(256, len(rows))
