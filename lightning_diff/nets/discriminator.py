"""A discriminator that scores patches of a picture as real or rebuilt (PatchGAN, Isola et al. 2017)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class PatchDiscriminator(nn.Module):
    """Picture [B, 3, H, W] -> a score for each of its overlapping patches, [B, 1, h, w]. It uses group norms instead of batch
    norms, so a score does not depend on the other pictures or on the number of ranks."""

    def __init__(self, width: int = 64, halvings: int = 3) -> None:
        super().__init__()
        widths = [min(width * 2**i, 8 * width) for i in range(halvings + 1)]
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for i in range(1, halvings + 1):
            stride = 2 if i < halvings else 1
            layers += [
                nn.Conv2d(widths[i - 1], widths[i], 4, stride, 1, bias=False),
                nn.GroupNorm(8, widths[i]),
                nn.LeakyReLU(0.2),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, 1, 1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, 0.02)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def hinge_loss(real: Tensor, made: Tensor) -> Tensor:
    """The discriminator's hinge loss (Lim & Ye 2017)."""
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + made).mean())
