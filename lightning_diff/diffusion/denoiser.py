"""The one interface of samplers and guidance: x_t and a moment to a Prediction (laws 2 and 3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .path import Path
from .records import Moment, Prediction

Denoiser = Callable[[Tensor, Moment], Prediction]
Answers = tuple[list[Prediction], list[Prediction]]
Network = Callable[[Tensor, Tensor, Any], Tensor]  # x [B, C, H, W], t [B], a condition -> [B, C, H, W]


def ask(network: Network, path: Path, x_t: Tensor, m: Moment, condition: Any) -> Prediction:
    """One evaluation, read in the path's parameterisation. All of the batch is at the same moment."""
    t = x_t.new_full((len(x_t),), m.t)
    return path.read(network(path.scaled(x_t, m), t, condition), x_t, m)


def conditional(network: Network, path: Path, condition: Any) -> Denoiser:
    """The denoiser of one condition."""
    return lambda x_t, m: ask(network, path, x_t, m, condition)


def _split(p: Prediction, count: int) -> list[Prediction]:
    return [Prediction(*pair) for pair in zip(p.x_0.chunk(count), p.eps.chunk(count), strict=True)] if count else []


@dataclass
class WithoutCaption:
    """The branches of classifier-free guidance: the same network without the caption. All that is asked for at a moment is
    one batch, or, `apart`, a batch for each x_t. `prepare` does, once for each make-up of a batch, what does not depend on
    x_t and t."""

    network: Network
    path: Path
    cond: Any
    uncond: Any
    prepare: Callable[[Any], Any] = lambda condition: condition
    apart: bool = False
    _prepared: dict[tuple[int, int], Any] = field(default_factory=dict)

    def answers(self, good: Sequence[Tensor], bad: Sequence[Tensor], m: Moment) -> Answers:
        if not self.apart:
            return self._ask(good, bad, m)
        return [self._ask([x], [], m)[0][0] for x in good], [self._ask([], [x], m)[1][0] for x in bad]

    def _ask(self, good: Sequence[Tensor], bad: Sequence[Tensor], m: Moment) -> Answers:
        made = len(good), len(bad)
        if made not in self._prepared:
            parts = [self.cond] * made[0] + [self.uncond] * made[1]
            self._prepared[made] = self.prepare(parts[0] if len(parts) == 1 else type(self.cond).cat(*parts))
        x = [*good, *bad]
        p = ask(self.network, self.path, torch.cat(x) if len(x) > 1 else x[0], m, self._prepared[made])
        found = _split(p, len(x))
        return found[: made[0]], found[made[0] :]


@dataclass
class WorseNetwork:
    """The branches of autoguidance (Karras et al. 2024): a worse network with the same caption; `apart` as above."""

    network: Network
    worse: Network
    path: Path
    cond: Any
    apart: bool = False

    def answers(self, good: Sequence[Tensor], bad: Sequence[Tensor], m: Moment) -> Answers:
        return self._ask(self.network, good, m), self._ask(self.worse, bad, m)

    def _ask(self, network: Network, x: Sequence[Tensor], m: Moment) -> list[Prediction]:
        if not x:
            return []
        if self.apart:
            return [ask(network, self.path, one, m, self.cond) for one in x]
        condition = self.cond if len(x) == 1 else type(self.cond).cat(*[self.cond] * len(x))
        return _split(ask(network, self.path, torch.cat(list(x)), m, condition), len(x))
