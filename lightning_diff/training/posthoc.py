"""Post-hoc EMA (Karras et al. 2024, "EDM2", section 3): any length of averaging, chosen after training.

Two averages with power-function profiles p(t) ~ t^gamma are kept and written down now and then. Afterwards the average
of any other length, at any of the steps, is a linear combination of what was written: the one whose profile is nearest.
A length is the profile's standard deviation as a share of the training so far: 0.05 is short, 0.2 long.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ..config import ConfigError
from ..nets.weights import read_state, save_weights

LENGTHS = (0.05, 0.10)
FOLDER = Path("checkpoints") / "ema"


def gamma_of(length: float) -> float:
    """The exponent of the profile of that relative standard deviation (EDM2, eq. 126): the positive root of
    length^2 (gamma + 2)^2 (gamma + 3) = gamma + 1."""
    s = length**-2
    return float(np.roots([1, 7, 16 - s, 12 - s]).real.max())


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


def snapshot_steps(folder: Path) -> list[int]:
    """The steps at which a run's averages were written down."""
    return sorted(int(p.stem) for p in (folder / FOLDER).glob("*.safetensors"))


def last_snapshot(folder: Path) -> int:
    """Raises ConfigError if nothing was written down."""
    steps = snapshot_steps(folder)
    if not steps:
        raise ConfigError(f"{folder}: it wrote down no averages; train with training.ema_every=STEPS")
    return steps[-1]


def combination(steps: Sequence[int], length: float, step: int) -> np.ndarray:
    """[len(steps), 2]: how much of each average written at those steps makes the one of `length` at `step`: least
    squares between profiles (EDM2, appendix C.2), of which all the integrals are closed forms."""
    ends = np.repeat(np.array(steps, float), len(LENGTHS)) / step
    gammas = np.tile([gamma_of(x) for x in LENGTHS], len(steps))

    def overlap(t: np.ndarray, g: np.ndarray, u: np.ndarray, h: np.ndarray) -> np.ndarray:
        """Integral of the product of (g + 1) x^g / t^(g + 1) on [0, t] and the like of h on [0, u]."""
        low = np.minimum(t, u)
        return (g + 1) * (h + 1) / (g + h + 1) * (low / t) ** g * (low / u) ** h * low / (t * u)

    a = overlap(ends[:, None], gammas[:, None], ends[None], gammas[None])
    b = overlap(ends, gammas, np.array(1.0), np.array(gamma_of(length)))
    return np.linalg.solve(a, b).reshape(len(steps), len(LENGTHS))


def reconstruct(folder: Path, length: float, step: int) -> dict[str, Tensor]:
    """The parameters averaged with that length up to `step`. Raises ConfigError."""
    last_snapshot(folder)
    steps = snapshot_steps(folder)
    if step not in steps:
        raise ConfigError(f"{folder}: no averages of step {step}; there are {', '.join(map(str, steps))}")
    steps = [s for s in steps if s <= step]
    total: dict[str, Tensor] = {}
    for s, shares in zip(steps, combination(steps, length, step), strict=True):
        state = read_state(folder / FOLDER / f"{s:08d}.safetensors")
        for share, base in zip(shares, LENGTHS, strict=True):
            for name in [n.removeprefix(f"{base}/") for n in state if n.startswith(f"{base}/")]:
                term = state[f"{base}/{name}"].double() * float(share)
                total[name] = total[name] + term if name in total else term
    return {name: t.float() for name, t in total.items()}
