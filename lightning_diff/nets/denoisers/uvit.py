"""The keys of the main job's net."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from ...config.fields import between, listed
from ...config.registry import choice
from .base import Inputs
from .unet import UNetSpec

if TYPE_CHECKING:
    from torch import nn


@choice("net", "uvit")
class UViTNet(UNetSpec):
    """A UNet whose coarsest resolution is a transformer (nets/uvit/net.py), small enough for a laptop. The last of `widths` is
    the transformer's, which has `depth` blocks with attention to themselves and to the caption, and `after` residual blocks
    behind it. With `rotary`, attention knows how far two places are from each other, and its scores have a bounded size. The
    other resolutions have `blocks` residual blocks on each way. With `pooled` the caption's pooled output is added to the time
    embedding; without, the net reads the tokens alone."""

    widths: list[int] = listed(48, 192, low=1, high=16384)
    depth: int = between(3, 1, 128)
    after: int = between(1, 0, 64)
    rotary: bool = True
    pooled: bool = False

    per_level: ClassVar[str] = "attention"

    @property
    def attention(self) -> list[bool]:
        """Which resolutions have attention: the last one."""
        return [i + 1 == len(self.widths) for i in range(len(self.widths))]

    @property
    def step(self) -> int:
        return 8

    def head_conflicts(self) -> Iterator[str]:
        if self.rotary and self.head_width % 4:
            yield f"net.head_width={self.head_width}: must be a multiple of 4, or net.rotary=false"
        yield from super().head_conflicts()

    @staticmethod
    def module() -> type[nn.Module]:
        from ..uvit.net import UViT

        return UViT

    def arguments(self, given: Inputs) -> dict[str, Any]:
        found = super().arguments(given)
        del found[self.per_level]
        own = {"depth": self.depth, "after": self.after, "rotary": self.rotary}
        return {**found, **own, "pooled_width": given.pooled_width if self.pooled else 0}
