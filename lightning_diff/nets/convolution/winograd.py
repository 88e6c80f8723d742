"""Winograd's F(4x4, 3x3): a convolution of 3x3 with 36 products for each 16 outputs instead of 144 (Lavin & Gray 2016, "Fast
algorithms for convolutional neural networks", section 4.3).

A picture is cut in tiles of 4x4. With the paper's matrices, y = A^T [(G g G^T) * (B^T d B)] A: each tile of inputs d (6x6, for
neighbours overlap) becomes 36 values, so does each kernel g, and the product * is, summed over channels, 36 matrix products.
The kernel's gradient is made of the same steps turned round, A instead of A^T, and so on; that of the picture is a convolution
again. In float32 the results are 3 parts in a million away from the exact ones, a direct convolution's 1 (norm against norm).

Pictures here are [B, H, W, C]; H and W are multiples of 4. They go through in pieces, so that a large one takes no more memory
than a small one. A picture's transform is two transforms of an axis. Those are written out as sums of slices, which are quicker
than products with so small matrices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

TILE = 4
MOST = 2**22  # values of a transformed piece, or somewhat more
TAPS = 6  # values of a tile along an axis, after the transform
G = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)


def kernels(weight: Tensor, turned: bool = False) -> Tensor:
    """G g G^T: weight [O, C, 3, 3] -> [36, O, C]. If turned, those of each 3x3 turned by half a circle: with them a convolution's
    gradient is convolved."""
    taps, g = _taps(weight), _g(weight)
    return torch.bmm((g.flip(1) if turned else g).expand(len(taps), -1, -1), taps).transpose(0, 1)


def kernels_back(grad: Tensor) -> Tensor:
    """The gradient of `weight`, from that of `kernels(weight)`."""
    _, o, c = grad.shape
    taps = torch.bmm(_g(grad).T.expand(o, -1, -1), grad.transpose(0, 1))
    return taps.view(o, 3, 3, c).permute(0, 3, 1, 2)


def pieces(x: Tensor, channels: int) -> Iterator[tuple[slice, slice]]:
    """The pieces of x [B, H, W, C] that have about MOST values with so many channels, transformed: some pictures with all their
    rows, or some rows of one picture."""
    b, h, w, _ = x.shape
    rows = max(1, MOST // (TAPS**2 * w // TILE * channels)) * TILE
    pictures = max(1, rows // h)
    for first in range(0, b, pictures):
        for top in range(0, h, rows):
            yield slice(first, first + pictures), slice(top, min(h, top + rows))


def _together(piece: Tensor) -> Tensor:
    """The piece with its channels side by side in memory. So they are if the picture is in channels_last memory."""
    return piece if piece.stride(-1) == 1 else piece.contiguous()


def inputs(x: Tensor, pictures: slice, rows: slice) -> Tensor:
    """B^T d B of each tile of a piece; outside of the picture are zeros: x [B, H, W, C] -> [36, tiles, C]."""
    first, last = rows.start == 0, rows.stop == x.shape[1]
    piece = _together(x[pictures, rows.start - (not first) : rows.stop + (not last)])
    piece = F.pad(piece, (0, 0, 1, 1, int(first), int(last)))
    b, h, w, c = piece.shape
    down, across = (h - 2) // TILE, (w - 2) // TILE
    between = x.new_empty(TAPS, b, down, w, c)
    _to_inputs([piece[:, i : i + h - TAPS + 1 : TILE] for i in range(TAPS)], between)
    out = x.new_empty(TAPS, TAPS, b, down, across, c)
    _to_inputs([between[:, :, :, i : i + w - TAPS + 1 : TILE] for i in range(TAPS)], out)
    return out.view(TAPS**2, -1, c)


def outputs(products: Tensor, out: Tensor) -> None:
    """A^T m A of each tile: products [36, tiles, O] -> `out`, a piece of y [b, h, W, O]."""
    b, h, w, o = out.shape
    products = products.view(TAPS, TAPS, b, h // TILE, w // TILE, o)
    between = products.new_empty(TILE, *products.shape[1:])
    _to_outputs(products.unbind(), between.unbind())
    _to_outputs(between.unbind(1), [_places(out, 1, i).unflatten(2, (-1, TILE)).movedim(3, 0) for i in range(TILE)])


def outputs_back(grad: Tensor) -> Tensor:
    """The gradient of the products [36, tiles, O], from that of a piece of y [b, h, W, O]."""
    b, h, w, o = grad.shape
    grad = _together(grad)
    between = grad.new_empty(TAPS, b, h // TILE, w, o)
    _from_outputs([_places(grad, 1, i) for i in range(TILE)], between)
    out = grad.new_empty(TAPS, TAPS, b, h // TILE, w // TILE, o)
    _from_outputs([_places(between, 3, i) for i in range(TILE)], out)
    return out.view(TAPS**2, -1, o)


def _places(x: Tensor, axis: int, i: int) -> Tensor:
    """Place i of each tile, along an axis."""
    return x.unflatten(axis, (-1, TILE)).select(axis + 1, i)


def _taps(weight: Tensor) -> Tensor:
    """[O, C, 3, 3] -> [O, 9, C], the same memory if it is channels_last."""
    o, c, _, _ = weight.shape
    return weight.permute(0, 2, 3, 1).reshape(o, 9, c)


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
