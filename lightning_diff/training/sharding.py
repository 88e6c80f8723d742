"""Fully sharded training (FSDP2): each rank keeps a part of every parameter, gradient and moment. What is kept on the disk is
whole, in the same form as without it, so that any number of ranks goes on from it, sharded or not."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor


def shard(net: Any, mesh: DeviceMesh) -> None:
    """A Net, block by block, then the rest of it."""
    net.to(memory_format=torch.contiguous_format)  # it takes no channels_last
    for block in net.blocks():
        fully_shard(block, mesh=mesh)
    fully_shard(net, mesh=mesh)


def local(t: Tensor) -> Tensor:
    """This rank's part."""
    return t.to_local() if isinstance(t, DTensor) else t


def whole(t: Tensor) -> Tensor:
    """A number that all ranks share."""
    return t.full_tensor() if isinstance(t, DTensor) else t


def part_of(full: Tensor, like: Tensor) -> Tensor:
    """This rank's part of a whole tensor that is sharded like another one."""
    if not isinstance(like, DTensor):
        return full.to(like, copy=True)
    return distribute_tensor(full.to(like.device, like.dtype), like.device_mesh, like.placements).to_local()


def whole_of(part: Tensor, like: Tensor) -> Tensor:
    """All ranks' parts together, on the CPU of the first one, whose memory has room for it; the others, which must ask too, have
    no use for it and get nothing."""
    if not isinstance(like, DTensor):
        return part
    found = DTensor.from_local(part, like.device_mesh, like.placements, shape=like.shape, stride=like.stride())
    full = found.full_tensor()
    return full.cpu() if like.device_mesh.get_rank() == 0 else part.new_empty(0)
