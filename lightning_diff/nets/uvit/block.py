"""The block of the transformer: attention and a feed-forward net that the time and the caption modulate."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..layers import Attention, CaptionAttention, zero_
from .attention import NormedCaptionAttention, TurnedAttention

RATIO = 3  # the feed-forward net's width, in widths of the block


class ModulatedBlock(nn.Module):
    """Self-attention, attention to the caption's tokens, and a feed-forward net, each on a residual branch.

    `shared` [B, 6, C], which all blocks get, plus the block's own `table` are the scales, shifts and gates of self-attention and
    feed-forward net (Peebles & Xie 2023, "DiT", adaLN; one projection for all blocks as in Chen et al. 2023, "PixArt-alpha",
    2.3). Each branch ends in zeros, so at first a block changes nothing. With `rotary`, the attention is that of attention.py.
    """

    def __init__(self, channels: int, heads: int, context: int, rotary: bool = False) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(channels, elementwise_affine=False) for _ in range(2))
        self.norm_caption = nn.LayerNorm(channels)
        self.self_attention = (TurnedAttention if rotary else Attention)(channels, heads)
        self.cross_attention = (NormedCaptionAttention if rotary else CaptionAttention)(channels, heads, context)
        self.feed_forward = nn.Sequential(
            nn.Linear(channels, RATIO * channels), nn.GELU(), zero_(nn.Linear(RATIO * channels, channels))
        )
        self.table = nn.Parameter(torch.zeros(6, channels))

    def forward(
        self, y: Tensor, shared: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, turn: Tensor | None = None
    ) -> Tensor:
        """y [B, N, C], k and v [B, heads, M, D] of the caption's tokens, mask [B, M], `turn` of the N positions if rotary."""
        scale, shift, gate, scale_forward, shift_forward, gate_forward = (shared + self.table)[:, :, None].unbind(1)
        z = self.norms[0](y) * (1 + scale) + shift
        others = self.self_attention.keys_values(z) if turn is None else (turn,)
        y = y + (1 + gate) * self.self_attention(z, *others)
        y = y + self.cross_attention(self.norm_caption(y), k, v, mask)
        z = self.norms[1](y) * (1 + scale_forward) + shift_forward
        return y + (1 + gate_forward) * self.feed_forward(z)
