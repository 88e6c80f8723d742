"""The keys of Stable Diffusion's autoencoder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ...config.fields import above, at_least, between, listed
from ...config.registry import choice
from .base import AutoencoderSpec, width_conflicts

if TYPE_CHECKING:
    from ..autoencoder import LatentSpace


@choice("autoencoder", "ldm")
class LatentDiffusionAutoencoderSpec(AutoencoderSpec):
    """Stable Diffusion's KL autoencoder (Rombach et al. 2022; nets/ldm_autoencoder.py). `widths` are the channels at 1, 1/2,
    1/4, ... of the picture's size. `blocks` is the number of residual blocks per resolution, `groups` is the number of
    groups of its norms. `scaling_factor` is that of an autoencoder's file alone, which does not say it: 0.18215 for Stable
    Diffusion 1.x and 2.x, 0.13025 for XL."""

    widths: list[int] = listed(32, 96, low=1, high=16384)
    blocks: int = between(2, 1, 64)
    groups: int = at_least(32, 1)
    scaling_factor: float | None = above(None, 0)

    @property
    def factor(self) -> int:
        return 1 << (len(self.widths) - 1)

    @staticmethod
    def module() -> type[LatentSpace]:
        from ..ldm_autoencoder import LatentDiffusionAutoencoder

        return LatentDiffusionAutoencoder

    def arguments(self) -> dict[str, Any]:
        sizes = {"latent_channels": self.latent_channels, "blocks": self.blocks, "groups": self.groups}
        return {"widths": list(self.widths), **sizes}

    def kept(self, size: int) -> int:
        return self.widths[0] * size**2

    def conflicts(self, task: Any) -> Iterator[str]:
        yield from super().conflicts(task)
        yield from width_conflicts(self.widths, self.groups)
        if self.scaling_factor and self.weights == "auto":
            yield "autoencoder.scaling_factor: would be ignored; it belongs to autoencoder.weights=FILE"
