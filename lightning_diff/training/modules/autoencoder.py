"""Training of the autoencoder (the first stage)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...config.schema import Training
from ...data.dataset import PictureBatch
from ...data.decode import to_unit
from ...diffusion import noise
from ...nets.autoencoder import LatentSpace, kl_divergence, reconstruction_loss
from ...nets.autoencoders.base import AutoencoderSpec
from ..adversary import Adversary
from .base import BaseModule


class AutoencoderModule(BaseModule):
    """Trains an autoencoder. The loss is the reconstruction error plus a small KL term. As in Rombach et al. 2022 (appendix
    G), the config can add a perceptual distance, and an adversarial loss that starts at a given step."""

    net: LatentSpace

    def __init__(
        self,
        net: LatentSpace,
        training: Training,
        seed: int,
        config: AutoencoderSpec,
        perceptual: nn.Module | None = None,
    ) -> None:
        super().__init__(net, training, seed)
        self.config = config
        self.frozen = (
            [perceptual] if perceptual is not None else []
        )  # a list hides it from Lightning: it is not trained or saved
        if config.adversarial:
            self.adversary = Adversary(config.adversarial, training.learning_rate, config.adversarial_from)

    def training_step(self, batch: PictureBatch, batch_idx: int) -> Tensor:
        c = self.config
        x = to_unit(batch.images).contiguous(memory_format=torch.channels_last)
        mean, log_variance = self.net.moments(x)
        eps = noise.normal(batch.positions, tuple(mean.shape[1:]), self.seed, noise.POSTERIOR)
        y = self.net.decode_raw(mean + (0.5 * log_variance).exp() * eps)
        reconstruction, kl = reconstruction_loss(x, y), kl_divergence(mean, log_variance)
        said: dict[str, Tensor] = {"kl": kl}
        for net in self.frozen:
            said["perceptual"] = net.to(x.device)(x, y.float())
            reconstruction = reconstruction + c.perceptual * said["perceptual"]
        loss = reconstruction + c.kl_weight * kl
        if self.adversary is not None and self.global_step >= self.adversary.begin:
            said["loss_discriminator"] = self.adversary.update(x, y)
            adversarial, said["adversarial_weight"] = self.adversary.loss(reconstruction, y, self.net.last_layer())
            loss = loss + adversarial
        error = (y.detach().float() - x).square().mean() / 4  # the error of values in [0, 1]
        self.meter(loss=loss, psnr=-10 * error.log10(), **said)
        return loss
