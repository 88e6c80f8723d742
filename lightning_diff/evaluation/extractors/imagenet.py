"""A classifier of ImageNet: its features for FID and the like, and whether it finds in a picture what the caption names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ...config.errors import ConfigError
from ...config.registry import choice
from .base import FromFile

if TYPE_CHECKING:
    import torch
    from torch import Tensor

TOP = 5  # the classes of a picture: ImageNet's own count


def class_words() -> dict[tuple[str, ...], list[int]]:
    """The classes of each name, as words in lower case. A class has all of its names (tabby, tabby cat) and the last word of
    each: a caption's "cat" is any class whose name ends with cat."""
    from timm.data.imagenet_info import ImageNetInfo

    info, found = ImageNetInfo(), dict[tuple[str, ...], list[int]]()
    for i in range(info.num_classes()):
        names = {words_of(name) for name in info.index_to_description(i).split(", ")} - {()}
        for name in sorted(names | {name[-1:] for name in names}):
            found.setdefault(name, []).append(i)
    return found


def words_of(text: str) -> tuple[str, ...]:
    """Words of two letters or more: a letter alone is no name ("R.V.")."""
    return tuple(re.findall(r"[a-z]{2,}", text.lower()))


def named_classes(caption: str, names: dict[tuple[str, ...], list[int]]) -> list[int]:
    """The classes that a caption names: those of its longest name, and of the first one if several are as long."""
    words = words_of(caption)
    for length in range(min(len(words), 4), 0, -1):
        for at in range(len(words) - length + 1):
            if (found := words[at : at + length]) in names:
                return names[found]
    return []


class Classifier:
    """A timm net with the 1,000 classes of ImageNet. It is an Extractor: uint8 [B, 3, H, W] -> its last features, [B, F]."""

    def __init__(self, net: Any, settings: Any, device: torch.device) -> None:
        import torch

        self.net, self.side, self.mode, self.device = net, settings.input_size[-1], settings.interpolation, device
        self.mean, self.std = (torch.tensor(v, device=device)[:, None, None] for v in (settings.mean, settings.std))
        self.names = class_words()

    def __call__(self, images: Tensor) -> Tensor:
        import torch.nn.functional as F

        from ...data.decode import to_unit

        x = (to_unit(images.to(self.device)) + 1) / 2
        x = F.interpolate(x, size=(self.side, self.side), mode=self.mode, antialias=True).clamp(0, 1)
        features = self.net.forward_features((x - self.mean) / self.std)
        return self.net.forward_head(features, pre_logits=True).float().cpu()

    def finds(self, features: Tensor, captions: Sequence[str]) -> Tensor:
        """1 where one of the five likeliest classes is one that the caption names, 0 where none is, nan where the caption names
        no class: float64 [B]."""
        import torch

        best = self.net.get_classifier()(features.to(self.device)).topk(TOP, dim=1).indices.tolist()
        asked = [set(named_classes(caption, self.names)) for caption in captions]
        right = [bool(said & set(row)) if said else torch.nan for said, row in zip(asked, best, strict=True)]
        return torch.tensor(right, dtype=torch.float64)


@choice("features", "imagenet")
class ImageNet(FromFile):
    """A classifier of ImageNet's 1,000 classes by timm: its last features are for FID, KID, precision and recall, its five
    likeliest classes for the metric `named`. `weights` is its safetensors file, `model` its name in timm. Pictures are resized
    to its input (224 pixels, bicubic, for the default)."""

    side: ClassVar[int | None] = 224

    model: str = "tf_efficientnet_lite0"

    @property
    def name(self) -> str:
        return self.model

    def build(self, device: torch.device) -> Classifier:
        import timm

        from ...nets.weights import load_state, read_state

        weights, said = Path(str(self.weights)), f"evaluation.features.model={self.model}"
        if not timm.is_model(self.model) or (settings := timm.get_pretrained_cfg(self.model)) is None:
            raise ConfigError(f"{said}: timm has no such model; for example tf_efficientnet_lite0 or resnet50")
        if settings.num_classes != 1000:
            raise ConfigError(f"{said}: it has {settings.num_classes} classes; take one with ImageNet's 1000")
        net: Any = timm.create_model(self.model, pretrained=False)
        load_state(net, read_state(weights), weights, f" ({said})")
        return Classifier(net.to(device).eval().requires_grad_(False), settings, device)
