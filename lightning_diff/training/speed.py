"""The cost of a training: its floating-point operations, the device's measured rate, and the peak memory."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ..models.build import build
from ..nets.unet import Condition


def training_flops(make: Callable[[], nn.Module], *inputs: Tensor | object) -> float:
    """Operations of a training step for one sample: three times those of the forward pass. They are counted on the meta
    device, where nothing is computed. `make` builds the net, `inputs` are meta tensors of a batch of one."""
    with torch.device("meta"):
        net = make()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(*inputs)
    return 3.0 * counter.get_total_flops()


def matmul_rate(device: torch.device, dtype: torch.dtype, size: int = 0) -> float:
    """Operations per second of a square matrix product: the median of five measurements, after one to warm up."""
    size = size or (8192 if device.type == "cuda" else 1024)
    a = torch.ones(size, size, device=device, dtype=dtype)
    seconds = []
    for _ in range(6):
        begin = time.perf_counter()
        (a @ a)[0, 0].item()  # waits for the device
        seconds.append(time.perf_counter() - begin)
    return 2 * size**3 / sorted(seconds[1:])[2]


def peak_memory(device: torch.device) -> float:
    """The peak memory of this process in MiB: of the GPU if there is one, else of the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def step_flops(net: dict[str, Any], null: Condition, channels: int, side: int) -> float:
    """Operations of a training step for one latent [channels, side, side]. `net` is the net's description in a passport."""
    meta = torch.device("meta")
    x = torch.empty(1, channels, side, side, device=meta)
    return training_flops(lambda: build({"part": "net", "net": net}), x, torch.empty(1, device=meta), null.to(meta))
