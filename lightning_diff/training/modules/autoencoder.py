"""Training of the first stage."""

from __future__ import annotations

import torch
from torch import Tensor

from ...config import Training
from ...data.dataset import PictureBatch
from ...data.decode import to_unit
from ...diffusion import noise
from ...nets.autoencoder import LatentSpace, kl_divergence, reconstruction_loss
from .base import Trained


class AutoencoderModule(Trained):
    """Reconstruction plus a little KL."""

    net: LatentSpace

    def __init__(self, net: LatentSpace, training: Training, seed: int, kl_weight: float) -> None:
        super().__init__(net, training, seed)
        self.kl_weight = kl_weight

    def training_step(self, batch: PictureBatch, batch_idx: int) -> Tensor:
        x = to_unit(batch.images).contiguous(memory_format=torch.channels_last)
        mean, log_variance = self.net.moments(x)
        eps = noise.normal(batch.positions, tuple(mean.shape[1:]), self.seed, noise.POSTERIOR)
        y = self.net.decode_raw(mean + (0.5 * log_variance).exp() * eps)
        reconstruction, kl = reconstruction_loss(x, y), kl_divergence(mean, log_variance)
        loss = reconstruction + self.kl_weight * kl
        error = (y.detach().float() - x).square().mean() / 4  # of values in [0, 1]
        self.meter(loss=loss, kl=kl, psnr=-10 * error.log10())
        return loss
