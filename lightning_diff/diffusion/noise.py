"""Random numbers without state (law 1): Philox4x32-10 (Salmon et al. 2011), in tensor arithmetic.

A number is a function of (seed, stream, row, index). So it is the same on every device, in any batch, on any rank, and after
any restart. `stream` separates the different uses of random numbers in one row.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

MASK = 0xFFFFFFFF
M0, M1 = 0xD2511F53, 0xCD9E8D57
W0, W1 = 0x9E3779B9, 0xBB67AE85

# Streams: the uses of a row's numbers. Sampling uses STEP + n for the noise of step n.
TIME, DROPOUT, POSTERIOR, NOISE, AUGMENT, OFFSET = range(6)
START, STEP = 100, 101


def philox(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[int, int]) -> tuple[Tensor, ...]:
    """Four words of random bits for each counter. Words are int64 tensors that hold unsigned 32-bit values."""
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(10):
        p, q = a * M0, c * M1  # wraps modulo 2**64; the mask removes the sign from the upper half
        a, b, c, d = ((q >> 32) & MASK) ^ b ^ k0, q & MASK, ((p >> 32) & MASK) ^ d ^ k1, p & MASK
        k0, k1 = (k0 + W0) & MASK, (k1 + W1) & MASK
    return a, b, c, d


def _words(rows: Tensor, count: int, seed: int, stream: int) -> Tensor:
    """int64 [B, >= count]; each number has 32 random bits. rows: int64 [B]."""
    blocks = -(-count // 4)
    rows = rows.long()[:, None]
    place = torch.arange(blocks, device=rows.device)[None].expand(len(rows), blocks)
    ones = torch.ones_like(place)
    counter = (place, ones * (rows & MASK), ones * ((rows >> 32) & MASK), ones * stream)
    return torch.stack(philox(counter, (seed & MASK, (seed >> 32) & MASK)), dim=2).flatten(1)


def uniform(rows: Tensor, seed: int, stream: int) -> Tensor:
    """Uniform numbers in (0, 1), one for each row: float32 [B]."""
    return (_words(rows, 1, seed, stream)[:, 0].double().add(0.5) * 2.0**-32).float().clamp(max=1 - 2.0**-24)


def normal(rows: Tensor, shape: tuple[int, ...], seed: int, stream: int) -> Tensor:
    """Normal numbers of N(0, 1), float32 [B, *shape]: the Box-Muller transform of 24-bit uniform numbers."""
    count = math.prod(shape)
    words = _words(rows, count + count % 2, seed, stream)
    words = words[:, : count + count % 2]
    u = ((words >> 8).float() + 0.5) * 2.0**-24
    radius, angle = u.chunk(2, dim=1)
    radius, angle = (-2 * radius.log()).sqrt(), (2 * math.pi) * angle
    z = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)[:, :count]
    return z.reshape(len(rows), *shape)


def start(path: Any, seeds: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The initial noise x_1 [B, *shape] of a path. Its variance is that of x_t at t = 1 for data of variance data_std^2."""
    m = path.at(1.0)
    return normal(seeds, shape, 0, START) * math.hypot(m.alpha * path.data_std, m.sigma)
