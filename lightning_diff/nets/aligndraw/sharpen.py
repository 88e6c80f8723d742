"""The sharpening stage of alignDRAW: a net that adds a residual to the blurry canvas."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Sharpener(nn.Module):
    """Convolutions of 7 x 7, 7 x 7 and 5 x 5 pixels over noise, a map of the sentence, and the blurry picture."""

    def __init__(self, channels: int, sentence: int, size: int, width: int = 128) -> None:
        super().__init__()
        self.size = size
        self.sentence = nn.Linear(sentence, size * size)
        self.first = nn.Conv2d(2 + channels, width, 7, padding=3)
        self.second = nn.Conv2d(width, width, 7, padding=3)
        self.last = nn.Conv2d(width, channels, 5, padding=2)

    def forward(self, blurry: Tensor, sentence: Tensor, noise: Tensor) -> Tensor:
        """blurry [B, C, H, W] in [0, 1], sentence [B, S], noise [B, 1, H, W] -> a sharper picture in [0, 1]."""
        page = self.sentence(sentence).view(-1, 1, self.size, self.size)
        x = F.relu(self.second(F.relu(self.first(torch.cat([noise, page, blurry], dim=1)))))
        return (blurry + self.last(x).float()).clamp(0, 1)
