"""What a training step asks for and how much each answer counts: densities of times, weights of losses."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from . import noise
from .path import Path
from .records import Moment

# Weights of the squared error of x_0, as functions of the signal-to-noise ratio alpha^2 / sigma^2 and of one value.
WEIGHTS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "min_snr": lambda snr, gamma: snr.clamp(max=gamma),  # Hang et al. 2023
    "soft_min_snr": lambda snr, gamma: snr * gamma / (snr + gamma),  # Crowson et al. 2024, eq. 4
    "edm": lambda snr, data_std: snr + data_std**-2,  # Karras et al. 2022, table 1
    "snr_power": lambda snr, power: snr**power,  # 0 is uniform in x_0, 1 uniform in eps
}
WEIGHT_VALUES = {"min_snr": 5.0, "soft_min_snr": 5.0, "snr_power": 0.5}
TIME_VALUES = {"logit_normal": (0.0, 1.0), "lognormal": (-1.2, 1.2)}  # Esser et al. 2024; Karras et al. 2022


def loss_weight(path: Path, m: Moment, name: str, value: float | None = None) -> Tensor | float:
    """[B, 1, 1, 1]: what the squared error of the network's output is multiplied with. `uniform` is 1.

    At a given x_t the output's error is the x_0's times determinant / sigma, whatever the parameterisation.
    """
    if name == "uniform":
        return 1.0
    if value is None:
        value = WEIGHT_VALUES.get(name, path.data_std)
    alpha, sigma = m.alpha.double(), m.sigma.double()
    of_x_0 = WEIGHTS[name]((alpha / sigma).square(), value)
    det = path.determinant(Moment(m.t, alpha, sigma))
    return (of_x_0 * (sigma / det).square()).to(m.alpha.dtype)


def shifted(t: Tensor, shift: float) -> Tensor:
    """More noise for more pixels: sigma / alpha of the flow path times `shift` (Esser et al. 2024, eq. 23)."""
    return shift * t / (1 + (shift - 1) * t)


def times(
    path: Path, density: str, u: Tensor, mean: float | None = None, std: float | None = None, shift: float = 1.0
) -> Tensor:
    """Uniform numbers u [B] in (0, 1) to times [B], float32.

    `uniform`; `logit_normal` (Esser et al. 2024, 3.1); `lognormal`, of sigma / alpha (Karras et al. 2022, table 1);
    `cosine`, sigma / alpha = tan(pi u / 2), which on the flow path is the CosMap of Esser et al. 2024.
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
    if shift != 1:
        t = shifted(t, shift)
    return t.float().clamp(1e-6, 1.0)


def uniforms(rows: Tensor, seed: int, batch: int, stratified: bool) -> Tensor:
    """The uniform numbers that become times, one for each position. Stratified, a global batch shares one of them and
    spreads it evenly: u_i = u + i / batch modulo 1 (Kingma et al. 2021, I.1), a function of the position all the same.
    """
    if not stratified:
        return noise.uniform(rows, seed, noise.TIME)
    step, place = rows.div(batch, rounding_mode="floor"), rows % batch
    u = noise.uniform(step, seed, noise.TIME).double() + place.double() / batch
    return (u % 1.0).clamp(1e-9, 1 - 1e-9)


def training_noise(rows: Tensor, shape: tuple[int, ...], seed: int, offset: float) -> Tensor:
    """eps [B, C, H, W]; with `offset` each channel is moved as a whole too (offset noise, Guttenberg 2023)."""
    eps = noise.normal(rows, shape, seed, noise.NOISE)
    if offset:
        eps = eps + offset * noise.normal(rows, (shape[0], 1, 1), seed, noise.OFFSET)
    return eps
