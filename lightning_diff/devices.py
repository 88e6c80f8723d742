"""Where to compute, and whether in bf16."""

from __future__ import annotations

import torch

from .config import Training


def on_gpu(training: Training) -> bool:
    return training.accelerator != "cpu" and torch.cuda.is_available()


def device_of(training: Training) -> str:
    return "cuda" if on_gpu(training) else "cpu"


def bf16_pays(device: str) -> bool:
    """On GPUs, and on CPUs with instructions for it; elsewhere it is emulated: right, but slow."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_tile"))
