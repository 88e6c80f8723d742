"""Training of the denoising net on cached latents and caption features."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...config import Objective, Training
from ...diffusion import noise
from ...diffusion.path import Path, times
from ...nets.unet import Condition, UNet
from .base import Trained


class DiffusionModule(Trained):
    """The noise, the time, the posterior's sample and the caption's dropout of a sample are functions of its position.

    `null` is the condition of the empty caption: what takes the place of a dropped one, and of the unconditional
    branch when sampling.
    """

    net: UNet

    def __init__(self, net: UNet, training: Training, seed: int, objective: Objective, null: Condition) -> None:
        super().__init__(net, training, seed)
        self.objective, self.null = objective, null
        self.path = Path(objective.schedule, objective.prediction)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        rows = batch["positions"]
        shape = tuple(batch["mean"].shape[1:])
        x_0 = batch["mean"].float() + batch["std"].float() * noise.normal(rows, shape, self.seed, noise.POSTERIOR)
        eps = noise.normal(rows, shape, self.seed, noise.NOISE)
        t = times(self.objective.times, noise.uniform(rows, self.seed, noise.TIME))
        keep = noise.uniform(rows, self.seed, noise.DROPOUT) >= self.objective.caption_dropout
        given = Condition(batch["tokens"].float(), batch["mask"], batch["pooled"].float())
        condition = given.where(keep, self.null.to(self.device).expand(len(rows)))
        output = self.run_net(self.path.noised(x_0, eps, t), t, condition)
        each = F.mse_loss(output, self.path.target(x_0, eps, t), reduction="none").mean(dim=(1, 2, 3))
        loss = each.mean()
        dropped = ~keep
        self.meter(
            loss=loss,
            loss_conditional=(each * keep).sum() / keep.sum().clamp(min=1),
            loss_unconditional=torch.where(
                dropped.any(), (each * dropped).sum() / dropped.sum().clamp(min=1), torch.nan
            ),
        )
        return loss
