"""The layers of latent diffusion's nets: residual blocks, transformers over pixels, resampling, embeddings."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ..convolution.conv import Conv3x3
from ..layers import ReadsCaption, attend


class ResnetBlock(nn.Module):
    """The input plus: norm, SiLU, conv, the time embedding added, norm, SiLU, conv. `embedding` = 0: no time embedding."""

    def __init__(self, inputs: int, outputs: int, embedding: int, groups: int = 32, eps: float = 1e-5) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, inputs, eps)
        self.conv1 = Conv3x3(inputs, outputs)
        if embedding:
            self.time_emb_proj = nn.Linear(embedding, outputs)
        self.norm2 = nn.GroupNorm(groups, outputs, eps)
        self.conv2 = Conv3x3(outputs, outputs)
        if inputs != outputs:
            self.conv_shortcut = nn.Conv2d(inputs, outputs, 1)
        self.shortcut = inputs != outputs

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        """x [B, C, H, W], embedding [B, E] after its SiLU."""
        h = self.conv1(F.silu(self.norm1(x)))
        if embedding is not None:
            h = h + self.time_emb_proj(embedding)[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h)))
        return (self.conv_shortcut(x) if self.shortcut else x) + h


class SelfAttention(nn.Module):
    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        q, k, v = self.to_qkv(x).view(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        return self.to_out[0](attend(q, k, v).transpose(1, 2).reshape(b, n, c))


class CrossAttention(ReadsCaption):
    """Attention to a caption's tokens."""

    def __init__(self, channels: int, heads: int, context: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_kv = nn.Linear(context, 2 * channels, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def keys_values(self, source: Tensor) -> tuple[Tensor, Tensor]:
        b, m, _ = source.shape
        k, v = self.to_kv(source).view(b, m, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        return k, v

    def caption_projections(self) -> list[nn.Module]:
        return [self.to_kv]

    def forward(self, x: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        b, n, c = x.shape
        q = self.to_q(x).view(b, n, self.heads, -1).transpose(1, 2)
        return self.to_out[0](attend(q, k, v, mask).transpose(1, 2).reshape(b, n, c))


class GEGLU(nn.Module):
    """A gated linear layer with GELU (Shazeer 2020)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, 8 * channels)

    def forward(self, x: Tensor) -> Tensor:
        h, gate = self.proj(x).chunk(2, dim=-1)
        return h * F.gelu(gate)


class FeedForward(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.net = nn.ModuleList([GEGLU(channels), nn.Identity(), nn.Linear(4 * channels, channels)])

    def forward(self, x: Tensor) -> Tensor:
        return self.net[2](self.net[0](x))


class TransformerLayer(nn.Module):
    def __init__(self, channels: int, heads: int, context: int) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(channels) for _ in range(3))
        self.attn1 = SelfAttention(channels, heads)
        self.attn2 = CrossAttention(channels, heads, context)
        self.ff = FeedForward(channels)

    def forward(self, x: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        x = x + self.attn1(self.norm1(x))
        x = x + self.attn2(self.norm2(x), k, v, mask)
        return x + self.ff(self.norm3(x))


class SpatialTransformer(nn.Module):
    """Transformer layers over the pixels. `proj_in` and `proj_out` are linear here; in some weights they are 1x1
    convolutions."""

    def __init__(self, channels: int, heads: int, context: int, depth: int, groups: int = 32) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList(TransformerLayer(channels, heads, context) for _ in range(depth))
        self.proj_out = nn.Linear(channels, channels)

    def forward(self, x: Tensor, caption: list[tuple[Tensor, Tensor]], mask: Tensor | None) -> Tensor:
        b, c, h, w = x.shape
        y = self.proj_in(self.norm(x).permute(0, 2, 3, 1).reshape(b, h * w, c))
        for layer, (k, v) in zip(self.transformer_blocks, caption, strict=True):
            y = layer(y, k, v, mask)
        return x + self.proj_out(y).view(b, h, w, c).permute(0, 3, 1, 2)


class Sampler(nn.Module):
    """The convolution of a down- or upsampling, under diffusers' name."""

    def __init__(self, channels: int, stride: int, padding: int = 1) -> None:
        super().__init__()
        plain = stride == padding == 1
        self.conv = (
            Conv3x3(channels, channels) if plain else nn.Conv2d(channels, channels, 3, stride=stride, padding=padding)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Embedding(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(inputs, outputs), nn.Linear(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear_2(F.silu(self.linear_1(x)))
