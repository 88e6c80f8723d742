"""The other side of adversarial training: a discriminator with its own optimizer, in step with the trainer's.

It is kept out of the LightningModule's parameters and optimizers: Lightning counts a step for every optimizer, and where
a run goes on is one integer (law 1). Its gradients are averaged over the ranks here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..nets.discriminator import PatchDiscriminator, hinge_loss


class Adversary:
    """`weight` is what the adversarial loss counts beside the reconstruction, after both have been brought to gradients
    of equal size at the decoder's last layer (Esser et al. 2021, eq. 7)."""

    def __init__(self, weight: float, learning_rate: float, begin: int) -> None:
        self.weight, self.begin = weight, begin
        self.net = PatchDiscriminator()
        self.optimizer = torch.optim.AdamW(self.net.parameters(), learning_rate, betas=(0.5, 0.9), weight_decay=0.0)

    def update(self, real: Tensor, made: Tensor) -> Tensor:
        """One step on real and rebuilt pictures. Returns the discriminator's loss, detached."""
        self.net.to(real.device).requires_grad_(True)
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
        """(the weighted loss that pulls `made` towards what the discriminator takes for real, its weight)."""
        fooled = -self.net(made).mean()
        a, b = (torch.autograd.grad(x, last, retain_graph=True)[0].float().norm() for x in (reconstruction, fooled))
        weight = self.weight * (a / (b + 1e-4)).clamp(0, 1e4).detach()
        return weight * fooled, weight

    def state(self) -> dict[str, Any]:
        return {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
