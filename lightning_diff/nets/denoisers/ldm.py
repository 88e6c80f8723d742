"""The keys of latent diffusion's UNet, in the shapes of Stable Diffusion 1.x, 2.x and XL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from ...config.fields import at_least, listed
from ...config.registry import choice
from .base import Inputs
from .unet import UNetSpec

if TYPE_CHECKING:
    from torch import nn


@choice("net", "ldm")
class LatentDiffusionNet(UNetSpec):
    """Stable Diffusion's UNet (Rombach et al. 2022; nets/ldm_unet.py). `depth` is, for each resolution, the number of
    transformer layers after each block; `heads` is the number of heads of each layer (0: `head_width` determines it). `pooled`
    adds the pooled caption and the size to the time embedding, as in XL. `masked` excludes the padding from attention.
    `groups` is the number of groups of its norms."""

    depth: list[int] = listed(0, 1, low=0, high=64)
    heads: int = at_least(0, 0)
    head_width: int = at_least(32, 8, only={"heads": (0,)})
    pooled: bool = False
    masked: bool = False
    groups: int = at_least(32, 1)

    per_level: ClassVar[str] = "depth"
    takes_lora: ClassVar[bool] = True

    @property
    def step(self) -> int:
        return self.groups

    @staticmethod
    def module() -> type[nn.Module]:
        from ..ldm_unet import LatentDiffusionUNet

        return LatentDiffusionUNet

    def arguments(self, given: Inputs) -> dict[str, Any]:
        counted = given.schedule.startswith(("linear", "scaled_linear"))  # steps 0 to 999
        return {
            **super().arguments(given),
            "heads": self.heads,
            "pooled_width": given.pooled_width if self.pooled else 0,
            "time_offset": -1.0 if counted else 0.0,
            "pixels_per_latent": given.factor,
            "masked": self.masked,
            "groups": self.groups,
        }

    def head_conflicts(self) -> Iterator[str]:
        if not self.heads:
            yield from super().head_conflicts()
        elif any(w % self.heads for w in self.attending):
            yield f"net.heads={self.heads}: must divide the widths that attend, {self.attending}"
