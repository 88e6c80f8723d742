"""From noise to picture. Each sampler is a small function on a denoiser.

The noise of each sample comes from its own seed, so that a sample depends on its seed and its caption, not on the batch
that it is drawn in. The numbers of a step are computed once, in float64; the pictures stay in their own precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from . import noise
from .denoiser import Denoiser
from .path import Moment, Path, Prediction

Fresh = Callable[[Tensor], Tensor]  # a tensor -> standard normal noise of its shape, new at every step
Step = Callable[[Tensor, Moment, Moment, Fresh], tuple[Tensor, Prediction]]
Make = Callable[[Denoiser, Path, float], Step]


def _ancestral(denoise: Denoiser, path: Path, eta: float) -> Step:
    """DDIM (Song et al. 2021, eq. 12) for any path; eta = 1 is DDPM's ancestral step (Ho et al. 2020, algorithm 2), and
    in the coordinates x / alpha the "Euler ancestral" of k-diffusion.

    The forward chain adds var = sigma_t^2 - (alpha_t / alpha_s)^2 sigma_s^2 from s to t; the step back to s adds fresh
    noise of variance eta^2 var sigma_s^2 / sigma_t^2: the pinch of noise, none at the last step.
    """

    def step(x: Tensor, t: Moment, s: Moment, fresh: Fresh) -> tuple[Tensor, Prediction]:
        p = denoise(x, t)
        new = eta**2 * s.sigma**2 * max(0.0, 1 - (t.alpha * s.sigma / (s.alpha * t.sigma)) ** 2)
        x = s.alpha * p.x_0 + math.sqrt(max(0.0, s.sigma**2 - new)) * p.eps
        return (x + math.sqrt(new) * fresh(x) if new > 0 else x), p

    return step


def _runge_kutta(stages: str, k: float = 1.0) -> Make:
    """Euler's step, Heun's or the midpoint's on the probability flow, which is dy / du = eps - k x_0 in the coordinates
    y = x / (alpha + k sigma), u = sigma / (alpha + k sigma).

    k = 0 are those of Karras et al. 2022 (algorithm 1), k = 1 those of the straight path, whatever path the network has
    learned. Euler's step is DDIM's in either. Of order 2, k = 1 was measured on a mixture of known flow at 9 to 14 times
    less error for 8 evaluations (benchmarks/convergence.py), and it allows alpha(1) = 0.
    """

    def make(denoise: Denoiser, path: Path, eta: float) -> Step:
        def size(m: Moment) -> float:
            return float(m.alpha + k * m.sigma)

        def step(x: Tensor, t: Moment, s: Moment, fresh: Fresh) -> tuple[Tensor, Prediction]:
            p = denoise(x, t)
            slope = p.eps - k * p.x_0
            du = s.sigma / size(s) - t.sigma / size(t)
            y = x / size(t)
            if stages == "midpoint":
                ratio = (t.sigma / size(t) + 0.5 * du) / (1 - k * (t.sigma / size(t) + 0.5 * du))
                middle = path.at(float(path.time_of(torch.tensor(ratio))))
                q = denoise((y + 0.5 * du * slope) * size(middle), middle)
                slope = q.eps - k * q.x_0
            elif stages == "heun" and s.sigma > 0:
                q = denoise((y + du * slope) * size(s), s)
                slope = 0.5 * (slope + q.eps - k * q.x_0)
            return (y + du * slope) * size(s), p

        return step

    return make


def _log_snr(m: Moment) -> float:
    """lambda = log(alpha / sigma), half the log-SNR."""
    if m.sigma <= 0:
        return math.inf
    return math.log(m.alpha / m.sigma) if m.alpha > 0 else -math.inf


def _dpmpp_2m(stochastic: bool) -> Make:
    """DPM-Solver++(2M) (Lu et al. 2022, algorithm 2), and its SDE form (eq. 19 there, as in k-diffusion and diffusers).

    The first step and the last, which goes to sigma = 0, are of order 1.
    """

    def make(denoise: Denoiser, path: Path, eta: float) -> Step:
        memory: list[tuple[float, Tensor]] = []  # lambda and x_0 of the step before

        def step(x: Tensor, t: Moment, s: Moment, fresh: Fresh) -> tuple[Tensor, Prediction]:
            p = denoise(x, t)
            at, h = _log_snr(t), _log_snr(s) - _log_snr(t)
            move = 0.0
            if memory and s.sigma > 0:
                before, x_0 = memory.pop()
                move = 0.5 * h / (at - before)  # 1 / (2 r)
                d = p.x_0 + move * (p.x_0 - x_0) if move else p.x_0
            else:
                d = p.x_0
            memory[:] = [(at, p.x_0)]
            decay = math.exp(-h)
            if not stochastic:
                return (s.sigma / t.sigma) * x + s.alpha * (1 - decay) * d, p
            x = (s.sigma / t.sigma) * decay * x + s.alpha * (1 - decay**2) * d
            new = s.sigma * math.sqrt(1 - decay**2)
            return (x + new * fresh(x) if new > 0 else x), p

        return step

    return make


def _unipc(denoise: Denoiser, path: Path, eta: float) -> Step:
    """UniPC of order 2 with B(h) = expm1(h) (Zhao et al. 2023, algorithms 5 to 8, on x_0): each evaluation first corrects
    the step that led to it, then predicts the next."""
    memory: list[tuple[float, Tensor]] = []  # lambda and x_0 of the steps before, the newest last
    last: list[tuple[Tensor, Moment]] = []  # the corrected x of the step before, and its moment

    def base(x: Tensor, x_0: Tensor, t: Moment, s: Moment, grown: float) -> Tensor:
        return (s.sigma / t.sigma) * x - s.alpha * grown * x_0

    def correct(now: Tensor, s: Moment) -> Tensor:
        x, t = last[-1]
        (at, m0), h = memory[-1], _log_snr(s) - memory[-1][0]
        grown = math.expm1(-h)
        residual = 0.5 * (now - m0)
        r = (memory[-2][0] - at) / h if len(memory) > 1 else -math.inf
        if math.isfinite(r) and math.isfinite(h):
            # The two weights solve  a + b = phi_1, a r + b = phi_2.
            phi = [grown / -h - 1]
            phi.append(phi[0] / -h - 0.5)
            first, second = phi[0] / grown, 2 * phi[1] / grown
            a = (first - second) / (1 - r)
            residual = a / r * (memory[-2][1] - m0) + (first - a) * (now - m0)
        return base(x, m0, t, s, grown) - s.alpha * grown * residual

    def step(x: Tensor, t: Moment, s: Moment, fresh: Fresh) -> tuple[Tensor, Prediction]:
        p = denoise(x, t)
        if memory:
            x = correct(p.x_0, t)
        at, h = _log_snr(t), _log_snr(s) - _log_snr(t)
        grown = math.expm1(-h)
        out = base(x, p.x_0, t, s, grown)
        if memory and s.sigma > 0:
            r = (memory[-1][0] - at) / h
            if math.isfinite(r):
                out = out - s.alpha * grown * (0.5 / r) * (memory[-1][1] - p.x_0)
        memory.append((at, p.x_0))
        del memory[:-2]
        last[:] = [(x, t)]
        return out, p

    return step


SAMPLERS: dict[str, Make] = {
    "ddpm": lambda denoise, path, eta: _ancestral(denoise, path, 1.0),
    "ddim": _ancestral,
    "euler": _runge_kutta("euler"),
    "euler_ancestral": lambda denoise, path, eta: _ancestral(denoise, path, 1.0),
    "heun": _runge_kutta("heun"),
    "heun_karras": _runge_kutta("heun", k=0.0),
    "midpoint": _runge_kutta("midpoint"),
    "dpmpp_2m": _dpmpp_2m(stochastic=False),
    "dpmpp_2m_sde": _dpmpp_2m(stochastic=True),
    "unipc": _unipc,
}
EVALUATIONS = {"heun": 2, "heun_karras": 2, "midpoint": 2}  # a step (heun: one in the last); the others spend one


def start(path: Path, seeds: Tensor, shape: tuple[int, ...]) -> Tensor:
    """x_1 [B, *shape], of the variance that x_t has at t = 1 when the data's is data_std^2."""
    m = path.at(1.0)
    return noise.normal(seeds, shape, 0, noise.START) * math.hypot(m.alpha * path.data_std, m.sigma)


def trajectory(
    name: str, denoise: Denoiser, path: Path, grid: Sequence[Moment], x: Tensor, seeds: Tensor, eta: float = 0.0
) -> Iterator[tuple[Tensor, Prediction]]:
    """(x_s, what the denoiser said at t) after each step from x [B, C, H, W] at grid[0]. seeds int64 [B]."""
    step = SAMPLERS[name](denoise, path, eta)
    for n, (t, s) in enumerate(pairwise(grid)):

        def fresh(like: Tensor, n: int = n) -> Tensor:
            return noise.normal(seeds, tuple(like.shape[1:]), 0, noise.STEP + n).to(like.dtype)

        x, prediction = step(x, t, s, fresh)
        yield x, prediction


@torch.no_grad()
def sample(
    name: str, denoise: Denoiser, path: Path, grid: Sequence[Moment], x: Tensor, seeds: Tensor, eta: float = 0.0
) -> Tensor:
    """x_0 [B, C, H, W]."""
    *_, (x_0, _) = trajectory(name, denoise, path, grid, x, seeds, eta)
    return x_0
