"""Fully sharded training (FSDP2): each rank keeps a shard of every parameter, gradient and moment.

The checkpoints hold full tensors, in the same form as without sharding. So any number of ranks can continue from them, with
or without sharding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed import all_reduce, get_world_size
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Partial, distribute_tensor


def shard(net: Any, mesh: DeviceMesh) -> None:
    """Shard a Net: first each of its blocks, then the rest."""
    net.to(memory_format=torch.contiguous_format)  # fully_shard does not accept channels_last
    for block in net.blocks():
        fully_shard(block, mesh=mesh)
    fully_shard(net, mesh=mesh)


def local_shard(t: Tensor) -> Tensor:
    """This rank's shard; a tensor that is not sharded is returned as it is."""
    return t.to_local() if isinstance(t, DTensor) else t


def full_tensor(t: Tensor) -> Tensor:
    """The full tensor, on all ranks. All ranks must call this."""
    return t.full_tensor() if isinstance(t, DTensor) else t


def gathered(t: Tensor) -> Tensor:
    """The full tensor, on all ranks, with a gradient that is the mean over the ranks. All ranks must call this."""
    return t.full_tensor(grad_placements=[Partial("avg")]) if isinstance(t, DTensor) else t


def average_gradients(net: nn.Module) -> None:
    """Average the gradients of a net that is not sharded over the ranks, as soon as they are there."""

    def average(p: Tensor) -> None:
        if p.grad is not None:
            all_reduce(p.grad)
            p.grad /= get_world_size()

    for p in net.parameters():
        p.register_post_accumulate_grad_hook(average)


def shard_like(full: Tensor, like: Tensor) -> Tensor:
    """This rank's shard of `full`, which is split in the same way as `like`."""
    if not isinstance(like, DTensor):
        return full.to(like, copy=True)
    return distribute_tensor(full.to(like.device, like.dtype), like.device_mesh, like.placements).to_local()


def gather_full(part: Tensor, like: Tensor) -> Tensor:
    """The full tensor, gathered from the shards of all ranks, on the CPU of the first rank. The other ranks must call this too,
    but they get an empty tensor, because they do not need the full one."""
    if not isinstance(like, DTensor):
        return part
    found = DTensor.from_local(part, like.device_mesh, like.placements, shape=like.shape, stride=like.stride())
    full = found.full_tensor()
    return full.cpu() if like.device_mesh.get_rank() == 0 else part.new_empty(0)
