"""The device to compute on, and whether it computes well in bf16."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def on_gpu(accelerator: str) -> bool:
    """Whether to compute on a GPU. `accelerator` is training.accelerator: auto, cpu or gpu."""
    return accelerator != "cpu" and torch.cuda.is_available()


def device_of(accelerator: str) -> str:
    """cuda if there is a GPU and `accelerator` allows it, else cpu."""
    return "cuda" if on_gpu(accelerator) else "cpu"


def bf16_pays(device: str) -> bool:
    """Whether the device has instructions for bf16. Other devices emulate it: the results are right, but it is slow."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_tile"))


@contextmanager
def settings_kept() -> Iterator[None]:
    """What happens inside leaves torch's global settings of precision and of cuDNN as they were."""
    cudnn = torch.backends.cudnn
    was = torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.benchmark
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(was[0])
        cudnn.allow_tf32, cudnn.benchmark = was[1:]


@contextmanager
def full_float32(device: str) -> Iterator[None]:
    """Inside, products of float32 on this device are computed in float32: no TF32, no bf16, and no choice of kernels by speed."""
    with settings_kept(), torch.autocast(device, enabled=False):
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = False
        yield


def take_own_gpu(accelerator: str) -> None:
    """Select the GPU of this rank, before anything else uses one: each rank of a node uses another GPU."""
    if not on_gpu(accelerator):
        return
    local = os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_LOCALID") or "0"
    torch.cuda.set_device(int(local) % torch.cuda.device_count())
