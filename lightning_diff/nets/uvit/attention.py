"""Attention whose scores have a bounded size (QK-norm) and know where the tokens stand (rotary positions)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import Attention, CaptionAttention, attend


class NormedAttention(Attention):
    """Attention whose queries and keys are normed in each head, the queries with a learned gain (Dehghani et al. 2023, "Scaling
    vision transformers to 22 billion parameters", section 2): large steps of the optimizer can't make the attention look at one
    token alone."""

    def __init__(self, channels: int, heads: int, context: int = 0) -> None:
        super().__init__(channels, heads, context)
        self.gain = nn.Parameter(torch.ones(channels // heads))

    def _heads(self, x: Tensor) -> Tensor:
        """[B, N, C] -> [B, N, heads, D]: in this order of memory a norm takes about half of the time."""
        return x.unflatten(2, (self.heads, -1))

    def _queries(self, x: Tensor) -> Tensor:
        return F.layer_norm(self._heads(self.query(x)), self.gain.shape, self.gain)

    def _keys_values(self, source: Tensor) -> tuple[Tensor, Tensor]:
        k, v = self.key_value(source).chunk(2, dim=2)
        return F.layer_norm(self._heads(k), self.gain.shape), self._heads(v)

    def queries(self, x: Tensor) -> Tensor:
        return self._queries(x).transpose(1, 2)

    def keys_values(self, source: Tensor) -> tuple[Tensor, Tensor]:
        k, v = self._keys_values(source)
        return k.transpose(1, 2), v.transpose(1, 2)


class NormedCaptionAttention(NormedAttention, CaptionAttention):
    """NormedAttention to a caption."""


class TurnedAttention(NormedAttention):
    """NormedAttention of tokens to themselves. Queries and keys are turned by the tokens' positions, so that a score depends on
    how far two tokens are from each other (Su et al. 2021, "RoFormer", here with two axes)."""

    def forward(self, x: Tensor, turn: Tensor) -> Tensor:  # type: ignore[override]
        k, v = self._keys_values(x)
        q, k, v = (y.transpose(1, 2) for y in (turned(self._queries(x), turn), turned(k, turn), v))
        return self.merged(attend(q, k, v))


def turns(height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """The turn of each position of a grid, complex [N, 1, D / 2] for heads of D = `channels`: half of the angles are for x, half
    for y. Across the grid, whatever its size, they grow to pi for the slowest pair of channels, to 10 pi for the fastest."""
    pairs = channels // 4
    rates = math.pi * 10 ** (torch.arange(pairs, device=device) / max(1, pairs - 1))
    axes = [torch.arange(n, device=device) / n for n in (height, width)]
    y, x = (a.flatten() for a in torch.meshgrid(*axes, indexing="ij"))
    angles = torch.cat([x[:, None] * rates, y[:, None] * rates], dim=1)[:, None]
    return torch.polar(torch.ones_like(angles), angles)


def turned(x: Tensor, turn: Tensor) -> Tensor:
    """x [B, N, heads, D] with each pair of channels (2 i, 2 i + 1) turned by its token's angle i."""
    pairs = torch.view_as_complex(x.float().unflatten(3, (-1, 2)))
    return torch.view_as_real(pairs * turn).flatten(3).to(x.dtype)
