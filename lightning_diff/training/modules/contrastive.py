"""Contrastive training of a CLIP model on pictures and their captions (Radford et al. 2021), with open_clip's loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from open_clip import ClipLoss
from torch import Tensor

from ...config.schema import Training
from ...data.dataset import PictureBatch
from ...data.decode import to_unit
from ...nets.text import Tower
from ..synced import per_rank, ranks
from .base import BaseModule


class ContrastiveModule(BaseModule):
    """Trains a CLIP model. With several ranks, the features of all ranks are gathered, so the loss is that of the global
    batch."""

    net: Tower

    def __init__(self, net: Tower, training: Training, seed: int) -> None:
        super().__init__(net, training, seed)

    def on_fit_start(self) -> None:
        self.loss = ClipLoss(
            local_loss=True, gather_with_grad=True, rank=self.trainer.global_rank, world_size=self.trainer.world_size
        )

    def training_step(self, batch: PictureBatch, batch_idx: int) -> Tensor:
        images = self.net.image_features(to_unit(batch.images))
        texts = self.net.text_features(batch.captions)
        scale = self.net.model.logit_scale.clamp(max=4.6052).exp()
        loss: Tensor = self.loss(images, texts, scale)
        loss = loss + self._against_hard_negatives(batch, images, texts, scale)
        right = (images @ texts.T).argmax(dim=1) == torch.arange(len(texts), device=texts.device)
        self.meter(loss=loss, recall_at_1=right.float().mean(), scale=scale)
        return loss

    def _against_hard_negatives(self, batch: PictureBatch, images: Tensor, texts: Tensor, scale: Tensor) -> Tensor:
        """A loss between each caption and its hard negative; captions without a hard negative are left out. Two captions of a
        batch seldom differ in a single thing, so without this loss the model never learns left from right."""
        rows = [i for i, caption in enumerate(batch.hard_negatives) if caption]
        count = per_rank(torch.tensor(len(rows), device=images.device))
        if not rows:
            return images.new_zeros(())
        others = self.net.text_features([batch.hard_negatives[i] for i in rows])
        own, false = (images[rows] * texts[rows]).sum(dim=1), (images[rows] * others).sum(dim=1)
        each = F.softplus(scale * (false - own))
        return each.mean() if ranks() == 1 else each.sum() / count
