"""The convolution of 3x3 that the nets use."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.autograd.function import once_differentiable
from torch.nn.grad import conv2d_input, conv2d_weight

from . import winograd

# Winograd's algorithm saves products in proportion to inputs * outputs * tiles. It costs sums for each tile of inputs and of
# outputs, and, however few the tiles are, for each pair of channels. So it pays where C * (1 / inputs + 1 / outputs) + T / tiles
# is below one. C and T are measured (AVX2; benchmarks/convolution.py); torch's gradient of the weights is its slowest pass.
PICTURES = (30, 50)
WEIGHTS = (20, 30)
FEW = 1024  # pixels of a batch; below, the gradient of the weights is quickest as one product


class Conv3x3(nn.Conv2d):
    """nn.Conv2d of 3x3 with a border of one. On a CPU, in float32, each pass is computed in the way that is quickest: by
    Winograd's algorithm, as one product, or as torch does (docs/speed.md). The results differ by rounding: a sum's error is in
    proportion to the largest value within four pixels, not to its own terms."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight  # once: a parametrization computes it each time that it is asked for
        plain = self._plain(x, weight)
        fast = plain and self._pays(x, *PICTURES)
        if plain and torch.is_grad_enabled():
            of_weights = _fast_weights if self._pays(x, *WEIGHTS) else _product if _places(x) < FEW else _direct_weights
            if fast or of_weights is not _direct_weights:
                return _Conv.apply(x, weight, self.bias, fast, of_weights)  # type: ignore[no-any-return]
        return _fast(x, weight, self.bias) if fast else F.conv2d(x, weight, self.bias, padding=1)

    def _plain(self, x: Tensor, weight: Tensor) -> bool:
        """Float32 on a CPU. A compiler, an exporter and torch.func are left the convolution that they know."""
        return (
            x.ndim == 4
            and x.shape[1] == self.in_channels
            and x.device.type == "cpu"
            and x.dtype == weight.dtype == torch.float32
            and not any(map(is_functorch_wrapped_tensor, (x, weight)))
            and not torch.is_autocast_enabled("cpu")
            and not torch.compiler.is_compiling()
            and not torch.jit.is_tracing()  # type: ignore[attr-defined]
        )

    def _pays(self, x: Tensor, channels: float, tiles: float) -> bool:
        """Whether Winograd's algorithm serves x, and pays."""
        _, _, h, w = x.shape
        cost = channels * (1 / self.in_channels + 1 / self.out_channels) + tiles * winograd.TILE**2 / max(1, _places(x))
        return cost < 1 and h % winograd.TILE == w % winograd.TILE == 0


def _places(x: Tensor) -> int:
    """Pixels of all pictures."""
    return x.shape[0] * x.shape[2] * x.shape[3]


def _pixels(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, H, W, C], the same memory."""
    return x.permute(0, 2, 3, 1)


def _fast(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    y = _by_kernels(x, winograd.kernels(weight).mT)
    return y if bias is None else y.add_(bias[:, None, None])


def _by_kernels(x: Tensor, kernels: Tensor) -> Tensor:
    """x [B, C, H, W] with kernels [36, C, O] -> [B, O, H, W]."""
    shape = x.shape[0], kernels.shape[2], *x.shape[2:]
    y = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    x, into = _pixels(x), _pixels(y)
    for piece in winograd.pieces(x, max(kernels.shape[1:])):
        winograd.outputs(winograd.inputs(x, *piece) @ kernels, into[piece])
    return y


class _Conv(torch.autograd.Function):
    """Keeps no more than a direct convolution does: the backward pass transforms the inputs again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, fast: bool, of_weights: Any) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.fast, ctx.of_weights = fast, of_weights
        return _fast(x, weight, bias) if fast else F.conv2d(x, weight, bias, padding=1)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias, *_ = ctx.needs_input_grad
        return (
            (_fast_pictures if ctx.fast else _direct_pictures)(grad, weight) if for_x else None,
            ctx.of_weights(x, grad, weight) if for_weight else None,
            grad.sum((0, 2, 3)) if for_bias else None,
            None,
            None,
        )


def _fast_pictures(grad: Tensor, weight: Tensor) -> Tensor:
    return _by_kernels(grad, winograd.kernels(weight, turned=True))


def _direct_pictures(grad: Tensor, weight: Tensor) -> Tensor:
    b, _, h, w = grad.shape
    return conv2d_input((b, weight.shape[1], h, w), weight, grad, padding=1)  # type: ignore[arg-type]


def _fast_weights(x: Tensor, grad: Tensor, weight: Tensor) -> Tensor:
    x, grad = _pixels(x), _pixels(grad)
    found = weight.new_empty(winograd.TAPS**2, *weight.shape[:2])
    for n, piece in enumerate(winograd.pieces(x, max(weight.shape[:2]))):
        found.baddbmm_(winograd.outputs_back(grad[piece]).mT, winograd.inputs(x, *piece), beta=min(n, 1))
    return winograd.kernels_back(found)


def _product(x: Tensor, grad: Tensor, weight: Tensor) -> Tensor:
    """The nine neighbours of all pixels side by side, and one product of matrices."""
    o, c, _, _ = weight.shape
    _, _, h, w = x.shape
    around = F.pad(_pixels(x), (0, 0, 1, 1, 1, 1))
    neighbours = torch.cat([around[:, i : i + h, j : j + w] for i in range(3) for j in range(3)], -1).view(-1, 9 * c)
    return (_pixels(grad).reshape(-1, o).T @ neighbours).view(o, 3, 3, c).permute(0, 3, 1, 2)


def _direct_weights(x: Tensor, grad: Tensor, weight: Tensor) -> Tensor:
    return conv2d_weight(x, weight.shape, grad, padding=1)  # type: ignore[arg-type]
