"""Post-hoc EMA (Karras et al. 2024, "EDM2", section 3): the length of the average is chosen after training.

Training keeps two averages with power-function profiles p(t) ~ t^gamma and saves them every `ema_every` steps. After
training, an average of any other length, at any saved step, is a linear combination of the saved averages: the one with the
nearest profile. A length is the profile's standard deviation as a share of the training so far: 0.05 is short, 0.2 is long.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ...models.averages import FOLDER, LENGTHS, gamma_of
from ...nets.weights import save_weights


class PowerEma:
    """The two averages. After step t (from 1) each one keeps the share (1 - 1/t)^(gamma + 1) of its old value (EDM2, eq.
    127)."""

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
    """Saves the averages every `every` steps and at the end, as float16: checkpoints/ema/STEP.safetensors."""

    def __init__(self, folder: Path, every: int) -> None:
        self.folder, self.every = folder, every

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        step = trainer.global_step
        if trainer.is_global_zero and (step % self.every == 0 or step == trainer.max_steps):
            state = module.posthoc.state()  # type: ignore[operator, union-attr]
            save_weights(self.folder / FOLDER / f"{step:08d}.safetensors", state, {"step": step}, half=True)
