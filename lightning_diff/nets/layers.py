"""Layers that several nets use: attention, residual blocks, resampling, embeddings."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .convolution.conv import Conv3x3

FEW_KEYS = 512


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention. q [B, heads, N, D], k and v [B, heads, M, D], mask [B, M] (True: attended to).

    In bf16 on the CPU and with few keys, the fused kernel takes twice as long as the written-out formula, and 5 times as long
    in the backward pass (256 keys: 4.2 ms against 1.5 ms for both passes). From about 1,000 keys on, or in float32, the fused
    kernel is faster.
    """
    if mask is not None:
        mask = mask[:, None, None, :]
    if q.device.type != "cpu" or q.dtype != torch.bfloat16 or k.shape[2] > FEW_KEYS:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(-1, -2)
    if mask is not None:
        scores = scores + torch.where(mask, 0.0, -torch.inf).to(
            scores.dtype
        )  # its backward pass is cheaper than that of a masked fill
    return scores.softmax(-1).to(v.dtype) @ v


def run(module: nn.Module, checkpointing: bool, *inputs: Any) -> Tensor:
    """The module's output. With `checkpointing`, its activations are not kept: the backward pass computes them again."""
    if checkpointing and torch.is_grad_enabled():
        return checkpoint(module, *inputs, use_reentrant=False)  # type: ignore[return-value]
    return module(*inputs)


def zero_(module: nn.Module) -> nn.Module:
    """Set the parameters to zero, so that a residual branch adds nothing at first."""
    for p in module.parameters():
        nn.init.zeros_(p)
    return module


def group_norm(channels: int) -> nn.GroupNorm:
    """GroupNorm with groups of at least 8 channels."""
    return nn.GroupNorm(math.gcd(channels, max(1, channels // 8)), channels, eps=1e-5)


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of each pixel, x [B, C, H, W]. In channels_last memory this is a plain LayerNorm. On the CPU
    it takes a tenth of GroupNorm's time, which was 23 % of a UNet's training step (measured)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ResidualBlock(nn.Module):
    """The input plus: norm, SiLU, conv, (modulated) norm, SiLU, conv. `embedding` [B, E] scales and shifts the second norm's
    output (AdaGN, Dhariwal & Nichol 2021, section 3); with E = 0 nothing does. `norm` makes a norm of C channels."""

    def __init__(
        self, inputs: int, outputs: int, embedding: int = 0, norm: Callable[[int], nn.Module] = group_norm
    ) -> None:
        super().__init__()
        self.norm_in = norm(inputs)
        self.conv_in = Conv3x3(inputs, outputs)
        self.modulate = nn.Linear(embedding, 2 * outputs) if embedding else None
        self.norm_out = norm(outputs)
        self.conv_out = zero_(Conv3x3(outputs, outputs))
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        h = self.norm_out(self.conv_in(F.silu(self.norm_in(x))))
        if self.modulate is not None and embedding is not None:
            scale, shift = self.modulate(embedding)[:, :, None, None].to(h.dtype).chunk(2, dim=1)
            h = h * (1 + scale) + shift
        out: Tensor = self.skip(x) + self.conv_out(F.silu(h))
        return out


class Attention(nn.Module):
    """Multi-head attention of x [B, N, C] to keys and values that `keys_values` made from x or from a context [B, M, K]."""

    def __init__(self, channels: int, heads: int, context: int = 0) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, channels, bias=False)
        self.key_value = nn.Linear(context or channels, 2 * channels, bias=False)
        self.out = zero_(nn.Linear(channels, channels))

    def queries(self, x: Tensor) -> Tensor:
        """x [B, N, C] -> queries [B, heads, N, D]."""
        return self.query(x).view(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def keys_values(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """source [B, M, K] -> keys and values [B, heads, M, D]."""
        b, m, _ = source.shape
        k, v = self.key_value(source).view(b, m, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        return k, v

    def merged(self, heads: Tensor) -> Tensor:
        """What the heads found [B, heads, N, D] -> [B, N, C]."""
        out: Tensor = self.out(heads.transpose(1, 2).flatten(2))
        return out

    def forward(self, x: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.merged(attend(self.queries(x), k, v, mask))


class ReadsCaption(nn.Module):
    """The interface of attention to a caption's tokens. Its keys and values can be computed once for all sampling steps."""

    def keys_values(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """source [B, M, K] -> keys and values [B, heads, M, D]."""
        raise NotImplementedError

    def caption_projections(self) -> list[nn.Module]:
        """The submodules that `keys_values` calls."""
        raise NotImplementedError


class CaptionAttention(Attention, ReadsCaption):
    """Attention to a caption."""

    def caption_projections(self) -> list[nn.Module]:
        return [self.key_value]


def positions(height: int, width: int, device: torch.device) -> Tensor:
    """Fourier features of the positions in a grid, [height * width, 16]: cos and sin of pi k x and pi k y with
    k = 1/2, 1, 2, 4."""
    axes = [(torch.arange(n, device=device) + 0.5) / n for n in (height, width)]
    y, x = (a.flatten() for a in torch.meshgrid(*axes, indexing="ij"))
    rates = math.pi * (
        0.5 * (1 << torch.arange(4, device=device))
    )  # made on the device: a copy would wait for the host
    angles = torch.cat([x[:, None] * rates, y[:, None] * rates], dim=1)
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class TransformerBlock(nn.Module):
    """Self-attention, cross-attention to the caption's tokens, and a feed-forward net, each on a residual branch.

    Fourier features of the positions are added to the input. Without them, the model drew left and right at random.
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
    """Doubles the resolution (nearest neighbour), then applies a 3x3 convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = Conv3x3(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return out


def sinusoid(
    t: Tensor, channels: int, longest: float = 10_000.0, shift: float = 0.0, cosine_first: bool = True
) -> Tensor:
    """Sinusoidal embedding of t [B] -> [B, channels] (Vaswani et al. 2017, 3.5). t is scaled so that a step of 1 matters.
    `shift` > 0 ends at a longer period: 1 ends at `longest`, as in DDPM's code."""
    half = channels // 2
    rates = torch.exp(-math.log(longest) * torch.arange(half, device=t.device, dtype=torch.float32) / (half - shift))
    angles = t.float()[:, None] * rates
    parts = [angles.cos(), angles.sin()]
    return torch.cat(parts if cosine_first else parts[::-1], dim=1)
