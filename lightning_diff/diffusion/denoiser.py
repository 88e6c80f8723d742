"""The one interface of samplers and guidance: x_t and a moment to a Prediction (laws 2 and 3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from .path import Moment, Path, Prediction

Denoiser = Callable[[Tensor, Moment], Prediction]
Network = Callable[[Tensor, Tensor, Any], Tensor]  # x [B, C, H, W], t [B], a condition -> [B, C, H, W]


def ask(network: Network, path: Path, x_t: Tensor, m: Moment, condition: Any) -> Prediction:
    """One evaluation, read in the path's parameterisation. All of the batch is at the same moment."""
    t = x_t.new_full((len(x_t),), m.t)
    return path.read(network(path.scaled(x_t, m), t, condition), x_t, m)


def conditional(network: Network, path: Path, condition: Any) -> Denoiser:
    """The denoiser of one condition."""
    return lambda x_t, m: ask(network, path, x_t, m, condition)


@dataclass
class WithoutCaption:
    """The branches of classifier-free guidance: the same network without the caption; both are asked in one batch.

    `prepare` does, once for each condition, what does not depend on x_t and t.
    """

    network: Network
    path: Path
    cond: Any
    uncond: Any
    prepare: Callable[[Any], Any] = lambda condition: condition

    @cached_property
    def _cond(self) -> Any:
        return self.prepare(self.cond)

    @cached_property
    def _uncond(self) -> Any:
        return self.prepare(self.uncond)

    @cached_property
    def _both(self) -> Any:
        return self.prepare(type(self.cond).cat(self.cond, self.uncond))

    def good(self, x_t: Tensor, m: Moment) -> Prediction:
        return ask(self.network, self.path, x_t, m, self._cond)

    def bad(self, x_t: Tensor, m: Moment) -> Prediction:
        return ask(self.network, self.path, x_t, m, self._uncond)

    def both(self, x_t: Tensor, m: Moment) -> tuple[Prediction, Prediction]:
        p = ask(self.network, self.path, torch.cat([x_t, x_t]), m, self._both)
        (a, b), (c, d) = p.x_0.chunk(2), p.eps.chunk(2)
        return Prediction(a, c), Prediction(b, d)


@dataclass
class WorseNetwork:
    """The branches of autoguidance (Karras et al. 2024): a worse network with the same caption."""

    network: Network
    worse: Network
    path: Path
    cond: Any

    def good(self, x_t: Tensor, m: Moment) -> Prediction:
        return ask(self.network, self.path, x_t, m, self.cond)

    def bad(self, x_t: Tensor, m: Moment) -> Prediction:
        return ask(self.worse, self.path, x_t, m, self.cond)

    def both(self, x_t: Tensor, m: Moment) -> tuple[Prediction, Prediction]:
        return self.good(x_t, m), self.bad(x_t, m)
