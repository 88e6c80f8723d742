"""The probability path x_t = alpha(t) x_0 + sigma(t) eps, and conversions between its parameterisations (law 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .records import NoiseLevel, Prediction
from .schedules import ENDS_IN_NOISE, LAST_RATIO, SCHEDULES, STEPS, time_of


@dataclass(frozen=True)
class Path:
    """A schedule and a parameterisation. `data_std` is the standard deviation of x_0 that `edm` assumes.

    The parameterisation says what the network predicts. Its target has the form a x_0 + b eps: `eps`, `x0`,
    `v` = alpha eps - sigma x_0 (Salimans & Ho 2022), `flow` = eps - x_0, or `edm`, the network F of Karras et al. 2022 (eq. 7).
    For `edm` the network's input is scaled to unit variance; on a variance-preserving schedule with data_std = 1 it equals -v.
    """

    schedule: str = "flow"
    prediction: str = "flow"
    data_std: float = 1.0

    def at(self, t: float | Tensor) -> NoiseLevel:
        """The noise level at one time t, or at each of t [B]."""
        if isinstance(t, Tensor):
            alpha, sigma = SCHEDULES[self.schedule](t.double())
            return NoiseLevel(t, alpha.to(t.dtype)[:, None, None, None], sigma.to(t.dtype)[:, None, None, None])
        alpha, sigma = SCHEDULES[self.schedule](torch.tensor(float(t), dtype=torch.float64))
        return NoiseLevel(float(t), float(alpha), float(sigma))

    def ratio(self, t: Tensor) -> Tensor:
        """sigma / alpha at each of t, float64, any shape."""
        alpha, sigma = SCHEDULES[self.schedule](t.double())
        return sigma / alpha

    def time_of(self, ratio: Tensor) -> Tensor:
        """The t at which sigma / alpha is `ratio`, float64."""
        return time_of(self.schedule, ratio.double())

    def at_ratio(self, ratio: float) -> NoiseLevel:
        """The noise level at which sigma / alpha is `ratio`."""
        return self.at(float(self.time_of(torch.tensor(ratio))))

    @property
    def last_ratio(self) -> float:
        """The smallest sigma / alpha at which a sampler evaluates the network on a grid in sigma / alpha."""
        return LAST_RATIO.get(self.schedule) or float(self.at(1 / STEPS).ratio)

    @property
    def ends_in_noise(self) -> bool:
        """Whether alpha(1) = 0."""
        return self.schedule in ENDS_IN_NOISE

    def coefficients(self, m: NoiseLevel, prediction: str | None = None) -> tuple[Any, Any]:
        """(a, b) such that the network's target is a x_0 + b eps."""
        name = prediction or self.prediction
        if name == "v":
            return -m.sigma, m.alpha
        if name == "edm":
            norm, s = self._norm(m), self.data_std
            return m.sigma / (norm * s), -m.alpha * s / norm
        return {"eps": (0.0, 1.0), "x0": (1.0, 0.0), "flow": (-1.0, 1.0)}[name]

    def _norm(self, m: NoiseLevel) -> Any:
        """The standard deviation of x_t."""
        return ((m.alpha * self.data_std) ** 2 + m.sigma**2) ** 0.5

    def noised(self, x_0: Tensor, eps: Tensor, m: NoiseLevel) -> Tensor:
        return m.alpha * x_0 + m.sigma * eps  # type: ignore[no-any-return]

    def scaled(self, x_t: Tensor, m: NoiseLevel) -> Tensor:
        """The network's input: x_t, which `edm` scales to unit variance."""
        return x_t / self._norm(m) if self.prediction == "edm" else x_t

    def target(self, x_0: Tensor, eps: Tensor, m: NoiseLevel) -> Tensor:
        """The target of the network's output."""
        a, b = self.coefficients(m)
        return a * x_0 + b * eps  # type: ignore[no-any-return]

    def determinant(self, m: NoiseLevel, prediction: str | None = None) -> Any:
        """The determinant of the two equations x_t = alpha x_0 + sigma eps and output = a x_0 + b eps. At a given x_t, an error e
        in x_0 is an error of -determinant / sigma e in the output."""
        a, b = self.coefficients(m, prediction)
        return m.alpha * b - m.sigma * a

    def read(self, output: Tensor, x_t: Tensor, m: NoiseLevel, prediction: str | None = None) -> Prediction:
        """Solve the two equations for x_0 and eps.

        There is no solution for `eps` where alpha = 0 (the config refuses it), nor for `x0` where sigma = 0 (no sampler
        evaluates the network there).
        """
        a, b = self.coefficients(m, prediction)
        det = self.determinant(m, prediction)
        return Prediction((b * x_t - m.sigma * output) / det, (m.alpha * output - a * x_t) / det)

    def from_x_0(self, x_0: Tensor, x_t: Tensor, m: NoiseLevel) -> Prediction:
        """The prediction that has this x_0."""
        return Prediction(x_0, (x_t - m.alpha * x_0) / m.sigma)
