"""The UNet of latent diffusion models (Rombach et al. 2022) in the shapes of Stable Diffusion 1.x, 2.x and XL.

Parameters have the same names as in diffusers' UNet2DConditionModel, except for the projections of attention: one matrix makes
queries, keys and values from the picture (`to_qkv`), one makes keys and values from the caption (`to_kv`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import run, sinusoid
from .ldm.layers import Embedding, ResnetBlock, Sampler, SpatialTransformer
from .ldm.shape import NO_MIDDLE, shape_of
from .unet import CaptionedUNet, Condition


class Block(nn.Module):
    """The residual blocks of one resolution. If the resolution has attention, a transformer follows each block."""

    attentions: nn.ModuleList
    downsamplers: nn.ModuleList
    upsamplers: nn.ModuleList

    def __init__(
        self,
        widths: Sequence[tuple[int, int]],
        embedding: int,
        heads: int,
        context: int,
        depth: int,
        groups: int,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(ResnetBlock(a, b, embedding, groups, eps) for a, b in widths)
        if heads:
            self.attentions = nn.ModuleList(SpatialTransformer(b, heads, context, depth, groups) for _, b in widths)


class LatentDiffusionUNet(CaptionedUNet):
    """x_t [B, C, H, W], t [B] in [0, 1], Condition -> [B, C, H, W].

    `widths` are the channels of each resolution. `blocks` is the number of residual blocks of each resolution on the way down
    (one more on the way up). `depth` is the number of transformer layers after each block (0: no attention). A head has
    `head_width` channels, or each resolution has `heads` heads (one number, or one for each). `pooled_width` > 0 adds the
    caption's pooled output and the picture's size to the time embedding, as in XL; the size is that of the latent in pixels,
    without a crop. The last four arguments are those of other people's weights: ldm/shape.py says what they are.

    The net gets the time 1000 t + time_offset. `time_offset` is -1 for weights that were trained on steps 0 to 999 (t = 1 is
    the last step).
    """

    def __init__(
        self,
        channels: int,
        token_width: int,
        widths: Sequence[int],
        blocks: int = 2,
        depth: Sequence[int] = (1, 1, 1, 0),
        heads: int | Sequence[int] = 0,
        head_width: int = 64,
        pooled_width: int = 0,
        time_offset: float = -1.0,
        pixels_per_latent: int = 8,
        masked: bool = False,
        groups: int = 32,
        eps: float = 1e-5,
        cosine_first: bool = True,
        frequency_shift: float = 0.0,
        middle: int | None = None,
    ) -> None:
        super().__init__()
        self.time_offset, self.pixels = time_offset, pixels_per_latent
        self.masked = masked
        of_weights = pooled_width, groups, eps, cosine_first, frequency_shift, middle
        self.shape = shape = shape_of(channels, token_width, widths, blocks, depth, heads, head_width, *of_weights)
        first, last, e = widths[0], len(widths) - 1, 4 * widths[0]
        self.conv_in = nn.Conv2d(channels, first, 3, padding=1)
        self.time_embedding = Embedding(first, e)
        if pooled_width:
            self.add_embedding = Embedding(pooled_width + 6 * 256, e)
        self.pooled = pooled_width > 0

        self.down_blocks, kept, width = nn.ModuleList(), [first], first
        for i, w in enumerate(widths):
            pairs = [(width, w)] + [(w, w)] * (blocks - 1)
            block = Block(pairs, e, shape.heads[i], token_width, depth[i], groups, eps)
            kept += [w] * blocks
            if i < last:
                block.downsamplers = nn.ModuleList([Sampler(w, 2)])
                kept.append(w)
            self.down_blocks.append(block)
            width = w
        if shape.middle != NO_MIDDLE:
            self.mid_block = Block([(width, width)] * 2, e, 0, 0, 0, groups, eps)
        if shape.middle > 0:
            transformer = SpatialTransformer(width, shape.middle_heads, token_width, shape.middle, groups)
            self.mid_block.attentions = nn.ModuleList([transformer])
        self.up_blocks = nn.ModuleList()
        for i in range(last, -1, -1):
            w = widths[i]
            pairs = []
            for _ in range(blocks + 1):
                pairs.append((width + kept.pop(), w))
                width = w
            block = Block(pairs, e, shape.heads[i], token_width, depth[i], groups, eps)
            if i:
                block.upsamplers = nn.ModuleList([Sampler(w, 1)])
            self.up_blocks.append(block)
        self.conv_norm_out = nn.GroupNorm(groups, first, eps=eps)
        self.conv_out = nn.Conv2d(first, channels, 3, padding=1)

    def _sinusoid(self, t: Tensor, channels: int) -> Tensor:
        s = self.shape
        return sinusoid(t, channels, shift=s.frequency_shift, cosine_first=s.cosine_first)

    def embedding(self, t: Tensor, condition: Condition, height: int, width: int) -> Tensor:
        """The embedding [B, E] after its SiLU: of the time, and for XL also of the pooled caption and the picture's size."""
        dtype = self.time_embedding.linear_1.weight.dtype
        e = self.time_embedding(self._sinusoid(1000 * t + self.time_offset, self.shape.widths[0]).to(dtype))
        if self.pooled:
            h, w = height * self.pixels, width * self.pixels
            six = torch.stack([torch.full((), n, device=t.device) for n in (h, w, 0, 0, h, w)])  # no copy from the host
            sizes = self._sinusoid(six, 256).flatten().to(dtype)
            e = e + self.add_embedding(torch.cat([condition.pooled.to(dtype), sizes.expand(len(t), -1)], dim=1))
        return F.silu(e)

    def forward(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        if condition.prepared is None:
            condition = self.prepare(condition)
        assert condition.prepared is not None
        captions = iter(condition.prepared)
        mask = condition.mask if self.masked else None
        embedding = self.embedding(t, condition, *x.shape[2:])

        def attended(transformer: nn.Module, x: Tensor) -> Tensor:
            mine = [next(captions) for _ in transformer.transformer_blocks]  # type: ignore[union-attr]
            return self._run(transformer, x, mine, mask)

        def level(block: Block, j: int, x: Tensor) -> Tensor:
            x = self._run(block.resnets[j], x, embedding)
            return attended(block.attentions[j], x) if hasattr(block, "attentions") else x

        x = self.conv_in(x.contiguous(memory_format=torch.channels_last))
        kept = [x]
        for block in self._blocks(self.down_blocks):
            for j in range(len(block.resnets)):
                x = level(block, j, x)
                kept.append(x)
            if hasattr(block, "downsamplers"):
                x = block.downsamplers[0](x)
                kept.append(x)
        if self.shape.middle != NO_MIDDLE:
            x = self._run(self.mid_block.resnets[0], x, embedding)
            if self.shape.middle:
                x = attended(self.mid_block.attentions[0], x)
            x = self._run(self.mid_block.resnets[1], x, embedding)
        for block in self._blocks(self.up_blocks):
            for j in range(len(block.resnets)):
                x = level(block, j, torch.cat([x, kept.pop()], dim=1))
            if hasattr(block, "upsamplers"):
                x = block.upsamplers[0](F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return self.conv_out(F.silu(self.conv_norm_out(x))).float()

    @staticmethod
    def _blocks(blocks: nn.ModuleList) -> list[Block]:
        return list(blocks)  # type: ignore[arg-type]

    def _run(self, module: nn.Module, *inputs: object) -> Tensor:
        return run(module, self.checkpointing, *inputs)
