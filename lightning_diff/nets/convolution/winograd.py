"""Winograd's F(4x4, 3x3): a convolution of 3x3 with 36 products for each 16 outputs instead of 144 (Lavin & Gray 2016, "Fast
algorithms for convolutional neural networks", section 4.3).

A picture is cut in tiles of 4x4. With the paper's matrices, y = A^T [(G g G^T) * (B^T d B)] A: each tile of inputs d (6x6, for
neighbours overlap) becomes 36 values, so does each kernel g, and the product * is, summed over channels, 36 matrix products.
The gradients are the same steps turned round: A instead of A^T, and so on. In float32 the results differ from those of a direct
convolution by 3 parts in a million (norm against norm).

Pictures here are [B, H, W, C], contiguous; H and W are multiples of 4. A transform of a picture is two transforms of an axis.
Those are written out as sums of slices, which are quicker than products with so small matrices.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

TILE = 4
TAPS = 6  # values of a tile along an axis, after the transform
G = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)


def kernels(weight: Tensor) -> Tensor:
    """G g G^T: weight [O, C, 3, 3] -> [36, O, C]."""
    taps = weight.permute(2, 3, 0, 1).reshape(9, -1)
    return (_g(weight) @ taps).view(TAPS**2, *weight.shape[:2])


def kernels_back(grad: Tensor) -> Tensor:
    """The gradient of `weight`, from that of `kernels(weight)`."""
    taps = _g(grad).T @ grad.flatten(1)
    return taps.view(3, 3, *grad.shape[1:]).permute(2, 3, 0, 1)


def inputs(x: Tensor) -> Tensor:
    """B^T d B of each tile: x [B, H, W, C], with a border of zeros added -> [36, tiles, C]."""
    b, h, w, c = x.shape
    x = F.pad(x, (0, 0, 1, 1, 1, 1))
    rows = x.new_empty(TAPS, b, h // TILE, w + 2, c)
    _to_inputs([x[:, i : i + h - 3 : TILE] for i in range(TAPS)], rows)
    out = x.new_empty(TAPS, TAPS, b, h // TILE, w // TILE, c)
    _to_inputs([rows[:, :, :, i : i + w - 3 : TILE] for i in range(TAPS)], out)
    return out.view(TAPS**2, -1, c)


def inputs_back(grad: Tensor, b: int, h: int, w: int) -> Tensor:
    """The gradient of x [B, H, W, C], from that of `inputs(x)`."""
    c = grad.shape[-1]
    grad = grad.view(TAPS, TAPS, b, h // TILE, w // TILE, c)
    rows = grad.new_empty(TAPS, b, h // TILE, w // TILE, TILE, c)
    _from_inputs(grad.unbind(), rows.unbind(4), axis=3)
    rows = rows.view(TAPS, b, h // TILE, w, c)
    out = grad.new_empty(b, h // TILE, TILE, w, c)
    _from_inputs(rows.unbind(), out.unbind(2), axis=1)
    return out.view(b, h, w, c)


def outputs(products: Tensor, b: int, h: int, w: int) -> Tensor:
    """A^T m A of each tile: products [36, tiles, O] -> y [B, H, W, O]."""
    o = products.shape[-1]
    products = products.view(TAPS, TAPS, b, h // TILE, w // TILE, o)
    rows = products.new_empty(TILE, *products.shape[1:])
    _to_outputs(products.unbind(), rows.unbind())
    out = products.new_empty(b, h // TILE, TILE, w // TILE, TILE, o)
    _to_outputs(rows.unbind(1), out.permute(2, 4, 0, 1, 3, 5).unbind())
    return out.view(b, h, w, o)


def outputs_back(grad: Tensor) -> Tensor:
    """The gradient of the products [36, tiles, O], from that of y [B, H, W, O]."""
    b, h, w, o = grad.shape
    rows = grad.new_empty(TAPS, b, h // TILE, w, o)
    _from_outputs([grad[:, i::TILE] for i in range(TILE)], rows)
    out = grad.new_empty(TAPS, TAPS, b, h // TILE, w // TILE, o)
    _from_outputs([rows[:, :, :, i::TILE] for i in range(TILE)], out)
    return out.view(TAPS**2, -1, o)


def _g(like: Tensor) -> Tensor:
    """G for both axes, [36, 9]: of the 36, x varies slower than y (as `inputs` puts them); of the kernel's 9, y slower than x."""
    g = like.new_tensor(G)
    return torch.einsum("xj,yi->xyij", g, g).reshape(TAPS**2, 9)


def _to_inputs(d: Sequence[Tensor], out: Tensor) -> None:
    """B^T: six slices of an axis -> out[0..5]."""
    p, q = torch.add(d[4], d[2], alpha=-4), torch.add(d[3], d[1], alpha=-4)
    torch.add(p, q, out=out[1])
    torch.sub(p, q, out=out[2])
    torch.sub(d[4], d[2], out=p)
    torch.sub(d[3], d[1], out=q)
    torch.add(p, q, alpha=2, out=out[3])
    torch.add(p, q, alpha=-2, out=out[4])
    torch.add(d[4], d[2], alpha=-5, out=out[0]).add_(d[0], alpha=4)
    torch.add(d[5], d[3], alpha=-5, out=out[5]).add_(d[1], alpha=4)


def _from_inputs(v: Sequence[Tensor], out: Sequence[Tensor], axis: int) -> None:
    """B, and the sum where two tiles read one place: six values of each tile -> its four places. `axis` numbers the tiles."""
    p, q, r, s = v[1] + v[2], v[1] - v[2], v[3] + v[4], v[3] - v[4]
    torch.mul(v[0], -5, out=out[1]).add_(p, alpha=-4).sub_(r)
    torch.add(q, s, alpha=2, out=out[2]).add_(v[5], alpha=-5)
    torch.sub(v[5], q.add_(s, alpha=0.5), out=out[0]).mul_(4)
    torch.add(v[0], p, out=out[3]).add_(r)
    others = v[0].shape[axis] - 1
    out[0].narrow(axis, 1, others).add_(v[5].narrow(axis, 0, others))
    out[3].narrow(axis, 0, others).add_(v[0].narrow(axis, 1, others), alpha=4)


def _to_outputs(m: Sequence[Tensor], out: Sequence[Tensor]) -> None:
    """A^T: six products -> four places of the tile."""
    p, q, r, s = m[1] + m[2], m[1] - m[2], m[3] + m[4], m[3] - m[4]
    torch.add(m[0], p, out=out[0]).add_(r)
    torch.add(q, s, alpha=2, out=out[1])
    torch.add(p, r, alpha=4, out=out[2])
    torch.add(q, s, alpha=8, out=out[3]).add_(m[5])


def _from_outputs(y: Sequence[Tensor], out: Tensor) -> None:
    """A: four places -> out[0..5]."""
    out[0].copy_(y[0])
    out[5].copy_(y[3])
    p, q = y[0] + y[2], y[1] + y[3]
    torch.add(p, q, out=out[1])
    torch.sub(p, q, out=out[2])
    torch.add(y[0], y[2], alpha=4, out=p)
    torch.add(y[1], y[3], alpha=4, out=q)
    torch.add(p, q, alpha=2, out=out[3])
    torch.add(p, q, alpha=-2, out=out[4])
