"""The discriminator of adversarial training, with its own optimizer. It makes one step in each step of the trainer.

The LightningModule does not know its parameters and its optimizer: Lightning counts one step per optimizer, but one integer
must say where a run continues (law 1). So this file averages the discriminator's gradients over the ranks.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..nets.discriminator import PatchDiscriminator, hinge_loss


class Adversary:
    """A discriminator and its optimizer. `weight` is the weight of the adversarial loss relative to the reconstruction
    loss, after both are scaled to gradients of equal size at the decoder's last layer (Esser et al. 2021, eq. 7)."""

    def __init__(self, weight: float, learning_rate: float, begin: int) -> None:
        self.weight, self.begin = weight, begin
        self.net = PatchDiscriminator()
        self.optimizer = torch.optim.AdamW(self.net.parameters(), learning_rate, betas=(0.5, 0.9), weight_decay=0.0)

    def update(self, real: Tensor, made: Tensor) -> Tensor:
        """Train the discriminator for one step on real and rebuilt pictures. Returns its loss, detached."""
        if next(self.net.parameters()).device != real.device:
            self.net.to(real.device)
            self.optimizer.load_state_dict(self.optimizer.state_dict())  # a checkpoint's moments follow their weights
        self.net.requires_grad_(True)
        loss = hinge_loss(self.net(real), self.net(made.detach()))
        self.optimizer.zero_grad()
        loss.backward()
        if torch.distributed.is_initialized():
            for p in self.net.parameters():
                assert p.grad is not None
                torch.distributed.all_reduce(p.grad)
                p.grad /= torch.distributed.get_world_size()
        self.optimizer.step()
        self.net.requires_grad_(False)
        return loss.detach()

    def loss(self, reconstruction: Tensor, made: Tensor, last: nn.Parameter) -> tuple[Tensor, Tensor]:
        """(the weighted adversarial loss, its weight). The loss is small if the discriminator takes `made` for real."""
        fooled = -self.net(made).mean()
        a, b = (torch.autograd.grad(x, last, retain_graph=True)[0].float().norm() for x in (reconstruction, fooled))
        weight = self.weight * (a / (b + 1e-4)).clamp(0, 1e4).detach()
        return weight * fooled, weight

    def state(self) -> dict[str, Any]:
        return {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
