"""The effective scale of a guider: the scale of classifier-free guidance that its updates amount to.

A guider that guides more strongly than another one at the same w moves along the same curve, and seems to be better or worse. So
guiders are compared at equal effective scale (arXiv 2602.22570).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from .denoiser import Denoiser
from .path import Path
from .records import NoiseLevel, Prediction

if TYPE_CHECKING:
    from .guiders.base import Branches
    from .samplers.base import Sampler


class Effective(NamedTuple):
    """Of each picture, both [B]: the effective `scale`, and the share of the guider's squared updates that is `orthogonal` to
    those of classifier-free guidance."""

    scale: Tensor
    orthogonal: Tensor


@torch.no_grad()
def effective_scale(
    guided: Denoiser, branches: Branches, path: Path, sampler: Sampler, x: Tensor, seeds: Tensor
) -> Effective:
    """Draw from the noise x [B, C, H, W] with the `guided` denoiser, and compare each of its updates with that of
    classifier-free guidance at the same x_t. `branches` are the network with and without the caption.

    A prediction's update is where a step without fresh noise leads, alpha_s x_0 + sigma_s eps. CFG at scale w changes the
    conditional update by (w - 1) f with f = update(cond) - update(uncond). A guider changes it by g. The effective scale is the
    w with which (w - 1) f is closest to g over all steps of a picture, 1 + sum <g, f> / sum <f, f>. Each step's part of g that
    is orthogonal to f counts as orthogonal. So a guider that only changes w from step to step has no orthogonal part.
    """
    times = sampler.times(path)
    along, own, across, total = (x.new_zeros(len(x), dtype=torch.float64) for _ in range(4))
    steps = sampler.trajectory(guided, path, x, seeds, times)
    for (t, s), (after, p) in zip(pairwise(times), steps, strict=True):
        (c,), (u,) = branches.predict([x], [x], t)
        here = _update(c, s)
        f, g = here - _update(u, s), _update(p, s) - here
        product, square, length = (g * f).sum(dim=1), (f * f).sum(dim=1), (g * g).sum(dim=1)
        along, own, total = along + product, own + square, total + length
        across = across + (length - product.square() / square.clamp(min=torch.finfo(square.dtype).tiny)).clamp(min=0)
        x = after
    none = torch.zeros_like(total)
    return Effective(
        1 + torch.where(own > 0, along / own, none), torch.where(total > 1e-12 * own, across / total, none)
    )


def _update(p: Prediction, s: NoiseLevel) -> Tensor:
    """[B, C, H, W] -> [B, N], float64."""
    return (s.alpha * p.x_0 + s.sigma * p.eps).flatten(1).double()
