"""CFG++, a form of guidance with w in [0, 1]."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ...config.fields import at_least, listed
from ...config.registry import choice
from ..records import NoiseLevel, Prediction
from .base import Guider

if TYPE_CHECKING:
    from torch import Tensor

    from ..path import Path


@choice("guidance", "cfgpp")
class CFGPlusPlus(Guider):
    """CFG++ (Chung et al. 2024, algorithm 2). x_0 is guided with w in [0, 1]; the step adds noise with the unconditional eps.
    So it needs a sampler that steps from x_0 and eps, such as ddim."""

    scale: float = at_least(0.6, 0)
    scales: list[float] = listed(0.0, 0.2, 0.4, 0.6, 0.8, 1.0, low=0)

    def combine(
        self, c: Prediction, u: Prediction, x_t: Tensor, m: NoiseLevel, w: float, path: Path, memory: list[Any]
    ) -> Prediction:
        return Prediction(u.x_0.lerp(c.x_0, w), u.eps)

    def needs(self, at: float, m: NoiseLevel) -> tuple[bool, bool]:
        return (True, False) if at == 1 and not self._inside(m) else (True, True)

    def conflicts(self, sampler: Any, training: Any) -> Iterator[str]:
        yield from super().conflicts(sampler, training)
        if max([self.scale, *self.scales]) > 1:
            yield (
                f"guidance=cfgpp with scale={self.scale:g}, scales={self.scales}: its w lies in [0, 1], for example "
                "guidance.scale=0.6 guidance.scales=[0,0.2,0.4,0.6,0.8,1]"
            )
        if not sampler.from_x_0_and_eps:
            yield (
                f"guidance=cfgpp with sampler={sampler.kind}: its x_0 and eps do not add up to x_t, so it needs sampler=ddim, "
                "ddpm or euler_ancestral"
            )
        if self.rescale > 0 or self.threshold or self.schedule != "constant":
            yield "guidance=cfgpp: rescale, threshold and schedule change x_0 alone or w beyond 1; leave them off"
