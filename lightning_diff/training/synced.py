"""Losses and norms of the global batch: with several ranks, sums and counts are over all of them.

DDP averages gradients over the ranks. So a rank's loss is its sum of errors divided by the mean number of errors of a rank.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def ranks() -> int:
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


def per_rank(count: Tensor) -> Tensor:
    """The mean of a count over the ranks, where the total counts as 1 at least. All ranks must call this."""
    if ranks() == 1:
        return count.clamp(min=1)
    total = count.detach().clone()
    torch.distributed.all_reduce(total)
    return total.clamp(min=1) / ranks()


class MeanOverRanks(torch.autograd.Function):
    """The mean of a tensor over the ranks; its gradient is the mean of theirs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        mean = x.clone()
        torch.distributed.all_reduce(mean)
        return mean / ranks()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return MeanOverRanks.forward(ctx, gradients[0])


class GlobalBatchNorm(nn.BatchNorm2d):
    """Batch normalisation over the pictures of all ranks, on CPUs as well. With one rank it is BatchNorm2d."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or ranks() == 1:
            return super().forward(x)
        x = x.float()
        mean: Tensor = MeanOverRanks.apply(x.mean(dim=(0, 2, 3)))
        variance: Tensor = MeanOverRanks.apply((x - mean[:, None, None]).square().mean(dim=(0, 2, 3)))
        with torch.no_grad():
            count = ranks() * x.numel() / x.shape[1]
            assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked += 1
        scale = self.weight * (variance + self.eps).rsqrt()
        return x * scale[:, None, None] + (self.bias - mean * scale)[:, None, None]


def synchronise(net: nn.Module) -> None:
    """Let the batch norms of a net see the pictures of all ranks. Their weights keep their names."""
    for part in net.modules():
        if type(part) is nn.BatchNorm2d:
            part.__class__ = GlobalBatchNorm
