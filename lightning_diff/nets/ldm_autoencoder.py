"""The KL autoencoder of latent diffusion models (Rombach et al. 2022), as in Stable Diffusion.

Parameters have the same names as in diffusers' AutoencoderKL, with one exception: the attention in the middle has one matrix
for queries, keys and values.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .autoencoder import LatentSpace
from .layers import attend
from .ldm.layers import ResnetBlock, Sampler

EPS = 1e-6


class MiddleAttention(nn.Module):
    """Self-attention with one head over all pixels."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.group_norm = nn.GroupNorm(groups, channels, EPS)
        self.to_qkv = nn.Linear(channels, 3 * channels)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        y = self.group_norm(x).permute(0, 2, 3, 1).reshape(b, h * w, c)
        q, k, v = self.to_qkv(y)[:, None].chunk(3, dim=-1)
        return x + self.to_out[0](attend(q, k, v)[:, 0]).view(b, h, w, c).permute(0, 3, 1, 2)


class Middle(nn.Module):
    """The lowest resolution: a residual block, attention, a residual block."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(ResnetBlock(channels, channels, 0, groups, EPS) for _ in range(2))
        self.attentions = nn.ModuleList([MiddleAttention(channels, groups)])

    def forward(self, x: Tensor) -> Tensor:
        return self.resnets[1](self.attentions[0](self.resnets[0](x)))


class Level(nn.Module):
    """The residual blocks of one resolution, then the down- or upsampling to the next one (`way`)."""

    def __init__(self, inputs: int, outputs: int, blocks: int, groups: int, way: str | None) -> None:
        super().__init__()
        pairs = [(inputs, outputs)] + [(outputs, outputs)] * (blocks - 1)
        self.resnets = nn.ModuleList(ResnetBlock(a, b, 0, groups, EPS) for a, b in pairs)
        self.way = way
        if way == "down":
            self.downsamplers = nn.ModuleList([Sampler(outputs, 2, padding=0)])
        elif way == "up":
            self.upsamplers = nn.ModuleList([Sampler(outputs, 1)])

    def forward(self, x: Tensor) -> Tensor:
        for resnet in self.resnets:
            x = resnet(x)
        if self.way == "down":
            return self.downsamplers[0](F.pad(x, (0, 1, 0, 1)))
        if self.way == "up":
            return self.upsamplers[0](F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return x


class Encoder(nn.Module):
    def __init__(self, widths: Sequence[int], latent_channels: int, blocks: int, groups: int) -> None:
        super().__init__()
        last = len(widths) - 1
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(
            Level(widths[max(0, i - 1)], w, blocks, groups, "down" if i < last else None) for i, w in enumerate(widths)
        )
        self.mid_block = Middle(widths[-1], groups)
        self.conv_norm_out = nn.GroupNorm(groups, widths[-1], EPS)
        self.conv_out = nn.Conv2d(widths[-1], 2 * latent_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for block in self.down_blocks:
            x = block(x)
        return self.conv_out(F.silu(self.conv_norm_out(self.mid_block(x))))


class Decoder(nn.Module):
    def __init__(self, widths: Sequence[int], latent_channels: int, blocks: int, groups: int) -> None:
        super().__init__()
        turned = list(reversed(widths))
        self.conv_in = nn.Conv2d(latent_channels, turned[0], 3, padding=1)
        self.mid_block = Middle(turned[0], groups)
        self.up_blocks = nn.ModuleList(
            Level(turned[max(0, i - 1)], w, blocks + 1, groups, "up" if i + 1 < len(turned) else None)
            for i, w in enumerate(turned)
        )
        self.conv_norm_out = nn.GroupNorm(groups, turned[-1], EPS)
        self.conv_out = nn.Conv2d(turned[-1], 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        x = self.mid_block(self.conv_in(z))
        for block in self.up_blocks:
            x = block(x)
        return self.conv_out(F.silu(self.conv_norm_out(x)))


class LatentDiffusionAutoencoder(LatentSpace):
    """Stable Diffusion's autoencoder. `widths` are the channels at 1, 1/2, 1/4, ... of the picture's size. The latent's side
    is size / 2^(levels - 1)."""

    def __init__(
        self, widths: Sequence[int] = (128, 256, 512, 512), latent_channels: int = 4, blocks: int = 2, groups: int = 32
    ) -> None:
        super().__init__(2 ** (len(widths) - 1), latent_channels)
        self.blocks = blocks
        self.encoder = Encoder(widths, latent_channels, blocks, groups)
        self.decoder = Decoder(widths, latent_channels, blocks, groups)
        self.quant_conv = nn.Conv2d(2 * latent_channels, 2 * latent_channels, 1)
        self.post_quant_conv = nn.Conv2d(latent_channels, latent_channels, 1)

    def encode_raw(self, x: Tensor) -> Tensor:
        return self.quant_conv(self.encoder(x.contiguous(memory_format=torch.channels_last)))

    def decode_raw(self, z: Tensor) -> Tensor:
        return self.decoder(self.post_quant_conv(z.contiguous(memory_format=torch.channels_last)))

    def last_layer(self) -> nn.Parameter:
        return self.decoder.conv_out.weight  # type: ignore[return-value]
