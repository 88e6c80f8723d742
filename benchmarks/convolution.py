"""Convolutions of 3x3 on one thread: those of the nets (nets/convolution) beside torch's own, in turns.

python benchmarks/convolution.py [--quick] [--json FILE]

For each shape (pictures, inputs, outputs, side): the milliseconds of the forward pass and of the backward pass, medians, how many
times as fast the net's is, and how far both are from float64. With --all Winograd's algorithm serves everywhere: the limits in
nets/convolution/conv.py come from that.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from lightning_diff.heap import keep_heap  # noqa: E402
from lightning_diff.nets.convolution import conv  # noqa: E402

WAYS = ("forward", "backward")
SHAPES = (
    *((32, 192, 192, 8), (32, 96, 48, 16), (32, 48, 48, 16)),  # of experiment=base, on one of two processes
    *((4, 64, 64, 32), (4, 128, 64, 32), (4, 128, 128, 16), (4, 128, 128, 32)),  # of benchmarks/core.py
    *((4, 256, 256, 8), (4, 256, 256, 4)),
    *((2, 320, 320, 32), (2, 640, 640, 16), (2, 1280, 1280, 8)),  # of Stable Diffusion 1.x at 256 px
    *((1, 512, 512, 32), (1, 256, 256, 64), (1, 128, 128, 128)),  # of its decoder
)


def milliseconds(works: list[Callable[[], Any]], rounds: int) -> list[float]:
    """The median of each work's CPU time; they take turns."""
    taken: list[list[float]] = [[] for _ in works]
    for n in range(rounds + 1):
        for work, times in zip(works, taken, strict=True):
            begin = time.thread_time()
            work()
            if n:
                times.append(1000 * (time.thread_time() - begin))
    return [statistics.median(times) for times in taken]


def far(found: Tensor, right: Tensor) -> float:
    return float((found - right).norm() / right.norm())


def measure(b: int, i: int, o: int, side: int, rounds: int) -> dict[str, Any]:
    """One shape. The net's layer decides as it does in a net, forwards without gradients, backwards with them."""
    layer = conv.Conv3x3(i, o).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.randn(b, i, side, side).contiguous(memory_format=torch.channels_last).requires_grad_()
    grad = torch.randn(b, o, side, side).contiguous(memory_format=torch.channels_last)
    all_of = (x, layer.weight, layer.bias)

    def direct() -> Tensor:
        return F.conv2d(x, layer.weight, layer.bias, padding=1)

    ys = layer(x), direct()
    with torch.no_grad():
        forward = milliseconds([lambda: layer(x), direct], rounds)
        exact = F.conv2d(x.double(), layer.weight.double(), layer.bias.double(), padding=1)
        errors = [far(layer(x), exact), far(direct(), exact)]
    backward = milliseconds(
        [lambda y=y: torch.autograd.grad(y, all_of, grad, retain_graph=True) for y in ys],  # type: ignore[misc]
        rounds,
    )
    return {
        "shape": [b, i, o, side],
        "forward": forward,
        "forward_ratio": forward[1] / forward[0],
        "backward": backward,
        "backward_ratio": backward[1] / backward[0],
        "errors": errors,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two small shapes, one round: does it work?")
    parser.add_argument("--all", action="store_true", help="take the algorithm for every shape")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    a = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    keep_heap()
    if a.all:
        conv.PICTURES = conv.WEIGHTS = (0, 0)
    shapes = ((4, 96, 96, 8), (1, 8, 8, 8)) if a.quick else SHAPES
    found = [measure(*shape, rounds=1 if a.quick else 9) for shape in shapes]
    for row in found:
        b, i, o, side = row["shape"]
        says = [f"{way} {row[way][0]:.2f} ms, torch {row[way][1]:.2f} ({row[way + '_ratio']:.2f} x)" for way in WAYS]
        print(f"{b} pictures, {i} to {o} channels, {side} x {side}: {'; '.join(says)}; error {row['errors'][0]:.1e}")
    if a.json:
        a.json.write_text(json.dumps({"torch": torch.__version__, "rows": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
