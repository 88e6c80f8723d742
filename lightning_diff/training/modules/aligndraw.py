"""Training of alignDRAW: the variational bound of a picture given its caption, and the sharpening stage."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...config.schema import Training
from ...data.dataset import PictureBatch
from ...diffusion import noise
from ...nets.aligndraw.model import AlignDraw
from ..adversary import Adversary
from .base import BaseModule


class AlignDrawModule(BaseModule):
    """Trains alignDRAW. With training.optimizer=rmsprop the gradient of each tensor is clipped by itself, as in the paper. The
    noise of a glimpse is a function of the sample's position.

    A sharpening stage is trained along: the canvas that it gets is detached, its loss is the L1 distance to the picture plus
    an adversarial loss (in the paper, a LAPGAN). The discriminator sees RGB; of a gray picture, three equal channels."""

    net: AlignDraw

    def __init__(self, net: AlignDraw, training: Training, seed: int, adversarial: float = 0.0) -> None:
        super().__init__(net, training, seed)
        if net.sharpener is not None and adversarial:
            self.adversary = Adversary(adversarial, training.learning_rate, 0)

    def clip_gradient(self, limit: float) -> Tensor:
        if self.training_config.optimizer != "rmsprop":
            return super().clip_gradient(limit)
        grads = [p.grad for p in self.net.parameters() if p.grad is not None]
        norms = torch.stack([g.norm() for g in grads])
        if limit:
            for g, factor in zip(grads, (limit / (norms + 1e-6)).clamp(max=1), strict=True):
                g.mul_(factor)
        return norms.norm()

    def training_step(self, batch: PictureBatch, batch_idx: int) -> Tensor:
        net, rows = self.net, batch.positions
        pictures = net.shown(batch.images.float() / 255)
        eps = noise.normal(rows, (net.glimpses, net.latent), self.seed, noise.POSTERIOR)
        bce, kl, blurry, sentence = net(batch.captions, eps, pictures)
        loss = (bce + kl).mean()
        said = {"bce": bce.mean(), "kl": kl.mean()}
        if net.sharpener is None:
            self.meter(loss=loss, **said)
            return loss
        grain = noise.normal(rows, (1, net.size, net.size), self.seed, noise.NOISE)
        sharp = net.sharpener(blurry.detach(), sentence.detach(), grain)
        sharpening = F.l1_loss(sharp, pictures)
        said["sharpening"] = sharpening
        if self.adversary is not None:
            real, made = (2 * x.expand(-1, 3, -1, -1) - 1 for x in (pictures, sharp))
            said["loss_discriminator"] = self.adversary.update(real, made)
            last: Any = net.sharpener.last.weight
            adversarial, said["adversarial_weight"] = self.adversary.loss(sharpening, made, last)
            sharpening = sharpening + adversarial
        self.meter(loss=loss, **said)
        return loss + sharpening
