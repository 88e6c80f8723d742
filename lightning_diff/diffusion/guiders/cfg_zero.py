"""CFG-Zero*, guidance of the velocity with a scaled unconditional branch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...config.registry import choice
from ..records import NoiseLevel, Prediction
from .base import Guider, dot

if TYPE_CHECKING:
    from torch import Tensor

    from ..path import Path


@choice("guidance", "cfg_zero")
class CFGZero(Guider):
    """CFG-Zero* (Fan et al. 2025, eq. 11) on the velocity eps - x_0. The unconditional velocity is first scaled to fit the
    conditional one."""

    def combine(
        self, c: Prediction, u: Prediction, x_t: Tensor, m: NoiseLevel, w: float, path: Path, memory: list[Any]
    ) -> Prediction:
        cond, uncond = c.eps - c.x_0, u.eps - u.x_0
        uncond = uncond * (dot(cond, uncond) / dot(uncond, uncond))
        return path.read(uncond.lerp(cond, w), x_t, m, "flow")
