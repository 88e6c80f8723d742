"""The complete alignDRAW model: captions and seeds to pictures, and the record of how each was drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..config.errors import ConfigError
from ..config.paths import WEIGHTS
from ..diffusion import noise
from ..nets.aligndraw.captions import Words, split
from ..nets.aligndraw.model import AlignDraw, Glimpse
from .averages import last_snapshot
from .called import OnPrompts
from .load import load_net
from .prompts import check_one_each


@dataclass(frozen=True)
class Glimpses:
    """What stands in a passport in place of a sampler: the picture is drawn in `steps` glimpses."""

    kind: str = "aligndraw"
    steps: int = 32
    nfe: int = 0
    precision: str = "float32"

    def evaluations(self, guider: Any, path: Any, scale: float) -> int:
        """The net's evaluations for one picture."""
        return self.steps


@dataclass(frozen=True)
class Drawing:
    """How one picture came to be, over T glimpses. `canvas` uint8 [T, 3, H, W]; `written` and `looked` [T, 4] are the outlines of
    the windows in pixels (left, top, right, bottom); `attention` [T, L] is over the `words`."""

    words: list[str]
    canvas: Tensor
    written: np.ndarray
    looked: np.ndarray
    attention: np.ndarray


@dataclass
class AlignDrawModel(OnPrompts):
    """alignDRAW with its trained net, in evaluation mode. It has no guidance: its only scale is 1."""

    net: AlignDraw

    @property
    def device(self) -> torch.device:
        return self.net.canvas.device

    @property
    def text_encoder(self) -> Words:
        """What reads captions: it tells the words that are cut, or not known."""
        return self.net.words

    @property
    def sampler(self) -> Glimpses:
        return Glimpses(steps=self.net.glimpses)

    def _noise(self, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        """(noise of the glimpses [B, T, Z], noise of the sharpening stage [B, 1, H, W])."""
        rows, net = torch.tensor(list(seeds), device=self.device), self.net
        eps = noise.normal(rows, (net.glimpses, net.latent), 0, noise.START)
        return eps, noise.normal(rows, (1, net.size, net.size), 0, noise.STEP)

    @torch.no_grad()
    def generate(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        scale: float | None = None,
        negative: Sequence[str] | None = None,
    ) -> Tensor:
        """Pictures, uint8 [B, 3, H, W] on the CPU. Picture i depends on prompt i and seed i alone. Raises ConfigError for a scale
        other than 1, for negative prompts, and for other numbers of prompts and seeds."""
        check_one_each("seeds", "seeds", seeds, prompts)
        if scale not in (None, 1) or negative is not None:
            what = "negative" if negative is not None else f"guidance.scale={scale:g}"
            raise ConfigError(f"{what}: alignDRAW has no guidance; its only scale is 1, without a negative prompt")
        states, mask = self.net.read_captions(prompts)
        eps, grain = self._noise(seeds)
        canvas = self.net.steps(states, mask, eps)[-1].canvas
        return pixels(self.net.finished(canvas, states, mask, grain))

    def at_scales(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        scales: Sequence[float],
        negative: Sequence[str] | None = None,
        apart: bool = False,
    ) -> Tensor:
        """Pictures, uint8 [scales, B, 3, H, W] on the CPU, as of a diffusion model; 1 is the only scale."""
        return torch.stack([self.generate(prompts, seeds, scale, negative) for scale in scales])

    @torch.no_grad()
    def rebuild(self, pictures: Tensor, captions: Sequence[str]) -> Tensor:
        """What the net draws of given pictures, uint8 [B, 3, H, W], after it has seen them: uint8 [B, 3, H, W] on the CPU."""
        states, mask = self.net.read_captions(captions)
        eps, grain = self._noise(range(len(pictures)))
        given = self.net.shown(pictures.to(self.device).float() / 255)
        canvas = self.net.steps(states, mask, eps, given)[-1].canvas
        return pixels(self.net.finished(canvas, states, mask, grain))

    @torch.no_grad()
    def watch(self, prompt: str, seed: int, picture: Tensor | None = None) -> Drawing:
        """How the picture of a prompt comes to be; of a given picture, uint8 [3, H, W], how it is read and drawn again."""
        states, mask = self.net.read_captions([prompt])
        given = None
        if picture is not None:
            given = self.net.shown(picture[None].to(self.device).float() / 255)
        steps = self.net.steps(states, mask, self._noise([seed])[0], given)
        words = split(prompt)[: self.net.words.length]

        def boxes(of: str) -> np.ndarray:
            found: np.ndarray = torch.stack([getattr(g, of).boxes()[0] for g in steps]).cpu().numpy()
            return found

        attention = torch.stack([g.attention[0, : len(words)] for g in steps]).cpu().numpy()
        canvas = torch.stack([pixels(_light(g))[0] for g in steps])
        return Drawing(words, canvas, boxes("written"), boxes("looked"), attention)

    def trajectory(self, prompt: str, seed: int, scale: float = 1.0) -> Iterator[tuple[Tensor, Tensor]]:
        """After each glimpse: the canvas with the write window drawn in, and the canvas, uint8 [3, H, W]."""
        drawing = self.watch(prompt, seed)
        for canvas, box in zip(drawing.canvas, drawing.written, strict=True):
            yield outlined(canvas, box), canvas


def _light(glimpse: Glimpse) -> Tensor:
    return glimpse.canvas.sigmoid()


def pixels(pictures: Tensor) -> Tensor:
    """Pictures [B, 1 or 3, H, W] in [0, 1] -> uint8 [B, 3, H, W] on the CPU."""
    return (pictures.float().clamp(0, 1) * 255).round().to(torch.uint8).expand(-1, 3, -1, -1).cpu()


def outlined(picture: Tensor, box: np.ndarray, colour: tuple[int, int, int] = (230, 60, 60)) -> Tensor:
    """The picture, uint8 [3, H, W], with the outline of a box (left, top, right, bottom), as far as it is inside."""
    found, size = picture.clone(), picture.shape[-1]
    left, top, right, bottom = (round(float(v)) for v in np.clip(box, -size, 2 * size))
    ink = torch.tensor(colour, dtype=torch.uint8)[:, None]
    for y in (y for y in (top, bottom) if 0 <= y < size):
        found[:, y, max(left, 0) : max(right + 1, 0)] = ink
    for x in (x for x in (left, right) if 0 <= x < size):
        found[:, max(top, 0) : max(bottom + 1, 0), x] = ink
    return found


def load_align_draw(folder: Path, device: str, ema: float = 0.0) -> AlignDrawModel:
    """The model of a run folder with its averaged weights. If `ema` > 0, it has the weights of a post-hoc EMA of that length.
    Raises ConfigError."""
    source = f"ema:{ema:g}@{last_snapshot(folder)}" if ema else str(folder / WEIGHTS)
    net = load_net(folder, source, device)
    if not isinstance(net, AlignDraw):
        raise ConfigError(f"{folder / WEIGHTS}: not a net of alignDRAW")
    return AlignDrawModel(net)
