"""Post-hoc EMA (Karras et al. 2024, "EDM2", section 3): any length of averaging, chosen after training.

Two averages with power-function profiles p(t) ~ t^gamma are kept and written down now and then. Afterwards the average
of any other length, at any of the steps, is a linear combination of what was written: the one whose profile is nearest.
A length is the profile's standard deviation as a share of the training so far: 0.05 is short, 0.2 long.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ..models.averages import FOLDER, LENGTHS, gamma_of
from ..nets.weights import save_weights


class PowerEma:
    """The two averages; after step t (from 1) each forgets (1 - 1/t)^(gamma + 1) (EDM2, eq. 127)."""

    def __init__(self, net: nn.Module) -> None:
        self.live = {n: p for n, p in net.named_parameters() if p.requires_grad}
        self.gammas = [gamma_of(length) for length in LENGTHS]
        self.means: dict[str, list[Tensor]] = {}
        self.loaded: dict[str, Tensor] = {}

    @torch.no_grad()
    def update(self, step: int) -> None:
        if not self.means:
            for name in map(str, LENGTHS):
                self.means[name] = [
                    self.loaded.get(f"{name}/{n}", p).detach().clone().to(p) for n, p in self.live.items()
                ]
        live = [p.detach() for p in self.live.values()]
        for gamma, mean in zip(self.gammas, self.means.values(), strict=True):
            get_ema_multi_avg_fn((1 - 1 / step) ** (gamma + 1))(mean, live, step)

    def state(self) -> dict[str, Tensor]:
        if not self.means:
            return self.loaded
        return {f"{length}/{n}": m for length, mean in self.means.items() for n, m in zip(self.live, mean, strict=True)}

    def load(self, state: dict[str, Tensor]) -> None:
        self.loaded, self.means = state, {}


class Snapshots(pl.Callback):
    """Writes the averages every so many steps and at the end, as float16: checkpoints/ema/STEP.safetensors."""

    def __init__(self, folder: Path, every: int) -> None:
        self.folder, self.every = folder, every

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        step = trainer.global_step
        if trainer.is_global_zero and (step % self.every == 0 or step == trainer.max_steps):
            state = module.posthoc.state()  # type: ignore[operator, union-attr]
            save_weights(self.folder / FOLDER / f"{step:08d}.safetensors", state, {"step": step}, half=True)
