"""The net of the main job: convolutions at the fine resolutions, a transformer at the coarsest one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import ChannelNorm, ResidualBlock, positions, run, zero_
from ..unet import Condition, ModulatedUNet
from .attention import turns
from .block import ModulatedBlock

TIME = 64  # sinusoids of the time


class UViT(ModulatedUNet):
    """x_t [B, C, H, W], t [B] in [0, 1], Condition -> [B, C, H, W].

    A UNet whose coarsest resolution is a transformer, which holds almost all of the weights (Hoogeboom et al. 2023, "simple
    diffusion", U-ViT). `widths` are the channels of each resolution, the last one is the transformer's. The others have `blocks`
    residual blocks on the way down and as many on the way up, which get what the way down kept. The transformer has `depth`
    blocks, and reads the caption in each of them; `after` residual blocks follow at its resolution, because a token hears its
    neighbours only through attention, and what a picture looks like from near is learned late without them. With `rotary` the
    attention is that of attention.py, which learns to obey captions with fewer steps. With a `pooled_width` of 0 the
    caption's tokens alone are read. The net learns to put the right thing in the right place with a third of the steps that UNet
    (net=small) needs (experiments/recipe).
    """

    recordable = True  # its two passes never wait for the host, so a CUDA graph can hold them (training/graphs.py)

    def __init__(
        self,
        channels: int,
        token_width: int,
        pooled_width: int,
        widths: Sequence[int] = (48, 192),
        blocks: int = 1,
        depth: int = 4,
        head_width: int = 32,
        after: int = 0,
        rotary: bool = False,
    ) -> None:
        super().__init__()
        *fine, width = widths
        e = 256
        self.width = width
        self.turned_width = head_width if rotary else 0
        self.embeds(TIME, e, pooled_width)
        self.conv_in = nn.Conv2d(channels, widths[0], 3, padding=1)

        def level(inputs: int, outputs: int, count: int = blocks) -> nn.ModuleList:
            return nn.ModuleList(ResidualBlock(outputs if i else inputs, outputs, e, ChannelNorm) for i in range(count))

        self.down = nn.ModuleList(level(w, w) for w in fine)
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.position = nn.Linear(16, width)
        self.modulation = zero_(nn.Linear(e, 6 * width))
        self.middle = nn.ModuleList(
            ModulatedBlock(width, width // head_width, token_width, rotary) for _ in range(depth)
        )
        self.after = level(width, width, after)
        self.grow = nn.ModuleList(nn.Conv2d(b, 4 * a, 1) for a, b in reversed(list(pairwise(widths))))
        self.up = nn.ModuleList(level(2 * w, w) for w in reversed(fine))
        self.out = nn.Sequential(ChannelNorm(widths[0]), nn.SiLU(), zero_(nn.Conv2d(widths[0], channels, 3, padding=1)))

    def forward(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        if condition.prepared is None:
            condition = self.prepare(condition)
        assert condition.prepared is not None
        embedding = self.embedding(t, condition)
        shared = self.modulation(embedding).view(len(x), 6, self.width)

        x = self.conv_in(x.contiguous(memory_format=torch.channels_last))
        kept = []
        for blocks, shrink in zip(self.down, self.shrink, strict=True):
            for block in blocks:  # type: ignore[attr-defined]
                x = run(block, self.checkpointing, x, embedding)
            kept.append(x)
            x = shrink(x)
        b, c, h, w = x.shape
        y = x.permute(0, 2, 3, 1).reshape(b, h * w, c) + self.position(positions(h, w, x.device))
        turn = turns(h, w, self.turned_width, x.device) if self.turned_width else None
        for block, (k, v) in zip(self.middle, condition.prepared, strict=True):
            y = run(block, self.checkpointing, y, shared, k, v, condition.mask, turn)
        x = y.view(b, h, w, c).permute(0, 3, 1, 2)
        for block in self.after:
            x = run(block, self.checkpointing, x, embedding)
        for blocks, grow in zip(self.up, self.grow, strict=True):
            x = torch.cat([F.pixel_shuffle(grow(x), 2), kept.pop()], dim=1)
            x = x.contiguous(memory_format=torch.channels_last)
            for block in blocks:  # type: ignore[attr-defined]
                x = run(block, self.checkpointing, x, embedding)
        out: Tensor = self.out(x).float()
        return out
