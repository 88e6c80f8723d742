"""Two records that all of diffusion/ uses: NoiseLevel and Prediction. This file does not import torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class NoiseLevel(NamedTuple):
    """A time t with its alpha and sigma. In sampling these are three numbers, because the whole batch has the same t. In
    training they are tensors: t [B], alpha and sigma [B, 1, 1, 1]."""

    t: Any
    alpha: Any
    sigma: Any

    @property
    def ratio(self) -> Any:
        """sigma / alpha, which is sigma in Karras et al. 2022. The limits of guidance are given in it (law 3)."""
        if isinstance(self.alpha, float):
            return self.sigma / self.alpha if self.alpha > 0 else float("inf")
        return self.sigma / self.alpha


@dataclass
class Prediction:
    """A denoiser's output: x_0 and eps, both [B, C, H, W], with x_t = alpha x_0 + sigma eps."""

    x_0: Tensor
    eps: Tensor
