"""ld.metrics: this project's metrics as torchmetrics users know them. They are updated with pictures, and `compute()` gives a
number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from ..config.paths import PARTS, SHIPPED
from ..config.registry import named
from ..data.decode import to_unit
from ..evaluation.features import judge_features
from ..evaluation.metrics.base import SetMetric
from ..evaluation.metrics.captions import clip_scores
from ..evaluation.states import PictureMeans, TwoSets
from ..models.build import load_part
from ..nets.text import Tower

Features = nn.Module | Callable[[Tensor], Tensor]


@cache
def shipped_judge() -> Tower:
    """The judging tower that comes with the package; it knows pictures like those of data=still_life."""
    tower: Tower = load_part(SHIPPED / "still_life" / PARTS / "judge.safetensors")
    return tower


class OfTwoSets(TwoSets):
    """A statistic of real and drawn pictures: update(pictures, real=True) with uint8 [B, 3, H, W], or with features [B, F].

    `feature` maps uint8 pictures to features [B, F]; by default it is the shipped judge's embedding. `table()` gives all
    numbers, `compute()` the first of them."""

    kind = ""

    def __init__(self, feature: Features | None = None, reset_real_features: bool = True, **more: Any) -> None:
        choice = named("metric", self.kind)()
        assert isinstance(choice, SetMetric)
        super().__init__(choice, reset_real_features, **more)
        self.feature = feature

    @torch.no_grad()
    def update(self, images: Tensor, real: bool) -> None:
        if images.ndim == 4:
            extract = self.feature or judge_features(shipped_judge())
            images = extract(images)
        super().update(images.float(), real)

    def table(self) -> dict[str, Tensor]:
        """All columns: those of a sweep's table."""
        return super().compute()

    def compute(self) -> Tensor:  # type: ignore[override]
        return next(iter(self.table().values()))


class FID(OfTwoSets):
    """FID (Heusel et al. 2017)."""

    kind = "fid"


class KID(OfTwoSets):
    """KID (Binkowski et al. 2018)."""

    kind = "kid"


class CMMD(OfTwoSets):
    """CMMD (Jayasumana et al. 2024)."""

    kind = "cmmd"


class Precision(OfTwoSets):
    """Precision (Kynkaanniemi et al. 2019). `table()` has recall, density and coverage too."""

    kind = "precision_recall"


class CLIPScore(PictureMeans):
    """CLIP score (Hessel et al. 2021) as a mean of 100 cos: update(pictures, captions), uint8 [B, 3, H, W]. `tower` judges; by
    default it is the shipped judge."""

    def __init__(self, tower: Tower | None = None, **more: Any) -> None:
        super().__init__(("clip_score",), **more)
        self.tower = [tower or shipped_judge()]  # a list hides it: it has no state of this metric

    @torch.no_grad()
    def update(self, images: Tensor, captions: Sequence[str]) -> None:  # type: ignore[override]
        tower = self.tower[0]
        seen, said = tower.image_features(to_unit(images.to(tower.device))), tower.text_features(list(captions))
        super().update(clip_score=clip_scores(seen, said))

    def table(self) -> dict[str, Tensor]:
        """The mean and the ends of its 95 % interval."""
        return super().compute()

    def compute(self) -> Tensor:  # type: ignore[override]
        return self.table()["clip_score"]
