"""Where to compute, and whether in bf16."""

from __future__ import annotations

import os

import torch


def on_gpu(accelerator: str) -> bool:
    """`accelerator` is training.accelerator: auto, cpu or gpu."""
    return accelerator != "cpu" and torch.cuda.is_available()


def device_of(accelerator: str) -> str:
    """cuda where a GPU is there and is not refused, else cpu."""
    return "cuda" if on_gpu(accelerator) else "cpu"


def bf16_pays(device: str) -> bool:
    """On GPUs, and on CPUs with instructions for it; elsewhere it is emulated: right, but slow."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_tile"))


def take_own_gpu() -> None:
    """Ranks of one node use a GPU each."""
    local = os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_LOCALID") or "0"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(local) % torch.cuda.device_count())
