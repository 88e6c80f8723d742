"""Denoisers, which map x_t and a noise level to a Prediction (laws 2 and 3), and the two branches of guidance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .path import Path
from .records import NoiseLevel, Prediction

Denoiser = Callable[[Tensor, NoiseLevel], Prediction]
BranchPredictions = tuple[list[Prediction], list[Prediction]]
Network = Callable[[Tensor, Tensor, Any], Tensor]  # x [B, C, H, W], t [B], a condition -> [B, C, H, W]


def predict(network: Network, path: Path, x_t: Tensor, m: NoiseLevel, condition: Any) -> Prediction:
    """Evaluate the network once and convert its output to a Prediction. The whole batch has the same noise level."""
    t = x_t.new_full((len(x_t),), m.t)
    return path.read(network(path.scaled(x_t, m), t, condition), x_t, m)


def conditional(network: Network, path: Path, condition: Any) -> Denoiser:
    """A denoiser without guidance, for one condition."""
    return lambda x_t, m: predict(network, path, x_t, m, condition)


def _split(p: Prediction, count: int) -> list[Prediction]:
    return [Prediction(*pair) for pair in zip(p.x_0.chunk(count), p.eps.chunk(count), strict=True)] if count else []


@dataclass
class WithoutCaption:
    """The branches of classifier-free guidance: the same network, with and without the caption. One call of `predict` is one
    batch, or, with `apart`, one batch for each x_t. `prepare` computes what does not depend on x_t and t. It is called once for
    each pair (number of conditional x_t, number of others)."""

    network: Network
    path: Path
    cond: Any
    uncond: Any
    prepare: Callable[[Any], Any] = lambda condition: condition
    apart: bool = False
    _prepared: dict[tuple[int, int], Any] = field(default_factory=dict)

    def predict(self, x_cond: Sequence[Tensor], x_other: Sequence[Tensor], m: NoiseLevel) -> BranchPredictions:
        if not self.apart:
            return self._evaluate(x_cond, x_other, m)
        return [self._evaluate([x], [], m)[0][0] for x in x_cond], [self._evaluate([], [x], m)[1][0] for x in x_other]

    def _evaluate(self, x_cond: Sequence[Tensor], x_other: Sequence[Tensor], m: NoiseLevel) -> BranchPredictions:
        made = len(x_cond), len(x_other)
        if made not in self._prepared:
            parts = [self.cond] * made[0] + [self.uncond] * made[1]
            self._prepared[made] = self.prepare(parts[0] if len(parts) == 1 else type(self.cond).cat(*parts))
        x = [*x_cond, *x_other]
        p = predict(self.network, self.path, torch.cat(x) if len(x) > 1 else x[0], m, self._prepared[made])
        found = _split(p, len(x))
        return found[: made[0]], found[made[0] :]


@dataclass
class WorseNetwork:
    """The branches of autoguidance (Karras et al. 2024): the network and a worse one, both with the caption. `apart` is as
    above."""

    network: Network
    worse: Network
    path: Path
    cond: Any
    apart: bool = False

    def predict(self, x_cond: Sequence[Tensor], x_other: Sequence[Tensor], m: NoiseLevel) -> BranchPredictions:
        return self._evaluate(self.network, x_cond, m), self._evaluate(self.worse, x_other, m)

    def _evaluate(self, network: Network, x: Sequence[Tensor], m: NoiseLevel) -> list[Prediction]:
        if not x:
            return []
        if self.apart:
            return [predict(network, self.path, one, m, self.cond) for one in x]
        condition = self.cond if len(x) == 1 else type(self.cond).cat(*[self.cond] * len(x))
        return _split(predict(network, self.path, torch.cat(list(x)), m, condition), len(x))
