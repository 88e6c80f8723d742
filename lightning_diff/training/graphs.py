"""CUDA graphs: a part of the training step is recorded once, and from then on its kernels are started all at once.

A small net has thousands of kernels of a few microseconds, and a CPU needs longer to start one than a GPU to compute it: a step
of experiment=base computed for 14 ms on an H200, and took 84. A replay runs the same kernels on the same shapes, so it gives
the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..nets.unet import Condition

LARGEST = 100_000_000  # parameters: a larger net's kernels take longer than their starts, and a recording takes memory


def small(parameters: Iterable[Tensor]) -> bool:
    """Whether their net is so small that a recording pays."""
    return sum(p.numel() for p in parameters) <= LARGEST


def key_of(inputs: Sequence[Tensor]) -> tuple[Any, ...]:
    """What must be equal for a replay: a recording knows one shape of each input."""
    return tuple((x.shape, x.dtype, x.device) for x in inputs)


class Recorded:
    """`function` of tensors on a GPU, without gradient. Its first call runs as it is, its second one is recorded, and later ones
    of the same shapes are replayed; other shapes run as they are. A result's tensors are the recording's own: they hold until
    the next call."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.key: tuple[Any, ...] | None = None
        self.graph: torch.cuda.CUDAGraph | None = None
        self.inputs: list[Tensor] = []
        self.found: Any = None

    @torch.no_grad()
    def __call__(self, *inputs: Tensor) -> Any:
        first, self.key = self.key is None, self.key or key_of(inputs)
        if first or key_of(inputs) != self.key:
            return self.function(*inputs)
        if self.graph is None:
            self.inputs, self.graph = [x.clone() for x in inputs], torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):  # another thread may pin memory
                self.found = self.function(*self.inputs)
        else:
            for own, x in zip(self.inputs, inputs, strict=True):
                own.copy_(x)
        self.graph.replay()
        return self.found


class _Flat(nn.Module):
    """A denoising net as a function of tensors alone."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, t: Tensor, tokens: Tensor, mask: Tensor, pooled: Tensor) -> Tensor:
        found: Tensor = self.net(x, t, Condition(tokens, mask, pooled))
        return found


def hooked(net: nn.Module) -> bool:
    """Whether somebody's function is called in each pass of the net. A replay would not call it."""
    every = net.modules()
    return any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks or m._backward_pre_hooks for m in every)


class RecordedNet:
    """A denoising net on a GPU with its backward pass. Its first call is recorded, and later ones of the same shapes are
    replayed. Other shapes, conditions with a gradient (a learned null condition), and a net with hooks run as they are. The
    gradients are the recording's own tensors, so they must not be summed over several calls. The net must not have run with
    gradients before, because what is left of an earlier backward pass belongs to another stream."""

    def __init__(self, net: nn.Module) -> None:
        self.net = net
        self.key: tuple[Any, ...] | None = None
        self.replayed: Any = None

    def __call__(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        inputs = (x, t, condition.tokens, condition.mask, condition.pooled)
        plain = not any(i.requires_grad for i in inputs)
        if self.key is None and plain and not hooked(self.net):
            self.key = key_of(inputs)
            self.replayed = self._record(inputs)
        if not plain or key_of(inputs) != self.key:
            return self.net(x, t, condition)
        found: Tensor = self.replayed(*inputs)
        return found

    def _record(self, inputs: Sequence[Tensor]) -> Any:
        kind = inputs[0].device.type
        enabled, dtype = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)
        with torch.autocast(kind, dtype, enabled, cache_enabled=False):
            sample = tuple(i.clone() for i in inputs)
            torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)  # it has its own stream
            return torch.cuda.make_graphed_callables(_Flat(self.net), sample, allow_unused_input=True)
