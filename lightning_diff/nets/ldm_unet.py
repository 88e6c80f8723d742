"""The UNet of latent diffusion models (Rombach et al. 2022) in the shapes of Stable Diffusion 1.x, 2.x and XL.

Parameters have the same names as in diffusers' UNet2DConditionModel, except for the projections of attention: one matrix makes
queries, keys and values from the picture (`to_qkv`), one makes keys and values from the caption (`to_kv`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import ReadsCaption, attend, run, sinusoid
from .unet import CaptionedUNet, Condition


class ResnetBlock(nn.Module):
    """The input plus: norm, SiLU, conv, the time embedding added, norm, SiLU, conv. `embedding` = 0: no time embedding."""

    def __init__(self, inputs: int, outputs: int, embedding: int, groups: int = 32, eps: float = 1e-5) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, inputs, eps)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        if embedding:
            self.time_emb_proj = nn.Linear(embedding, outputs)
        self.norm2 = nn.GroupNorm(groups, outputs, eps)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
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
        self.conv = nn.Conv2d(channels, channels, 3, stride=stride, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Block(nn.Module):
    """The residual blocks of one resolution. If the resolution has attention, a transformer follows each block."""

    attentions: nn.ModuleList
    downsamplers: nn.ModuleList
    upsamplers: nn.ModuleList

    def __init__(
        self, widths: Sequence[tuple[int, int]], embedding: int, heads: int, context: int, depth: int, groups: int
    ) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(ResnetBlock(a, b, embedding, groups) for a, b in widths)
        if heads:
            self.attentions = nn.ModuleList(SpatialTransformer(b, heads, context, depth, groups) for _, b in widths)


class Embedding(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(inputs, outputs), nn.Linear(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear_2(F.silu(self.linear_1(x)))


class LatentDiffusionUNet(CaptionedUNet):
    """x_t [B, C, H, W], t [B] in [0, 1], Condition -> [B, C, H, W].

    `widths` are the channels of each resolution. `blocks` is the number of residual blocks of each resolution on the way down
    (one more on the way up). `depth` is the number of transformer layers after each block (0: no attention). A head has
    `head_width` channels, or each resolution has `heads` heads. `pooled_width` > 0 adds the caption's pooled output and the
    picture's size to the time embedding, as in XL; the size is that of the latent in pixels, without a crop.

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
        heads: int = 0,
        head_width: int = 64,
        pooled_width: int = 0,
        time_offset: float = -1.0,
        pixels_per_latent: int = 8,
        masked: bool = False,
        groups: int = 32,
    ) -> None:
        super().__init__()
        self.time_offset, self.pixels = time_offset, pixels_per_latent
        self.layers_per_block, self.depth, self.token_width = blocks, list(depth), token_width
        self.heads, self.head_width = heads, head_width
        self.masked = masked
        first, last, e = widths[0], len(widths) - 1, 4 * widths[0]
        self.width = first
        many = [(heads or w // head_width) if d else 0 for w, d in zip(widths, depth, strict=True)]
        deepest = max(i for i, d in enumerate(depth) if d) if any(depth) else -1
        middle_depth = depth[-1] or (depth[deepest] if deepest >= 0 else 0)
        self.conv_in = nn.Conv2d(channels, first, 3, padding=1)
        self.time_embedding = Embedding(first, e)
        if pooled_width:
            self.add_embedding = Embedding(pooled_width + 6 * 256, e)
        self.pooled = pooled_width > 0

        self.down_blocks, kept, width = nn.ModuleList(), [first], first
        for i, w in enumerate(widths):
            block = Block([(width, w)] + [(w, w)] * (blocks - 1), e, many[i], token_width, depth[i], groups)
            kept += [w] * blocks
            if i < last:
                block.downsamplers = nn.ModuleList([Sampler(w, 2)])
                kept.append(w)
            self.down_blocks.append(block)
            width = w
        self.mid_block = Block([(width, width)] * 2, e, 0, 0, 0, groups)
        if middle_depth:
            middle = heads or width // head_width
            self.mid_block.attentions = nn.ModuleList(
                [SpatialTransformer(width, middle, token_width, middle_depth, groups)]
            )
        self.up_blocks = nn.ModuleList()
        for i in range(last, -1, -1):
            w, pairs = widths[i], []
            for _ in range(blocks + 1):
                pairs.append((width + kept.pop(), w))
                width = w
            block = Block(pairs, e, many[i], token_width, depth[i], groups)
            if i:
                block.upsamplers = nn.ModuleList([Sampler(w, 1)])
            self.up_blocks.append(block)
        self.conv_norm_out = nn.GroupNorm(groups, first, eps=1e-5)
        self.conv_out = nn.Conv2d(first, channels, 3, padding=1)

    def heads_of(self, widths: Sequence[int]) -> list[int]:
        """The number of heads at each width."""
        return [self.heads or max(1, w // self.head_width) for w in widths]

    def embedding(self, t: Tensor, condition: Condition, height: int, width: int) -> Tensor:
        """The embedding [B, E] after its SiLU: of the time, and for XL also of the pooled caption and the picture's size."""
        dtype = self.time_embedding.linear_1.weight.dtype
        e = self.time_embedding(sinusoid(1000 * t + self.time_offset, self.width).to(dtype))
        if self.pooled:
            h, w = height * self.pixels, width * self.pixels
            sizes = sinusoid(torch.tensor([h, w, 0, 0, h, w], device=t.device), 256).flatten().to(dtype)
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
        middle = self.mid_block
        x = self._run(middle.resnets[0], x, embedding)
        if hasattr(middle, "attentions"):
            x = attended(middle.attentions[0], x)
        x = self._run(middle.resnets[1], x, embedding)
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
