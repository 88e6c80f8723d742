"""The keys that all UNets have: the channels, the blocks and the attention of each resolution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from ...config.fields import at_least, between, listed
from .base import Inputs, NetSpec


@dataclass(frozen=True, kw_only=True)
class UNetSpec(NetSpec):
    """A UNet. `widths` are the channels of each resolution. `blocks` is the number of residual blocks of each resolution on the
    way down (one more on the way up). An attention head has `head_width` channels."""

    widths: list[int] = listed(64, 128, low=1, high=16384)
    blocks: int = between(1, 1, 64)
    head_width: int = at_least(32, 8)

    any_shape: ClassVar[bool] = True
    per_level: ClassVar[str]  # the key with one value per resolution: true, or above 0, means attention

    @property
    def step(self) -> int:
        """Every width must be a multiple of this."""
        raise NotImplementedError

    @property
    def attending(self) -> list[int]:
        """The widths of the resolutions that have attention."""
        return [w for w, on in zip(self.widths, getattr(self, self.per_level), strict=False) if on]

    def arguments(self, given: Inputs) -> dict[str, Any]:
        return {
            "channels": given.channels,
            "token_width": given.token_width,
            "widths": list(self.widths),
            "blocks": self.blocks,
            "head_width": self.head_width,
            self.per_level: list(getattr(self, self.per_level)),
        }

    def legal_for(self, side: int) -> str | None:
        if side >= 1 and side % 2 ** (len(self.widths) - 1) == 0:
            return None
        return (
            f"net.widths={self.widths}: {len(self.widths)} resolutions do not fit a latent of {side} x {side}; "
            "use fewer, or a larger data.image_size"
        )

    def kept(self, side: int) -> int:
        return self.widths[0] * side**2

    def conflicts(self, data: Any, autoencoder: Any) -> Iterator[str]:
        levels = getattr(self, self.per_level)
        if len(self.widths) != len(levels) or not self.widths:
            yield f"net.{self.per_level}={levels}: needs one value for each of net.widths={self.widths}"
        if any(w < self.step or w % self.step for w in self.widths):
            yield f"net.widths={self.widths}: widths must be positive multiples of {self.step}"
        yield from self.head_conflicts()
        yield from super().conflicts(data, autoencoder)

    def head_conflicts(self) -> Iterator[str]:
        """Messages for heads that do not divide the widths of the resolutions with attention."""
        if any(w % self.head_width for w in self.attending):
            yield f"net.head_width={self.head_width}: must divide the widths that attend, {self.attending}"
