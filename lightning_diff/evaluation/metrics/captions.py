"""Metrics of how well a picture fits its caption: CLIP score, attributes for data with labels, ImageNet's classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from ...config.registry import choice
from .base import Labels, PictureMetric, Seen

if TYPE_CHECKING:
    from torch import Tensor


def clip_scores(images: Tensor, texts: Tensor) -> Tensor:
    """100 cos between pictures and their captions, from unit features [N, E]."""
    return 100 * (images * texts).sum(dim=1)


@choice("metric", "clip_score")
class CLIPScore(PictureMetric):
    """CLIP score (Hessel et al. 2021), but negative values are not set to 0: 100 cos between picture and caption, by the judging
    tower."""

    columns: ClassVar = {"clip_score": True}
    intervals: ClassVar[tuple[str, ...]] = ("clip_score",)

    def values(self, seen: Seen, labels: Labels) -> dict[str, Tensor]:
        return {"clip_score": seen["clip_score"].double()}


@choice("metric", "attributes")
class Attributes(PictureMetric):
    """The share of pictures in which the classifier finds the attributes of the caption. Data without labels has no such
    columns."""

    intervals: ClassVar[tuple[str, ...]] = ("accuracy", "single_object_accuracy")

    def values(self, seen: Seen, labels: Labels) -> dict[str, Tensor]:
        return obeyed(seen, labels)


@choice("metric", "named")
class Named(PictureMetric):
    """The share of pictures in which the classifier of evaluation/features=imagenet finds, among its five likeliest classes, what
    the caption names ("A frog.": tree frog or tailed frog). Captions that name no class of ImageNet do not count."""

    columns: ClassVar = {"named": True}
    intervals: ClassVar[tuple[str, ...]] = ("named",)

    def conflicts(self, evaluation: Any) -> Iterator[str]:
        if evaluation.features.kind != "imagenet":
            yield "evaluation.metrics=named: it needs ImageNet's classifier; say evaluation/features=imagenet"

    def values(self, seen: Seen, labels: Labels) -> dict[str, Tensor]:
        return {"named": seen["named"]} if "named" in seen else {}


def obeyed(seen: Seen, labels: Labels) -> dict[str, Tensor]:
    """1 where the picture shows what the caption states, 0 where it does not, nan where the caption states nothing. The columns
    are: all attributes, all attributes in captions of one object, each head, and an attribute of two objects together (both
    subjects: two objects; both colours: binding)."""
    import torch

    heads = {name.removeprefix("right."): ok for name, ok in seen.items() if name.startswith("right.")}
    if not heads:
        return {}

    def where(said: Tensor, ok: Tensor) -> Tensor:
        return torch.where(said, ok.double(), torch.nan)

    everything = torch.stack(list(heads.values())).all(dim=0)
    single = labels["count"] == 0
    values = {"accuracy": everything.double(), "single_object_accuracy": where(single, everything)}
    for name, ok in heads.items():
        values[f"accuracy_{name}"] = where(labels[name] >= 0, ok)
    for kind in [name.removeprefix("first_") for name in heads if name.startswith("first_")]:
        pair = [f"first_{kind}", f"second_{kind}"]
        said = torch.stack([labels[name] >= 0 for name in pair]).all(dim=0)
        values[f"accuracy_both_{kind}"] = where(said, torch.stack([heads[name] for name in pair]).all(dim=0))
    return values
