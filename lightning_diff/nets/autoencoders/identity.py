"""The keys of pixel-space diffusion, which has no autoencoder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from ...config.fields import one_of
from ...config.registry import choice
from .base import AutoencoderChoice

if TYPE_CHECKING:
    from ..autoencoder import LatentSpace


@choice("autoencoder", "identity")
class IdentityAutoencoder(AutoencoderChoice):
    """No autoencoder: the net removes noise from the picture itself (nets/pixels.py). Squares of `patch` x `patch` pixels become
    channels. It has no weights, and nothing of it is trained."""

    patch: int = one_of(4, 1, 2, 4, 8, 16, 32)

    weights: ClassVar[str] = "auto"
    lpips_weights: ClassVar[str | None] = None

    @property
    def factor(self) -> int:
        return self.patch

    @property
    def latent_channels(self) -> int:
        return 3 * self.patch**2

    @staticmethod
    def module() -> type[LatentSpace]:
        from ..pixels import PixelSpace

        return PixelSpace

    def arguments(self) -> dict[str, Any]:
        return {"patch": self.patch}

    def conflicts(self, task: str, data: Any) -> Iterator[str]:
        if task == "autoencoder":
            yield "autoencoder=identity: it has nothing to train; choose another autoencoder, or task=diffusion"
        if data.image_size % self.patch:
            yield f"autoencoder.patch={self.patch}: must divide data.image_size={data.image_size}"
