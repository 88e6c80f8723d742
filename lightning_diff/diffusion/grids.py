"""The times at which a sampler evaluates the network, from t = 1 (noise) to t = 0 (picture)."""

from __future__ import annotations

import torch

from .objective import shifted
from .path import Path
from .records import NoiseLevel
from .schedules import LAST_RATIO, STEPS

GRIDS = ("uniform", "shifted", "karras", "exponential", "leading", "leading_1", "linspace")


def time_grid(path: Path, steps: int, kind: str = "uniform", shift: float = 3.0, rho: float = 7.0) -> list[NoiseLevel]:
    """steps + 1 noise levels; the last one is the picture.

    `uniform` is uniform in t; on the schedules of 1,000 steps this is the "trailing" spacing of Lin et al. 2023, on EDM's path it
    is the grid of Karras et al. 2022, which ends at sigma = 0.002 and then jumps to 0. `shifted` has more steps near the noise:
    it multiplies sigma / alpha by `shift` (Esser et al. 2024, eq. 23), so it needs alpha(1) = 0. `karras` (Karras et al. 2022,
    eq. 5) and `exponential` space the ratio sigma / alpha from its value at t = 1 to 0.002 on EDM's path, or to its value at
    t = 1/1000 on the other paths, and then it jumps to 0. These two need alpha(1) > 0.

    The last three are those of other projects' pipelines on the schedules of 1,000 steps: `leading` counts down in whole steps to
    step 0 (`leading_1`: to step 1, as Stable Diffusion 1.x and XL do), so it begins below t = 1; `linspace` spreads whole steps
    from 999 to 0.
    """
    t = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    if kind == "uniform" and path.schedule in LAST_RATIO:
        end = path.time_of(torch.tensor(path.last_ratio))
        t = torch.cat([torch.linspace(1, float(end), steps, dtype=torch.float64), t[-1:]])
    elif kind == "shifted":
        t = shifted(path, t, shift)
    elif kind in ("karras", "exponential"):
        high, low = path.at(1.0).ratio, path.last_ratio
        place = torch.linspace(0, 1, steps, dtype=torch.float64)
        if kind == "karras":
            ratio = (high ** (1 / rho) + place * (low ** (1 / rho) - high ** (1 / rho))) ** rho
        else:
            ratio = high * (low / high) ** place
        t = torch.cat([path.time_of(ratio), t[-1:]])
        t[0] = 1.0
    elif kind in ("leading", "leading_1"):
        last = 1 if kind == "leading_1" else 0
        whole = torch.arange(steps - 1, -1, -1, dtype=torch.float64) * (STEPS // steps) + last
        t = torch.cat([(whole + 1) / STEPS, t[-1:]])
    elif kind == "linspace":
        whole = torch.linspace(0, STEPS - 1, steps, dtype=torch.float64).round().flip(0)
        t = torch.cat([(whole + 1) / STEPS, t[-1:]])
    return [path.at(float(x)) for x in t]
