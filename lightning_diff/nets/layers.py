"""The pieces that the nets share: attention, residual blocks, resampling."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

FEW_KEYS = 512


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention. q [B, heads, N, D], k and v [B, heads, M, D], mask [B, M] (True: may be seen).

    In bf16 the CPU's fused kernel takes twice as long over few keys as the formula written out, 5 times in the backward
    pass (256 keys: 4.2 ms and 1.5 ms together); from about 1,000 keys on, or in float32, it is the faster one.
    """
    if mask is not None:
        mask = mask[:, None, None, :]
    if q.device.type != "cpu" or q.dtype != torch.bfloat16 or k.shape[2] > FEW_KEYS:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(-1, -2)
    if mask is not None:
        scores = scores + torch.where(mask, 0.0, -torch.inf).to(scores.dtype)  # cheaper backward than a masked fill
    return scores.softmax(-1).to(v.dtype) @ v


def run(module: nn.Module, again: bool, *inputs: Any) -> Tensor:
    """The module's output; with `again` it is computed a second time in the backward pass instead of being kept."""
    if again and torch.is_grad_enabled():
        return checkpoint(module, *inputs, use_reentrant=False)  # type: ignore[return-value]
    return module(*inputs)


def zero_(module: nn.Module) -> nn.Module:
    """Zero the parameters, so that a residual branch begins as nothing."""
    for p in module.parameters():
        nn.init.zeros_(p)
    return module


def group_norm(channels: int) -> nn.GroupNorm:
    """GroupNorm with groups of at least 8 channels."""
    return nn.GroupNorm(math.gcd(channels, max(1, channels // 8)), channels, eps=1e-5)


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of each pixel. x [B, C, H, W], in channels_last memory a plain LayerNorm: measured on
    the CPU at a tenth of GroupNorm's time, which was 23 % of a UNet's training step."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ResidualBlock(nn.Module):
    """norm, SiLU, conv, (modulated) norm, SiLU, conv, plus the input. `embedding` [B, E] scales and shifts the second
    norm (as AdaGN, Dhariwal & Nichol 2021, section 3); with E = 0 there is none. `norm` makes a norm of C channels."""

    def __init__(
        self, inputs: int, outputs: int, embedding: int = 0, norm: Callable[[int], nn.Module] = group_norm
    ) -> None:
        super().__init__()
        self.norm_in = norm(inputs)
        self.conv_in = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.modulate = nn.Linear(embedding, 2 * outputs) if embedding else None
        self.norm_out = norm(outputs)
        self.conv_out = zero_(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        h = self.norm_out(self.conv_in(F.silu(self.norm_in(x))))
        if self.modulate is not None and embedding is not None:
            scale, shift = self.modulate(embedding)[:, :, None, None].to(h.dtype).chunk(2, dim=1)
            h = h * (1 + scale) + shift
        out: Tensor = self.skip(x) + self.conv_out(F.silu(h))
        return out


class Attention(nn.Module):
    """Multi-head attention of x [B, N, C] to keys and values that it made of x itself or of a context [B, M, K]."""

    def __init__(self, channels: int, heads: int, context: int = 0) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, channels, bias=False)
        self.key_value = nn.Linear(context or channels, 2 * channels, bias=False)
        self.out = zero_(nn.Linear(channels, channels))

    def keys_values(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """source [B, M, K] -> keys and values [B, heads, M, D]."""
        b, m, _ = source.shape
        k, v = self.key_value(source).view(b, m, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        return k, v

    def forward(self, x: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        b, n, c = x.shape
        q = self.query(x).view(b, n, self.heads, -1).transpose(1, 2)
        out: Tensor = self.out(attend(q, k, v, mask).transpose(1, 2).reshape(b, n, c))
        return out


class ReadsCaption(nn.Module):
    """An attention to a caption's tokens, whose keys and values can be computed once for all steps."""

    def keys_values(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """source [B, M, K] -> keys and values [B, heads, M, D]."""
        raise NotImplementedError

    def readers(self) -> list[nn.Module]:
        """The parts that `keys_values` asks."""
        raise NotImplementedError


class CaptionAttention(Attention, ReadsCaption):
    """Attention to a caption."""

    def readers(self) -> list[nn.Module]:
        return [self.key_value]


def positions(height: int, width: int, device: torch.device) -> Tensor:
    """Fourier features of the places of a grid, [height * width, 16]: cos and sin of pi k x and pi k y, k = 1/2, 1, 2, 4."""
    axes = [(torch.arange(n, device=device) + 0.5) / n for n in (height, width)]
    y, x = (a.flatten() for a in torch.meshgrid(*axes, indexing="ij"))
    rates = math.pi * torch.tensor([0.5, 1.0, 2.0, 4.0], device=device)
    angles = torch.cat([x[:, None] * rates, y[:, None] * rates], dim=1)
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class TransformerBlock(nn.Module):
    """Self-attention, cross-attention to the caption's tokens, and a feed-forward net, each on a residual branch.

    Places are told apart by their Fourier features: without them a caption's left and right were drawn at random.
    """

    def __init__(self, channels: int, heads: int, context: int) -> None:
        super().__init__()
        self.position = nn.Linear(16, channels)
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(3))
        self.self_attention = Attention(channels, heads)
        self.cross_attention = CaptionAttention(channels, heads, context)
        self.feed_forward = nn.Sequential(
            nn.Linear(channels, 2 * channels), nn.GELU(), zero_(nn.Linear(2 * channels, channels))
        )

    def forward(self, x: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        """x [B, C, H, W], k and v [B, heads, M, D] of the caption's tokens, mask [B, M]."""
        b, c, h, w = x.shape
        y = x.permute(0, 2, 3, 1).reshape(b, h * w, c) + self.position(positions(h, w, x.device))
        z = self.norms[0](y)
        y = y + self.self_attention(z, *self.self_attention.keys_values(z))
        y = y + self.cross_attention(self.norms[1](y), k, v, mask)
        y = y + self.feed_forward(self.norms[2](y))
        return y.view(b, h, w, c).permute(0, 3, 1, 2)


class Upsample(nn.Module):
    """Nearest-neighbour doubling, then a 3x3 convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return out


def sinusoid(t: Tensor, channels: int, longest: float = 10_000.0) -> Tensor:
    """Sinusoidal embedding of t [B] (in units in which 1 matters) -> [B, channels] (Vaswani et al. 2017, 3.5)."""
    half = channels // 2
    rates = torch.exp(-math.log(longest) * torch.arange(half, device=t.device, dtype=torch.float32) / half)
    angles = t.float()[:, None] * rates
    return torch.cat([angles.cos(), angles.sin()], dim=1)
