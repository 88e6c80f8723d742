"""The one interface of samplers and guidance: x_t and t to a Prediction (laws 2 and 3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from .path import Path, Prediction

Denoiser = Callable[[Tensor, Tensor], Prediction]
Network = Callable[[Tensor, Tensor, Any], Tensor]


class Condition(Protocol):
    """What a caption is to the mathematics: something of which two batches can be laid end to end."""

    @staticmethod
    def cat(a: Any, b: Any) -> Any: ...


def conditional(network: Network, path: Path, condition: Any) -> Denoiser:
    """The denoiser of one condition."""

    def denoise(x_t: Tensor, t: Tensor) -> Prediction:
        return path.read(network(x_t, t, condition), x_t, t)

    return denoise


def guided(network: Network, path: Path, cond: Any, uncond: Any, w: float) -> Denoiser:
    """Classifier-free guidance (Ho & Salimans 2022): uncond + w (cond - uncond), both asked in one batch.

    w = 1 is no guidance and asks only `cond`, w = 0 asks only `uncond`. Their paper's w is ours minus 1.
    """
    if w == 1:
        return conditional(network, path, cond)
    if w == 0:
        return conditional(network, path, uncond)
    both = type(cond).cat(cond, uncond)

    def denoise(x_t: Tensor, t: Tensor) -> Prediction:
        c, u = network(torch.cat([x_t, x_t]), torch.cat([t, t]), both).chunk(2)
        return path.read(u + w * (c - u), x_t, t)

    return denoise
