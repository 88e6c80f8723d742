"""The convolution of 3x3 that the nets use."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from . import winograd

# A picture's transforms take as many sums as there are channels, and save as many products as there are pairs of channels: they
# pay from a number of channels on, inputs * outputs / (inputs + outputs). The kernel's cost the same for few tiles as for many.
# A direct convolution is slower backwards than forwards, so there all pay sooner (measured on AVX2).
FORWARD = {"channels": 48, "tiles": 128}
BACKWARD = {"channels": 32, "tiles": 64}


class Conv3x3(nn.Conv2d):
    """nn.Conv2d of 3x3 with a border of one. On a CPU, in float32, the passes that pay are computed by Winograd's algorithm: the
    two passes take .3 to .6 of the time at 192 channels and more (docs/speed.md), and the results differ by rounding alone."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        fast = self._pays(x, **FORWARD)
        if torch.is_grad_enabled() and (fast or self._pays(x, **BACKWARD)):
            return _Conv.apply(x, self.weight, self.bias, fast)  # type: ignore[no-any-return]
        return _fast(x, self.weight, self.bias) if fast else super().forward(x)

    def _pays(self, x: Tensor, channels: int, tiles: int) -> bool:
        """Whether the algorithm serves x, and pays. A compiler and an exporter are left the convolution that they know."""
        b, _, h, w = x.shape
        i, o = self.in_channels, self.out_channels
        return (
            i * o >= channels * (i + o)
            and b * h * w >= tiles * winograd.TILE**2
            and h % winograd.TILE == w % winograd.TILE == 0
            and x.device.type == "cpu"
            and x.dtype == self.weight.dtype == torch.float32
            and not torch.is_autocast_enabled("cpu")
            and not torch.compiler.is_compiling()
            and not torch.jit.is_tracing()  # type: ignore[attr-defined]
        )


def _pixels(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, H, W, C], the same memory."""
    return x.permute(0, 2, 3, 1)


def _fast(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    x, kernels = _pixels(x), winograd.kernels(weight)
    y = x.new_empty(*x.shape[:3], len(weight))
    for piece in winograd.pieces(x, max(weight.shape[:2])):
        winograd.outputs(winograd.inputs(x, *piece) @ kernels.mT, y[piece])
    if bias is not None:
        y += bias
    return y.permute(0, 3, 1, 2)


class _Conv(torch.autograd.Function):
    """Keeps no more than a direct convolution does: the backward pass transforms the inputs again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, fast: bool) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _fast(x, weight, bias) if fast else F.conv2d(x, weight, bias, padding=1)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias, _ = ctx.needs_input_grad
        return (
            _fast(grad, weight.flip(2, 3).transpose(0, 1), None) if for_x else None,
            _weight_grad(_pixels(x), _pixels(grad), weight) if for_weight else None,
            grad.sum((0, 2, 3)) if for_bias else None,
            None,
        )


def _weight_grad(x: Tensor, grad: Tensor, weight: Tensor) -> Tensor:
    found = weight.new_zeros(winograd.TAPS**2, *weight.shape[:2])
    for piece in winograd.pieces(x, max(weight.shape[:2])):
        found.baddbmm_(winograd.outputs_back(grad[piece]).mT, winograd.inputs(x, *piece))
    return winograd.kernels_back(found)
