"""A small classifier that predicts every attribute of a picture. It shows whether the picture follows its caption."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch.nn.functional as F
from torch import Tensor, nn


class Cells(nn.Module):
    """The mean of each of n x n cells. Where the cells are equal it is a plain pooling, whose gradient has the same bits each
    time, also on a GPU."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2] // self.n, x.shape[3] // self.n
        if x.shape[2:] == (height * self.n, width * self.n):
            return F.avg_pool2d(x, (height, width))
        return F.adaptive_avg_pool2d(x, self.n)


class AttributeClassifier(nn.Module):
    """Picture [B, 3, H, W] in [-1, 1] -> logits of each head, {name: [B, values]}."""

    def __init__(self, heads: Mapping[str, int], width: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.PixelUnshuffle(2)]
        channels = 12
        for outputs in (width, 2 * width, 4 * width):
            layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]
            channels = outputs
        layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
        # Left and right matter, so the features are pooled to 4 x 4 cells, not to one mean.
        self.trunk = nn.Sequential(*layers, Cells(4), nn.Flatten(), nn.Linear(16 * channels, 128), nn.ReLU())
        self.heads = nn.ModuleDict({name: nn.Linear(128, n) for name, n in heads.items()})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        h = self.trunk(x)
        return {name: head(h).float() for name, head in self.heads.items()}


def attribute_loss(
    logits: Mapping[str, Tensor],
    labels: Mapping[str, Tensor],
    counted: Callable[[Tensor], Tensor] = lambda count: count.clamp(min=1),
) -> Tensor:
    """The sum of the cross-entropy over heads. A label of -1 means "not known" and is left out. `counted` turns the number of
    known labels into what the sum of their losses is divided by."""
    total = next(iter(logits.values())).new_zeros(())
    for name, values in logits.items():
        known = counted((labels[name] >= 0).sum())
        total = total + F.cross_entropy(values, labels[name], ignore_index=-1, reduction="sum") / known
    return total
