"""The training objective: densities of the times, weights of the loss, and the noise."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from . import noise
from .path import Path
from .records import NoiseLevel

# Weights of the squared error of x_0: functions of the signal-to-noise ratio alpha^2 / sigma^2 and of one parameter.
WEIGHTS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "min_snr": lambda snr, gamma: snr.clamp(max=gamma),  # Hang et al. 2023
    "soft_min_snr": lambda snr, gamma: snr * gamma / (snr + gamma),  # Crowson et al. 2024, eq. 4
    "edm": lambda snr, data_std: snr + data_std**-2,  # Karras et al. 2022, table 1
    "snr_power": lambda snr, power: snr**power,  # 0 is uniform in x_0, 1 uniform in eps
}
WEIGHT_VALUES = {"min_snr": 5.0, "soft_min_snr": 5.0, "snr_power": 0.5}
TIME_VALUES = {"logit_normal": (0.0, 1.0), "lognormal": (-1.2, 1.2)}  # Esser et al. 2024; Karras et al. 2022


def loss_weight(path: Path, m: NoiseLevel, name: str, value: float | None = None) -> Tensor | float:
    """The weight of the squared error of the network's output, [B, 1, 1, 1]. `uniform` is 1.

    At a given x_t, the output's error is the error of x_0 times determinant / sigma (up to the sign), in every
    parameterisation.
    """
    if name == "uniform":
        return 1.0
    if value is None:
        value = WEIGHT_VALUES.get(name, path.data_std)
    alpha, sigma = m.alpha.double(), m.sigma.double()
    of_x_0 = WEIGHTS[name]((alpha / sigma).square(), value)
    det = path.determinant(NoiseLevel(m.t, alpha, sigma))
    return (of_x_0 * (sigma / det).square()).to(m.alpha.dtype)


def shifted(path: Path, t: Tensor, shift: float | Tensor) -> Tensor:
    """Times t (float64, any shape) with more noise, for larger pictures: sigma / alpha is multiplied by `shift` (Esser et al.
    2024, eq. 23). The path must end in pure noise: on other paths the new ratio can lie beyond the last one."""
    if path.schedule == "flow":
        return shift * t / (1 + (shift - 1) * t)
    if not path.ends_in_noise:
        raise ValueError(f"shift={shift} on the {path.schedule} path, which does not end in pure noise")
    return torch.where((t > 0) & (t < 1), path.time_of(shift * path.ratio(t)), t)


def times(
    path: Path,
    density: str,
    u: Tensor,
    mean: float | None = None,
    std: float | None = None,
    shift: float | Tensor = 1.0,
) -> Tensor:
    """Map uniform numbers u [B] in (0, 1) to times [B], float32, of the density `density`.

    `uniform` is uniform in t. `logit_normal` is from Esser et al. 2024, 3.1. `lognormal` is a log-normal density of
    sigma / alpha (Karras et al. 2022, table 1). `cosine` is sigma / alpha = tan(pi u / 2); on the flow path this is the CosMap
    of Esser et al. 2024.
    """
    u = u.double()
    default = TIME_VALUES.get(density, (0.0, 1.0))
    mean, std = (d if v is None else v for v, d in zip((mean, std), default, strict=True))
    if density == "uniform":
        t = u
    elif density == "logit_normal":
        t = torch.sigmoid(mean + std * torch.special.ndtri(u))
    elif density == "lognormal":
        t = path.time_of((mean + std * torch.special.ndtri(u)).exp())
    else:
        t = path.time_of((0.5 * math.pi * u).tan())
    if isinstance(shift, Tensor) or shift != 1:
        t = shifted(path, t, shift)
    return t.float().clamp(1e-6, 1.0)


def uniforms(rows: Tensor, seed: int, batch: int, stratified: bool) -> Tensor:
    """The uniform numbers that become times, one for each position in `rows`. If `stratified`, a global batch draws one u and
    spreads it evenly: u_i = u + i / batch modulo 1 (Kingma et al. 2021, I.1). This is still a function of the position.
    """
    if not stratified:
        return noise.uniform(rows, seed, noise.TIME)
    step, place = rows.div(batch, rounding_mode="floor"), rows % batch
    u = noise.uniform(step, seed, noise.TIME).double() + place.double() / batch
    return (u % 1.0).clamp(1e-9, 1 - 1e-9)


def training_noise(rows: Tensor, shape: tuple[int, ...], seed: int, offset: float) -> Tensor:
    """eps [B, C, H, W]. `offset` > 0 also adds one random number to all pixels of a channel (offset noise, Guttenberg 2023)."""
    eps = noise.normal(rows, shape, seed, noise.NOISE)
    if offset:
        eps = eps + offset * noise.normal(rows, (shape[0], 1, 1), seed, noise.OFFSET)
    return eps
