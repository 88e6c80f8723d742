"""Two nets that were tried against net=uvit, as a plugin: plugins=[experiments/recipe/nets.py] net=folded, net=dit."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from lightning_diff.config.fields import between
from lightning_diff.config.registry import choice
from lightning_diff.nets.denoisers.base import Inputs, NetSpec
from lightning_diff.nets.denoisers.small import SmallNet
from lightning_diff.nets.layers import positions, zero_
from lightning_diff.nets.unet import Condition, ModulatedUNet, UNet
from lightning_diff.nets.uvit.block import ModulatedBlock

FOLD = 2  # squares of FOLD x FOLD places of a latent become channels


class FoldedUNet(UNet):
    """net=small on folded latents."""

    def __init__(self, channels: int, *arguments: Any, **more: Any) -> None:
        super().__init__(channels * FOLD**2, *arguments, **more)

    def forward(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        return F.pixel_shuffle(super().forward(F.pixel_unshuffle(x, FOLD), t, condition), FOLD)


class DiT(ModulatedUNet):
    """A transformer alone (Peebles & Xie 2023), on folded latents."""

    recordable = True

    def __init__(self, channels: int, token_width: int, pooled_width: int, width: int, depth: int) -> None:
        super().__init__()
        folded = channels * FOLD**2
        self.width = width
        self.conv_in = nn.Conv2d(folded, width, 3, padding=1)
        self.position = nn.Linear(16, width)
        self.embeds(64, width, pooled_width)
        self.modulation, self.last = zero_(nn.Linear(width, 6 * width)), zero_(nn.Linear(width, 2 * width))
        self.middle = nn.ModuleList(ModulatedBlock(width, width // 32, token_width) for _ in range(depth))
        self.norm, self.out = nn.LayerNorm(width), zero_(nn.Conv2d(width, folded, 3, padding=1))

    def forward(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        c = condition if condition.prepared is not None else self.prepare(condition)
        assert c.prepared is not None
        y = self.conv_in(F.pixel_unshuffle(x, FOLD))
        b, width, h, w = y.shape
        embedding = self.embedding(t, c)
        shared = self.modulation(embedding).view(b, 6, width)
        y = y.flatten(2).transpose(1, 2) + self.position(positions(h, w, x.device))
        for block, (k, v) in zip(self.middle, c.prepared, strict=True):
            y = block(y, shared, k, v, c.mask)
        scale, shift = self.last(embedding)[:, None].chunk(2, dim=-1)
        y = (self.norm(y) * (1 + scale) + shift).transpose(1, 2).reshape(b, width, h, w)
        out: Tensor = F.pixel_shuffle(self.out(y).float(), FOLD)
        return out


@choice("net", "folded")
class FoldedNet(SmallNet):
    """net=small on folded latents."""

    @staticmethod
    def module() -> type[nn.Module]:
        return FoldedUNet


@choice("net", "dit")
class DiTNet(NetSpec):
    """A transformer of `depth` blocks of `width` channels."""

    width: int = between(192, 32, 4096)
    depth: int = between(6, 1, 64)

    @staticmethod
    def module() -> type[nn.Module]:
        return DiT

    def arguments(self, given: Inputs) -> dict[str, Any]:
        sizes = {"width": self.width, "depth": self.depth}
        return {
            "channels": given.channels,
            "token_width": given.token_width,
            "pooled_width": given.pooled_width,
            **sizes,
        }
