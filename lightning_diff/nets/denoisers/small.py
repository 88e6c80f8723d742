"""The keys of this project's own UNet, which is small enough for a laptop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ...config.fields import listed
from ...config.registry import choice
from .base import Inputs
from .unet import UNetSpec

if TYPE_CHECKING:
    from torch import nn


@choice("net", "small")
class SmallNet(UNetSpec):
    """This project's own UNet (nets/unet.py). `attention` says which resolutions have attention to themselves and to the
    caption. With `pooled` the caption's pooled output is added to the time embedding; without, the net reads the tokens alone."""

    attention: list[bool] = listed(False, True)
    pooled: bool = True

    per_level: ClassVar[str] = "attention"

    @property
    def step(self) -> int:
        return 8

    @staticmethod
    def module() -> type[nn.Module]:
        from ..unet import UNet

        return UNet

    def arguments(self, given: Inputs) -> dict[str, Any]:
        return {**super().arguments(given), "pooled_width": given.pooled_width if self.pooled else 0}
