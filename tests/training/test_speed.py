"""What a run is said to cost is what it costs."""

import torch
from torch import nn

from lightning_diff.nets.ldm_unet import LatentDiffusionUNet
from lightning_diff.nets.unet import Condition
from lightning_diff.training.speed import matmul_rate, peak_memory, training_flops


def test_flops_of_a_linear_layer_by_hand() -> None:
    x = torch.empty(1, 30, device="meta")
    assert training_flops(lambda: nn.Linear(30, 70), x) == 3 * 2 * 30 * 70


def test_stable_diffusions_step_is_what_is_known_of_it() -> None:
    """2.41 TFLOP a training sample at 64 x 64 latents (three times 803 GFLOP)."""
    condition = Condition(
        *(torch.empty(1, 77, 768, device="meta"), torch.empty(1, 77, device="meta"), torch.empty(1, 1))
    )
    x, t = torch.empty(1, 4, 64, 64, device="meta"), torch.empty(1, device="meta")
    flops = training_flops(lambda: LatentDiffusionUNet(4, 768, (320, 640, 1280, 1280), heads=8), x, t, condition)
    assert abs(flops / 2.41e12 - 1) < 0.02


def test_rate_and_memory_are_measured() -> None:
    cpu = torch.device("cpu")
    assert 1e8 < matmul_rate(cpu, torch.float32, 256) < 1e15
    before = peak_memory(cpu)
    held = torch.ones(int(2 * before) * 2**18)  # as many MiB again, twice
    assert peak_memory(cpu) > before + 0.5 * held.nbytes / 2**20
