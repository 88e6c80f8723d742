"""This project's own denoising net, a UNet over latents, and the Condition that every denoising net gets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import ChannelNorm, ReadsCaption, ResidualBlock, TransformerBlock, Upsample, run, sinusoid, zero_


@dataclass
class Condition:
    """The features of captions: tokens [B, L, D], mask [B, L] (True: a token, False: padding), pooled [B, P].

    `prepared` holds the keys and values that a net's `prepare` made from the tokens, [B, heads, L, D] each.
    """

    tokens: Tensor
    mask: Tensor
    pooled: Tensor
    prepared: list[tuple[Tensor, Tensor]] | None = None

    def to(self, device: torch.device) -> Condition:
        return Condition(self.tokens.to(device), self.mask.to(device), self.pooled.to(device))

    def expand(self, n: int) -> Condition:
        """The one row of this condition, repeated n times."""
        return Condition(*(a.expand(n, *a.shape[1:]) for a in (self.tokens, self.mask, self.pooled)))  # type: ignore[arg-type]

    def where(self, keep: Tensor, other: Condition) -> Condition:
        """This condition in the rows where keep [B] is True, and the other one in the other rows."""
        return Condition(
            torch.where(keep[:, None, None], self.tokens, other.tokens),
            torch.where(keep[:, None], self.mask, other.mask),
            torch.where(keep[:, None], self.pooled, other.pooled),
        )

    @staticmethod
    def cat(*parts: Condition) -> Condition:
        return Condition(
            torch.cat([p.tokens for p in parts]),
            torch.cat([p.mask for p in parts]),
            torch.cat([p.pooled for p in parts]),
        )


class CaptionedUNet(nn.Module):
    """The base class of UNets: it computes the keys and values of all attention to the caption once, and it lists the blocks.
    `checkpointing`, which is set after the net is built, saves memory and costs time."""

    checkpointing = False

    def _caption_attentions(self) -> list[ReadsCaption]:
        return [m for m in self.modules() if isinstance(m, ReadsCaption)]

    def prepare(self, condition: Condition) -> Condition:
        """The condition with the keys and values of all attention to it. They do not depend on x_t and t."""
        return replace(
            condition, prepared=[layer.keys_values(condition.tokens) for layer in self._caption_attentions()]
        )

    def blocks(self) -> Iterator[list[nn.Module]]:
        """First one block of all modules that make keys and values of the caption, because `prepare` calls all of them at
        once. Then each block in the module lists."""
        if projections := [part for layer in self._caption_attentions() for part in layer.caption_projections()]:
            yield projections

        def list_blocks(module: nn.Module) -> Iterator[list[nn.Module]]:
            for child in module.children():
                if isinstance(child, nn.ModuleList):  # a list has no forward
                    yield from list_blocks(child)
                elif isinstance(module, nn.ModuleList) and next(child.parameters(), None) is not None:
                    yield [child]

        yield from list_blocks(self)


class ModulatedUNet(CaptionedUNet):
    """A UNet whose blocks are modulated by an embedding of the time and of the caption's pooled output."""

    def embeds(self, times: int, outputs: int, pooled_width: int) -> None:
        """Make the layers of `embedding`: `times` sinusoids and, if its width is above 0, the pooled output -> [B, outputs]."""
        self.times = times
        self.time = nn.Sequential(nn.Linear(times, outputs), nn.SiLU(), nn.Linear(outputs, outputs))
        self.pooled = nn.Linear(pooled_width, outputs) if pooled_width else None
        self.pooled_scale = pooled_width**0.5  # so that the elements of a unit vector become about 1

    def embedding(self, t: Tensor, condition: Condition) -> Tensor:
        """The embedding of the times t [B] and the captions' pooled outputs, after its SiLU, which modulates the blocks."""
        found: Tensor = self.time(sinusoid(1000 * t, self.times))
        if self.pooled is not None:
            found = found + self.pooled(F.normalize(condition.pooled, dim=-1) * self.pooled_scale)
        return F.silu(found)


class NullCondition(nn.Module):
    """A learned condition that means "no caption". `shape` is (number of tokens, token width, pooled width)."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        length, width, pooled = shape
        self.tokens = nn.Parameter(torch.zeros(1, length, width))
        self.pooled = nn.Parameter(torch.zeros(1, pooled))

    @torch.no_grad()
    def begin(self, condition: Condition) -> None:
        """Set the parameters to that condition of one row."""
        self.tokens.copy_(condition.tokens)
        self.pooled.copy_(condition.pooled)

    def forward(self) -> Condition:
        mask = torch.ones(self.tokens.shape[:2], dtype=torch.bool, device=self.tokens.device)
        return Condition(self.tokens, mask, self.pooled)


class Level(nn.Module):
    """A residual block, then a transformer block if `heads` > 0."""

    def __init__(self, inputs: int, outputs: int, embedding: int, heads: int, context: int) -> None:
        super().__init__()
        self.residual = ResidualBlock(inputs, outputs, embedding, ChannelNorm)
        self.transformer = TransformerBlock(outputs, heads, context) if heads else None

    def forward(self, x: Tensor, embedding: Tensor, caption: tuple[Tensor, Tensor] | None, mask: Tensor) -> Tensor:
        x = self.residual(x, embedding)
        return x if self.transformer is None or caption is None else self.transformer(x, *caption, mask)


class UNet(ModulatedUNet):
    """x_t [B, C, H, W], t [B] in [0, 1], Condition -> [B, C, H, W].

    `widths` are the channels of each resolution. `blocks` is the number of residual blocks of each resolution on the way down
    (one more on the way up). `attention` says which resolutions have attention to themselves and to the caption.
    """

    recordable = True  # its two passes never wait for the host, so a CUDA graph can hold them (training/graphs.py)

    def __init__(
        self,
        channels: int,
        token_width: int,
        pooled_width: int,
        widths: Sequence[int] = (64, 160),
        blocks: int = 2,
        attention: Sequence[bool] = (False, True),
        head_width: int = 32,
    ) -> None:
        super().__init__()
        e = 4 * widths[0]
        self.embeds(widths[0], e, pooled_width)
        self.conv_in = nn.Conv2d(channels, widths[0], 3, padding=1)

        heads = [w // head_width if a else 0 for w, a in zip(widths, attention, strict=True)]
        kept, width = [widths[0]], widths[0]
        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        for i, w in enumerate(widths):
            levels = nn.ModuleList()
            for _ in range(blocks):
                levels.append(Level(width, w, e, heads[i], token_width))
                width = w
                kept.append(width)
            self.down.append(levels)
            if i + 1 < len(widths):
                self.shrink.append(nn.Conv2d(width, width, 3, stride=2, padding=1))
                kept.append(width)
        self.middle = nn.ModuleList(
            [Level(width, width, e, heads[-1], token_width), Level(width, width, e, 0, token_width)]
        )
        self.up, self.grow = nn.ModuleList(), nn.ModuleList()
        for i, w in reversed(list(enumerate(widths))):
            levels = nn.ModuleList()
            for _ in range(blocks + 1):
                levels.append(Level(width + kept.pop(), w, e, heads[i], token_width))
                width = w
            self.up.append(levels)
            if i:
                width = widths[i - 1]
                self.grow.append(Upsample(w, width))
        self.out = nn.Sequential(ChannelNorm(width), nn.SiLU(), zero_(nn.Conv2d(width, channels, 3, padding=1)))

    def forward(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        if condition.prepared is None:
            condition = self.prepare(condition)
        assert condition.prepared is not None
        captions, mask = iter(condition.prepared), condition.mask
        embedding = self.embedding(t, condition)

        def through(level: Level, x: Tensor) -> Tensor:
            caption = next(captions) if level.transformer is not None else None
            return run(level, self.checkpointing, x, embedding, caption, mask)

        x = self.conv_in(x.contiguous(memory_format=torch.channels_last))
        kept = [x]
        for i, levels in enumerate(self.down):
            for level in levels:  # type: ignore[attr-defined]
                x = through(level, x)
                kept.append(x)
            if i < len(self.shrink):
                x = self.shrink[i](x)
                kept.append(x)
        for level in self.middle:
            x = through(level, x)  # type: ignore[arg-type]
        for i, levels in enumerate(self.up):
            for level in levels:  # type: ignore[attr-defined]
                x = through(level, torch.cat([x, kept.pop()], dim=1))
            if i < len(self.grow):
                x = self.grow[i](x)
        out: Tensor = self.out(x).float()
        return out
