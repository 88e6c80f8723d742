"""The base class of guiders: at which noise levels they guide, with which weight, and which corrections follow.

There is one convention (law 3): guided = uncond + w (cond - uncond). w = 1 is no guidance, w = 0 is unconditional. Guidance
works on x_0, so it does not depend on the network's parameterisation. A guider has three parts, which can be combined freely: a
weight that may change with the noise level, a rule that combines the two predictions, and corrections of the result.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ...config.fields import at_least, between, listed, one_of
from ...config.registry import Choice
from ..records import NoiseLevel, Prediction

if TYPE_CHECKING:
    from torch import Tensor

    from ..denoiser import BranchPredictions, Denoiser
    from ..path import Path

UNNAMED = ("kind", "scale", "scales")  # keys that are not part of a guider's name


class Branches(Protocol):
    """The two branches of guidance. The conditional branch is the network with the caption. Guidance moves away from the other
    branch: the network without the caption, or a worse network.

    `predict` returns the conditional branch's predictions at each of `x_cond` and the other branch's at each of `x_other`, all
    [B, C, H, W], with as few evaluations as possible."""

    def predict(self, x_cond: Sequence[Tensor], x_other: Sequence[Tensor], m: NoiseLevel) -> BranchPredictions: ...


@dataclass(frozen=True, kw_only=True)
class Guider(Choice):
    """How to guide: guided = uncond + w (cond - uncond). w is `scale` for samples and each of `scales` in the sweep; w = 1 is no
    guidance.

    `interval` [low, high] in sigma / alpha: outside of it there is no guidance (Kynkaanniemi et al. 2024). `schedule`: how w
    changes over the steps (Wang et al. 2024). `rescale`, 0 to 1: how far the standard deviation moves back to that of the
    conditional prediction (Lin et al. 2023). `threshold` [quantile, bound]: dynamic thresholding (Saharia et al. 2022).
    `zero_above`: above this sigma / alpha the velocity is zero (Fan et al. 2025). An empty list, or a limit of 0, switches the
    part off.
    """

    scale: float = at_least(3.0, 0)
    scales: list[float] = listed(1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, low=0)
    interval: list[float] = listed()
    schedule: str = one_of("constant", "constant", "linear", "cosine")
    rescale: float = between(0.0, 0, 1)
    threshold: list[float] = listed()
    zero_above: float = at_least(0.0, 0)

    without_caption: ClassVar[bool] = True  # the other branch is the same network without the caption
    linear: ClassVar[bool] = False  # with w = 0 the result is the other branch alone

    def combine(
        self, c: Prediction, u: Prediction, x_t: Tensor, m: NoiseLevel, w: float, path: Path, memory: list[Any]
    ) -> Prediction:
        """Combine the conditional prediction `c` and the other branch's prediction `u` with weight w. `memory` is a list that
        this method may change; it lasts for one generation at one scale."""
        raise NotImplementedError

    def conflicts(self, sampler: Any, training: Any) -> Iterator[str]:
        where = "guidance.{}={}: {}, for example {}"
        if not self.scales:
            yield "guidance.scales=[]: name at least one scale, for example [1,3]"
        called = [f"{scale:g}" for scale in self.scales]  # in the names of files
        if twice := next((name for name in called if called.count(name) > 1), ""):
            yield f"guidance.scales={self.scales}: a scale is named twice, w = {twice}"
        i, t = self.interval, self.threshold
        low = min([self.scale, *self.scales], default=1.0)
        if self.schedule != "constant" and low < 1:
            yield (
                f"guidance.schedule={self.schedule} with w = {low:g}: towards the picture w would fall below {low:g}; use "
                "schedule=constant, or scales of at least 1"
            )
        if self.rescale and low == 0:
            yield (
                "guidance.rescale with w = 0, which is unconditional: rescale moves towards the conditional prediction; use "
                "rescale=0, or scales above 0"
            )
        if i and not (len(i) == 2 and 0 <= i[0] < i[1]):
            yield where.format("interval", i, "two limits in sigma / alpha, low < high", "[0.3,5]")
        if t and not (len(t) == 2 and 0 < t[0] <= 1 and t[1] > 0):
            yield where.format("threshold", t, "a quantile and a bound", "[0.995,3]")

    @property
    def name(self) -> str:
        """The rule and all keys that differ from their defaults, for example cfg+interval0.3-5+rescale0.7. Guiders that differ
        have different names."""
        words = [self.kind]
        for f in fields(self):
            value = getattr(self, f.name)
            usual = f.default if f.default is not MISSING else []
            if f.name not in UNNAMED and value is not None and value != usual:
                words.append(self.word(f.name, value))
        return "+".join(words)

    @staticmethod
    def word(name: str, value: Any) -> str:
        """The word that a key adds to the name."""
        if isinstance(value, str):
            return value
        return name + "-".join(f"{v:g}" for v in (value if isinstance(value, list | tuple) else [value]))

    def _inside(self, m: NoiseLevel) -> bool:
        return not self.interval or bool(self.interval[0] < m.ratio <= self.interval[1])

    def weight(self, w: float, m: NoiseLevel) -> float:
        """w at this noise level. Outside of interval = (low, high] in sigma / alpha it is 1 (Kynkaanniemi et al. 2024, eq. 6).
        The schedules grow towards the picture and do not change the mean over t of w - 1 (Wang et al. 2024)."""
        if not self._inside(m):
            return 1.0
        growth = {"constant": 1.0, "linear": 2 * (1 - m.t), "cosine": 1 + math.cos(math.pi * m.t)}[self.schedule]
        return 1 + (w - 1) * growth

    def needs(self, at: float, m: NoiseLevel) -> tuple[bool, bool]:
        """Whether this weight needs the conditional branch, and whether it needs the other branch."""
        if at == 1:
            return True, False
        return not (at == 0 and self.linear), True

    def guided(self, branches: Branches, path: Path, *scales: float) -> Denoiser:
        """The guided denoiser of one generation; it may remember earlier steps. If w is 1, the other branch is not evaluated.
        If w is 0 and the rule is linear, only the other branch is evaluated.

        With several scales, x_t holds the rows of the first scale, then those of the second, and so on. The rows of all scales
        are equal as long as all scales had the same weights. Until then the branches are evaluated for only one of them.
        """
        import torch

        memories: list[list[Any]] = [[] for _ in scales]
        alike = True

        def denoise(x_t: Tensor, m: NoiseLevel) -> Prediction:
            nonlocal alike
            if self.zero_above and m.ratio > self.zero_above:
                return path.read(torch.zeros_like(x_t), x_t, m, "flow")
            rows = x_t.chunk(len(scales))
            weights = [self.weight(w, m) for w in scales]
            needs = [self.needs(at, m) for at in weights]
            lead = [0] * len(rows) if alike else list(range(len(rows)))  # whose predictions a scale uses
            wanted = [sorted({lead[i] for i, need in enumerate(needs) if need[k]}) for k in (0, 1)]
            cond, other = branches.predict([rows[i] for i in wanted[0]], [rows[i] for i in wanted[1]], m)
            c, u = dict(zip(wanted[0], cond, strict=True)), dict(zip(wanted[1], other, strict=True))
            found = []
            for i, (at, (with_it, without)) in enumerate(zip(weights, needs, strict=True)):
                x, n = rows[i], lead[i]
                if with_it and without:
                    p = self.combine(c[n], u[n], x, m, at, path, memories[i])
                    found.append(self._corrected(p, c[n], x, m, path))
                else:
                    found.append(self._corrected(c[n] if with_it else u[n], None, x, m, path))
            alike = alike and len(set(weights)) == 1
            if len(found) == 1:
                return found[0]
            return Prediction(torch.cat([p.x_0 for p in found]), torch.cat([p.eps for p in found]))

        return denoise

    def _corrected(self, p: Prediction, cond: Prediction | None, x_t: Tensor, m: NoiseLevel, path: Path) -> Prediction:
        x_0 = p.x_0
        if self.rescale and cond is not None:
            ratio = std(cond.x_0) / std(x_0)
            x_0 = x_0 * (self.rescale * ratio + 1 - self.rescale)
        if self.threshold:
            x_0 = dynamic_threshold(x_0, self.threshold[0], self.threshold[1])
        return p if x_0 is p.x_0 else path.from_x_0(x_0, x_t, m)


def lerp(c: Prediction, u: Prediction, w: float) -> Prediction:
    """u + w (c - u), for x_0 and for eps."""
    return Prediction(u.x_0.lerp(c.x_0, w), u.eps.lerp(c.eps, w))


def std(x: Tensor) -> Tensor:
    """The standard deviation of each sample: [B, C, H, W] -> [B, 1, 1, 1]."""
    return x.flatten(1).std(dim=1)[:, None, None, None]


def dot(a: Tensor, b: Tensor) -> Tensor:
    """The dot product for each sample: [B, C, H, W] -> [B, 1, 1, 1]."""
    return (a * b).flatten(1).sum(dim=1)[:, None, None, None]


def dynamic_threshold(x_0: Tensor, quantile: float, bound: float) -> Tensor:
    """Dynamic thresholding (Saharia et al. 2022, section 2.3). s is the quantile of |x_0| of a sample. If s is larger than the
    bound, the sample is clipped to [-s, s] and scaled by bound / s. In the paper the data lies in [-1, 1], so the bound is 1."""
    s = x_0.flatten(1).abs().float().quantile(quantile, dim=1).to(x_0.dtype)[:, None, None, None]
    s = s.clamp(min=bound)
    return (x_0.clamp(-s, s) * (bound / s)).where(s > bound, x_0)
