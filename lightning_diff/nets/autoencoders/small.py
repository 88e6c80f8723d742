"""The keys of this project's own autoencoder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ...config.fields import between, listed
from ...config.registry import choice
from .base import AutoencoderSpec, width_conflicts

if TYPE_CHECKING:
    from ..autoencoder import LatentSpace


@choice("autoencoder", "small")
class SmallAutoencoder(AutoencoderSpec):
    """This project's own KL autoencoder (nets/autoencoder.py). By default it maps 64 x 64 x 3 to 16 x 16 x 4 and has 0.79 M
    parameters. `widths` are the channels at 1/2, 1/4, ... of the picture's size. `blocks` is the number of residual blocks per
    resolution."""

    widths: list[int] = listed(32, 96, low=1, high=16384)
    blocks: int = between(2, 1, 64)

    @property
    def factor(self) -> int:
        return 1 << len(self.widths)

    @staticmethod
    def module() -> type[LatentSpace]:
        from ..autoencoder import Autoencoder

        return Autoencoder

    def arguments(self) -> dict[str, Any]:
        return {"widths": list(self.widths), "latent_channels": self.latent_channels, "blocks": self.blocks}

    def kept(self, size: int) -> int:
        return self.widths[0] * size**2

    def conflicts(self, task: Any) -> Iterator[str]:
        yield from super().conflicts(task)
        yield from width_conflicts(self.widths, 8)
