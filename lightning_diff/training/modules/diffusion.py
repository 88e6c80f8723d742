"""Training of the denoising net on cached latents and caption features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ...config.schema import Objective, Training
from ...diffusion import noise
from ...diffusion.objective import loss_weight, times, training_noise, uniforms
from ...diffusion.path import Path
from ...nets.layers import sinusoid, zero_
from ...nets.unet import Condition
from ..graphs import Recorded, RecordedNet, small
from ..schedule import decay_start
from ..sharding import average_gradients, gathered
from ..synced import ranks
from .base import BaseModule

TIMES = 8  # of the loss on held-out samples
HELD_OUT_SEED = 2**31 - 1  # of its noise


class Uncertainty(nn.Module):
    """A learned function u(t). The loss becomes loss / exp(u) + u, so every time has the same weight, whatever the size
    of its error (Karras et al. 2024, "EDM2", eq. 21). u starts as 0 and is not part of the net."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.width = width
        self.linear = zero_(nn.Linear(width, 1))

    def forward(self, t: Tensor) -> Tensor:
        """t [B] -> [B]."""
        return self.linear(sinusoid(10 * t, self.width))[:, 0]


class DiffusionModule(BaseModule):
    """Trains the denoising net. For each sample, the noise, the time, the posterior's sample and the caption dropout are
    functions of the sample's position.

    `null` is the condition that means "no caption". It replaces a dropped caption, and sampling uses it for the
    unconditional branch. A net that has learned its own null condition uses that one instead.
    """

    net: Any  # a Net

    def __init__(self, net: nn.Module, training: Training, seed: int, objective: Objective, null: Condition) -> None:
        super().__init__(net, training, seed)
        self.objective, self.null = objective, null
        self.path = Path(objective.schedule, objective.prediction, objective.data_std)
        self.uncertainty = Uncertainty() if objective.uncertainty else None
        self.noised: Callable[..., Any] = self.noised_latents
        self.recorded_net: RecordedNet | None = None

    def record(self) -> None:
        super().record()
        self.noised = Recorded(self.noised_latents)
        plain = not self.training_config.compile and not self.training_config.checkpointing
        if plain and getattr(self.net, "recordable", False) and small(self.net.parameters()):
            self.recorded_net = RecordedNet(self.net)

    def no_caption(self) -> Condition:
        """The null condition, with one row: the learned one if the net has it, else `null`."""
        if (learned := getattr(self.net, "null", None)) is not None:
            tokens = gathered(learned.tokens)
            mask = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
            return Condition(tokens, mask, gathered(learned.pooled))
        if self.null.tokens.device != self.device:
            self.null = self.null.to(self.device)  # once: a copy in each step would wait for the host
        return self.null

    def configure_model(self) -> None:
        super().configure_model()
        if self.uncertainty is not None and ranks() > 1 and self.training_config.strategy == "fsdp":
            average_gradients(self.uncertainty)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.loss_of(batch)

    def loss_of(self, batch: dict[str, Tensor]) -> Tensor:
        """The loss of a batch of features. The meters get its parts."""
        rows = batch["positions"]
        x, t, target, weight, keep = self.noised(batch["mean"], batch["std"], rows)
        given = Condition(batch["tokens"].float(), batch["mask"], batch["pooled"].float())
        null = self.no_caption()
        condition = given.where(keep, null.expand(len(rows)))
        output = (self.recorded_net or self.run_net)(x, t, condition)
        each = ((output - target).square() * weight).mean(dim=(1, 2, 3))
        dropped = ~keep
        self.meter(
            loss=each.mean(),
            loss_conditional=(each * keep).sum() / keep.sum().clamp(min=1),
            loss_unconditional=torch.where(
                dropped.any(), (each * dropped).sum() / dropped.sum().clamp(min=1), torch.nan
            ),
        )
        if self.uncertainty is not None:
            log_variance = self.uncertainty(t)
            each = each * (-log_variance).exp() + log_variance
        if null.tokens.requires_grad:  # several ranks wait for both gradients, and a net may read one of the two alone
            return each.mean() + 0.0 * (null.tokens.sum() + null.pooled.sum())
        return each.mean()

    @torch.no_grad()
    def noised_latents(
        self, mean: Tensor, std: Tensor, rows: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | float, Tensor]:
        """What the positions `rows` make of their latents: (the net's input [B, C, H, W], the times [B], the net's target, the
        weight of its squared error, whether the caption is kept [B])."""
        o, shape = self.objective, tuple(mean.shape[1:])
        x_0 = mean.float() + std.float() * noise.normal(rows, shape, self.seed, noise.POSTERIOR)
        eps = training_noise(rows, shape, self.seed, o.offset_noise)
        u = uniforms(rows, self.seed, self.training_config.batch, o.stratified)
        m = self.path.at(times(self.path, o.times, u, o.times_mean, o.times_std, self.shift_of(rows)))
        keep = noise.uniform(rows, self.seed, noise.DROPOUT) >= o.caption_dropout
        x = self.path.scaled(self.path.noised(x_0, eps, m), m)
        return x, m.t, self.path.target(x_0, eps, m), loss_weight(self.path, m, o.weight, o.weight_value), keep

    def shift_of(self, rows: Tensor) -> float | Tensor:
        """The shift of the times at the positions `rows`: of each of them, float64 [B], if it changes in the training."""
        o, t = self.objective, self.training_config
        if o.shift_end is None:
            return o.shift
        start = decay_start(t)
        fallen = (rows.div(t.batch, rounding_mode="floor") - start).double() / max(1, t.steps - start)
        return o.shift * (o.shift_end / o.shift) ** fallen.clamp(0, 1)

    @torch.no_grad()
    def held_out_losses(self, batch: dict[str, Tensor], net: Any) -> Tensor:
        """The weighted losses [B] of held-out samples: the mean over TIMES equidistant times. Times and noise are the same at
        every call, and no caption is dropped, so that only the net changes the number."""
        rows, o = batch["positions"], self.objective
        x_0 = batch["mean"].float()
        condition = Condition(batch["tokens"].float(), batch["mask"], batch["pooled"].float())
        total = torch.zeros(len(rows), device=rows.device)
        for k in range(TIMES):
            eps = noise.normal(rows, tuple(x_0.shape[1:]), HELD_OUT_SEED, noise.START + k)
            m = self.path.at(torch.full((len(rows),), (k + 0.5) / TIMES, device=rows.device))
            x_t = self.path.noised(x_0, eps, m)
            square = (net(self.path.scaled(x_t, m), m.t, condition) - self.path.target(x_0, eps, m)).square()
            total += (square * loss_weight(self.path, m, o.weight, o.weight_value)).mean(dim=(1, 2, 3))
        return total / TIMES
