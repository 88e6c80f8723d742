"""The device to compute on, and whether it computes well in bf16."""

from __future__ import annotations

import os

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


def take_own_gpu() -> None:
    """Select the GPU of this rank: each rank of a node uses another GPU."""
    local = os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_LOCALID") or "0"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(local) % torch.cuda.device_count())
