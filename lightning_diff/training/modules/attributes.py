"""Training of the attribute classifier."""

from __future__ import annotations

from torch import Tensor

from ...config.schema import Training
from ...data.dataset import PictureBatch
from ...data.decode import to_unit
from ...nets.attributes import AttributeClassifier, attribute_loss
from ..synced import per_rank, synchronise
from .base import BaseModule


class AttributesModule(BaseModule):
    """Trains the attribute classifier with `attribute_loss`. With several ranks, its batch norms and its loss are those of the
    global batch."""

    net: AttributeClassifier

    def __init__(self, net: AttributeClassifier, training: Training, seed: int) -> None:
        super().__init__(net, training, seed)
        synchronise(net)

    def training_step(self, batch: PictureBatch, batch_idx: int) -> Tensor:
        loss = attribute_loss(self.net(to_unit(batch.images)), batch.labels, per_rank)
        self.meter(loss=loss)
        return loss
