"""Reconstruction of post-hoc EMA (Karras et al. 2024, "EDM2", section 3): the average's length is chosen after training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from ..config.errors import ConfigError
from ..nets.weights import read_state

LENGTHS = (0.05, 0.10)
FOLDER = Path("checkpoints") / "ema"


def gamma_of(length: float) -> float:
    """The exponent gamma of the profile whose relative standard deviation is `length` (EDM2, eq. 126): the positive root of
    length^2 (gamma + 2)^2 (gamma + 3) = gamma + 1."""
    s = length**-2
    return float(np.roots([1, 7, 16 - s, 12 - s]).real.max())


def snapshot_steps(folder: Path) -> list[int]:
    """The steps at which a run saved its averages."""
    return sorted(int(p.stem) for p in (folder / FOLDER).glob("*.safetensors"))


def last_snapshot(folder: Path) -> int:
    """The last step at which a run saved its averages. Raises ConfigError if it saved none."""
    steps = snapshot_steps(folder)
    if not steps:
        raise ConfigError(f"{folder}: it wrote down no averages; train with training.ema_every=STEPS")
    return steps[-1]


def combination(steps: Sequence[int], length: float, step: int) -> np.ndarray:
    """The coefficients [len(steps), 2] of the saved averages in the average of `length` at `step`. They are the least-squares
    fit of the profiles (EDM2, appendix C.2); all integrals have closed forms."""
    ends = np.repeat(np.array(steps, float), len(LENGTHS)) / step
    gammas = np.tile([gamma_of(x) for x in LENGTHS], len(steps))

    def overlap(t: np.ndarray, g: np.ndarray, u: np.ndarray, h: np.ndarray) -> np.ndarray:
        """The integral of the product of two profiles: (g + 1) x^g / t^(g + 1) on [0, t], and the same with h on [0, u]."""
        low = np.minimum(t, u)
        return (g + 1) * (h + 1) / (g + h + 1) * (low / t) ** g * (low / u) ** h * low / (t * u)

    a = overlap(ends[:, None], gammas[:, None], ends[None], gammas[None])
    b = overlap(ends, gammas, np.array(1.0), np.array(gamma_of(length)))
    return np.linalg.solve(a, b).reshape(len(steps), len(LENGTHS))


def reconstruct(folder: Path, length: float, step: int) -> dict[str, Tensor]:
    """The parameters, averaged with that length up to `step`. Raises ConfigError if no averages of that step were saved."""
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
