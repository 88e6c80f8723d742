"""The records that the mathematics is written in. They need no torch to be known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class Moment(NamedTuple):
    """A time with its alpha and sigma: three numbers when a whole batch is there at once (sampling), or t [B] with
    alpha and sigma [B, 1, 1, 1] (training)."""

    t: Any
    alpha: Any
    sigma: Any

    @property
    def ratio(self) -> Any:
        """sigma / alpha, the noise level of Karras et al. 2022, in which guidance limits are given (law 3)."""
        if isinstance(self.alpha, float):
            return self.sigma / self.alpha if self.alpha > 0 else float("inf")
        return self.sigma / self.alpha


@dataclass
class Prediction:
    """What a denoiser says: x_0 and eps, with x_t = alpha x_0 + sigma eps. Both [B, C, H, W]."""

    x_0: Tensor
    eps: Tensor
