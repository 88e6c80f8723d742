"""Adaptive projected guidance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...config.fields import at_least, between
from ...config.registry import choice
from ..records import NoiseLevel, Prediction
from .base import Guider, dot

if TYPE_CHECKING:
    from torch import Tensor

    from ..path import Path


@choice("guidance", "apg")
class APG(Guider):
    """Adaptive projected guidance (Sadat et al. 2024, algorithm 1). It changes the difference between the two predictions:
    `momentum` adds the differences of earlier steps, `norm` limits its length (0: no limit), and only the share `eta` of its
    component parallel to the conditional prediction is kept."""

    eta: float = between(0.0, 0, 1)
    norm: float = at_least(15.0, 0)
    momentum: float = between(-0.5, -1, 1)

    def combine(
        self, c: Prediction, u: Prediction, x_t: Tensor, m: NoiseLevel, w: float, path: Path, memory: list[Any]
    ) -> Prediction:
        difference = c.x_0 - u.x_0
        if self.momentum:
            if memory:
                difference = difference + self.momentum * memory.pop()
            memory.append(difference)
        if self.norm:
            difference = difference * (self.norm / dot(difference, difference).sqrt()).clamp(max=1)
        along = dot(difference, c.x_0) / dot(c.x_0, c.x_0) * c.x_0
        return path.from_x_0(c.x_0 + (w - 1) * (difference - (1 - self.eta) * along), x_t, m)
