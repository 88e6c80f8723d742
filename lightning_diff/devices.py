"""The device to compute on, and whether it computes well in bf16."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

FILLING: Any = torch.utils.deterministic  # whether each new tensor is filled


def on_gpu(accelerator: str) -> bool:
    """Whether to compute on a GPU. `accelerator` is training.accelerator: auto, cpu or gpu."""
    return accelerator != "cpu" and torch.cuda.is_available()


def device_of(accelerator: str) -> str:
    """cuda if there is a GPU and `accelerator` allows it, else cpu."""
    return "cuda" if on_gpu(accelerator) else "cpu"


def bf16_pays(device: str) -> bool:
    """Whether the device has instructions for bf16, and oneDNN may use them. Otherwise it is emulated: the results are right,
    but it is slow."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able, limit = torch.cpu.get_capabilities(), os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    limited = limit.startswith(("SSE", "AVX")) and not limit.endswith(("BF16", "FP16")) and "AMX" not in limit
    return bool(able.get("avx512_bf16") or able.get("amx_tile")) and not limited


@contextmanager
def settings_kept() -> Iterator[None]:
    """What happens inside leaves torch's global settings of precision, of cuDNN and of repeatable kernels as they were."""
    cudnn, repeatable = torch.backends.cudnn, torch.are_deterministic_algorithms_enabled()
    was = torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic
    only_warns, fills = (
        torch.is_deterministic_algorithms_warn_only_enabled(),
        FILLING.fill_uninitialized_memory,
    )
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(was[0])
        cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic = was[1:]
        torch.use_deterministic_algorithms(repeatable, warn_only=only_warns)
        FILLING.fill_uninitialized_memory = fills


def same_bits_on_gpu(always: bool = True) -> None:
    """From now on, torch takes kernels on a GPU whose sums have an order, and none that was the fastest of a trial: both would
    give other bits at each start. An operation that has no such kernel is an error, or with `always` False a warning. It stays
    so until the end of `settings_kept`."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=not always)
    FILLING.fill_uninitialized_memory = False  # it would write into each new tensor


def with_same_bits(work: Callable[[], None], told: Callable[[str], None]) -> None:
    """Do the work with `same_bits_on_gpu`. If an operation has no such kernel (in a user's own net, say), `told` gets torch's
    line about it, and the work begins anew without that promise."""
    same_bits_on_gpu()
    try:
        work()
    except RuntimeError as e:
        if "deterministic" not in str(e):
            raise
        told(str(e).partition(", but")[0])
        same_bits_on_gpu(always=False)
        work()


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
