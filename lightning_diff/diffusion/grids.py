"""At which times a sampler looks: from t = 1 (noise) to t = 0 (picture)."""

from __future__ import annotations

import torch

from .objective import shifted
from .path import Path
from .records import Moment
from .schedules import STEPS

GRIDS = ("uniform", "shifted", "karras", "exponential")


def time_grid(path: Path, steps: int, kind: str = "uniform", shift: float = 3.0, rho: float = 7.0) -> list[Moment]:
    """steps + 1 moments, of which the last is the picture.

    `uniform` in t: on the schedules of 1,000 steps the "trailing" spacing of Lin et al. 2023. `shifted` spends more
    steps near the noise (Esser et al. 2024, eq. 23). `karras` (Karras et al. 2022, eq. 5) and `exponential` space
    sigma / alpha from that of t = 1 to that of t = 1/1000, and then jump to 0; they need alpha(1) > 0.
    """
    t = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    if kind == "shifted":
        t = shifted(t, shift)
    elif kind in ("karras", "exponential"):
        high, low = path.at(1.0).ratio, path.at(1 / STEPS).ratio
        place = torch.linspace(0, 1, steps, dtype=torch.float64)
        if kind == "karras":
            ratio = (high ** (1 / rho) + place * (low ** (1 / rho) - high ** (1 / rho))) ** rho
        else:
            ratio = high * (low / high) ** place
        t = torch.cat([path.time_of(ratio), t[-1:]])
        t[0] = 1.0
    return [path.at(float(x)) for x in t]
