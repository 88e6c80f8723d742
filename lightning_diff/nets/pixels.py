"""No autoencoder at all: pixel-space diffusion, where the noise is in the picture itself (Ho et al. 2020)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .autoencoder import LatentSpace, Posterior

SCALE = 0.5  # about the standard deviation of pictures in [-1, 1] (Karras et al. 2022, table 1: sigma_data)


class PixelSpace(LatentSpace):
    """Squares of `patch` x `patch` pixels become channels, so that the net works at a lower resolution. Nothing is lost: decode
    is the inverse of encode, and the posterior has no spread."""

    exact = True

    def __init__(self, patch: int) -> None:
        super().__init__(patch, 3 * patch**2)
        self.scale.fill_(SCALE)

    def encode_raw(self, x: Tensor) -> Tensor:
        z = F.pixel_unshuffle(x, self.factor)
        return torch.cat([z, torch.full_like(z, -30.0)], dim=1)

    def decode_raw(self, z: Tensor) -> Tensor:
        return F.pixel_shuffle(z, self.factor)

    def last_layer(self) -> nn.Parameter:
        raise NotImplementedError("pixels have no layer")

    def encode(self, x: Tensor) -> Posterior:
        """As in every autoencoder, but the std is one 0 for each picture, [B, 1, 1, 1]: a cache of features stays small."""
        z = F.pixel_unshuffle(x.float(), self.factor)
        mean = (z - self.shift[:, None, None]) / self.scale[:, None, None]
        return Posterior(mean, mean.new_zeros(len(x), 1, 1, 1))
