"""Guidance: two answers to one question, and how far to go from the one through the other.

One convention (law 3): guided = uncond + w (cond - uncond); w = 1 is no guidance, w = 0 unconditional. All of it is
said of x_0, so that it does not depend on the network's parameterisation. The parts compose: a weight that may change
with the noise level, a rule that combines the two answers, corrections of the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import torch
from torch import Tensor

from .denoiser import Answers, Denoiser
from .path import Moment, Path, Prediction

Combine = Callable[[Prediction, Prediction, Tensor, Moment, float], Prediction]


class Branches(Protocol):
    """The two answers to each of some x_t [B, C, H, W]: of the network with the caption, and of the one to go away from
    (without the caption, or worse), as few evaluations as can be."""

    def answers(self, good: Sequence[Tensor], bad: Sequence[Tensor], m: Moment) -> Answers: ...


@dataclass(frozen=True)
class Guider:
    """How to guide. The fields are those of the config, where they are explained."""

    kind: str = "cfg"
    interval: tuple[float, float] = (0.0, math.inf)
    schedule: str = "constant"
    rescale: float = 0.0
    threshold: tuple[float, float] | None = None
    apg_eta: float = 0.0
    apg_norm: float = math.inf
    apg_momentum: float = 0.0
    zero_above: float = math.inf

    @property
    def name(self) -> str:
        """The rule and what is not as it comes, as cfg+interval0.3-5+rescale0.7: guiders that differ have other names."""
        words = [self.kind]
        for f in fields(self)[1:]:
            value = getattr(self, f.name)
            if value != f.default:
                numbers = value if isinstance(value, tuple) else (value,)
                words.append(value if isinstance(value, str) else f.name + "-".join(f"{v:g}" for v in numbers))
        return "+".join(words)

    def _inside(self, m: Moment) -> bool:
        low, high = self.interval
        return bool(low < m.ratio <= high)

    def weight(self, w: float, m: Moment) -> float:
        """w at this moment: 1 outside of interval = (low, high] in sigma / alpha (Kynkaanniemi et al. 2024); the
        schedules grow towards the picture and keep the mean over t of w - 1 (Wang et al. 2024)."""
        if not self._inside(m):
            return 1.0
        growth = {"constant": 1.0, "linear": 2 * (1 - m.t), "cosine": 1 + math.cos(math.pi * m.t)}[self.schedule]
        return 1 + (w - 1) * growth

    def guided(self, branches: Branches, path: Path, *scales: float) -> Denoiser:
        """The guided denoiser of one generation (it may remember the steps before). Where w is 1 the other branch is
        not asked, where a linear rule has w = 0 it alone is.

        With several scales x_t has as many times the rows of the conditions, scale by scale. What they share is
        asked once: as long as no two scales have been guided unlike, their rows are the same.
        """
        rules = [_rule(self, path) for _ in scales]
        alike = True

        def denoise(x_t: Tensor, m: Moment) -> Prediction:
            nonlocal alike
            if m.ratio > self.zero_above:
                return path.read(torch.zeros_like(x_t), x_t, m, "flow")
            rows = x_t.chunk(len(scales))
            weights = [self.weight(w, m) for w in scales]
            needs = [self._needs(at, m) for at in weights]
            lead = [0] * len(rows) if alike else list(range(len(rows)))  # whose answers a scale takes
            wanted = [sorted({lead[i] for i, need in enumerate(needs) if need[k]}) for k in (0, 1)]
            good, bad = branches.answers([rows[i] for i in wanted[0]], [rows[i] for i in wanted[1]], m)
            c, u = dict(zip(wanted[0], good, strict=True)), dict(zip(wanted[1], bad, strict=True))
            found = []
            for i, (at, (with_it, without)) in enumerate(zip(weights, needs, strict=True)):
                x, n = rows[i], lead[i]
                if with_it and without:
                    p = self._corrected(rules[i](c[n], u[n], x, m, at), c[n], x, m, path)
                else:
                    p = self._corrected(c[n] if with_it else u[n], None, x, m, path)
                found.append(p)
            alike = alike and len(set(weights)) == 1
            if len(found) == 1:
                return found[0]
            return Prediction(torch.cat([p.x_0 for p in found]), torch.cat([p.eps for p in found]))

        return denoise

    def _needs(self, at: float, m: Moment) -> tuple[bool, bool]:
        """Whether the answer with the caption is needed for this weight, and the other one."""
        if at == 1 and (self.kind != "cfgpp" or not self._inside(m)):
            return True, False
        return not (at == 0 and self.kind in ("cfg", "auto")), True

    def _corrected(self, p: Prediction, good: Prediction | None, x_t: Tensor, m: Moment, path: Path) -> Prediction:
        x_0 = p.x_0
        if self.rescale and good is not None:
            ratio = _std(good.x_0) / _std(x_0)
            x_0 = x_0 * (self.rescale * ratio + 1 - self.rescale)
        if self.threshold is not None:
            x_0 = dynamic_threshold(x_0, *self.threshold)
        return p if x_0 is p.x_0 else path.from_x_0(x_0, x_t, m)


def _std(x: Tensor) -> Tensor:
    return x.flatten(1).std(dim=1)[:, None, None, None]


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(1).sum(dim=1)[:, None, None, None]


def dynamic_threshold(x_0: Tensor, quantile: float, bound: float) -> Tensor:
    """A sample whose quantile s of |x_0| is beyond the bound is clipped to s and scaled by bound / s (Saharia et al.
    2022, section 2.3; there the data, and so the bound, is 1)."""
    s = torch.quantile(x_0.flatten(1).abs().float(), quantile, dim=1).to(x_0.dtype)[:, None, None, None]
    s = s.clamp(min=bound)
    return torch.where(s > bound, x_0.clamp(-s, s) * (bound / s), x_0)


def _cfg(c: Prediction, u: Prediction, x_t: Tensor, m: Moment, w: float) -> Prediction:
    """Ho & Salimans 2022, eq. 6 (their w is ours minus 1); autoguidance has the same rule (Karras et al. 2024, eq. 3)."""
    return Prediction(torch.lerp(u.x_0, c.x_0, w), torch.lerp(u.eps, c.eps, w))


def _cfgpp(c: Prediction, u: Prediction, x_t: Tensor, m: Moment, w: float) -> Prediction:
    """CFG++ (Chung et al. 2024, algorithm 2): the guided x_0 of w in [0, 1] is noised again with the unconditional eps."""
    return Prediction(torch.lerp(u.x_0, c.x_0, w), u.eps)


def _rule(g: Guider, path: Path) -> Combine:
    memory: list[Tensor] = []

    def apg(c: Prediction, u: Prediction, x_t: Tensor, m: Moment, w: float) -> Prediction:
        """Adaptive projected guidance (Sadat et al. 2024, algorithm 1)."""
        difference = c.x_0 - u.x_0
        if g.apg_momentum:
            if memory:
                difference = difference + g.apg_momentum * memory.pop()
            memory.append(difference)
        if g.apg_norm < math.inf:
            difference = difference * (g.apg_norm / _dot(difference, difference).sqrt()).clamp(max=1)
        along = _dot(difference, c.x_0) / _dot(c.x_0, c.x_0) * c.x_0
        return path.from_x_0(c.x_0 + (w - 1) * (difference - (1 - g.apg_eta) * along), x_t, m)

    def cfg_zero(c: Prediction, u: Prediction, x_t: Tensor, m: Moment, w: float) -> Prediction:
        """CFG-Zero* (Fan et al. 2025, eq. 11) on the velocity eps - x_0: the unconditional one is scaled to fit."""
        cond, uncond = c.eps - c.x_0, u.eps - u.x_0
        uncond = uncond * (_dot(cond, uncond) / _dot(uncond, uncond))
        return path.read(torch.lerp(uncond, cond, w), x_t, m, "flow")

    rules: dict[str, Combine] = {"cfg": _cfg, "auto": _cfg, "cfgpp": _cfgpp, "apg": apg, "cfg_zero": cfg_zero}
    return rules[g.kind]
