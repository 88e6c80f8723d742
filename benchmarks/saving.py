"""The time that a training waits for a checkpoint: python benchmarks/saving.py [--quick] [--json FILE]

It runs SGD on a stack of linear layers and saves a checkpoint at regular steps. "At once": the checkpoint is written directly,
as small ones are. "Meanwhile": it is copied, and written while the next steps run, as large ones are. Several rounds in turns
measure the seconds that a call delays the training, and the seconds of a round with two checkpoints and of a round without.
Writes benchmarks/results/saving.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from lightning_diff.training import checkpoint as saving  # noqa: E402

CASES = {"none": None, "at once": 2**60, "meanwhile": 0}


def rounded(net: nn.Module, place: Path, large: int | None, steps: int) -> tuple[float, list[float]]:
    """(seconds of 2 x `steps` steps with a checkpoint after each half, seconds that each call took)."""
    saving.LARGE = large or 0
    writer, x, held = saving.AtomicCheckpoints(), torch.randn(256, net[0].in_features), []  # type: ignore[index]
    begin = time.perf_counter()
    for step in range(2 * steps):
        net(x).square().mean().backward()
        with torch.no_grad():
            for p in net.parameters():
                assert p.grad is not None
                p -= 1e-6 * p.grad
                p.grad = None
        if large is not None and step % steps == 0:
            asked = time.perf_counter()
            writer.save_checkpoint({"global_step": step, "state_dict": net.state_dict()}, place / "last.ckpt")
            held.append(time.perf_counter() - asked)
    writer.wait()
    return time.perf_counter() - begin, held


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of a small net: does it run?")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "saving.json")
    a = parser.parse_args()
    width, layers, rounds, steps = (256, 2, 1, 2) if a.quick else (2048, 16, 3, 8)
    net = nn.Sequential(*(nn.Linear(width, width) for _ in range(layers)))
    whole, held = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds + 1):  # the first one warms up
            for case, large in CASES.items():
                seconds, calls = rounded(net, Path(folder), large, steps)
                whole[case].append(seconds)
                held[case] += calls
    rows: list[dict[str, Any]] = []
    size = sum(p.nbytes for p in net.parameters()) / 2**20
    none = statistics.median(whole["none"][1:])
    for case in ("at once", "meanwhile"):
        call, total = statistics.median(held[case][2:]), statistics.median(whole[case][1:])
        rows.append({"case": case, "mib": size, "held_s": call, "round_s": total, "round_without_s": none})
        print(
            f"{case:10} {size:.0f} MiB: a call holds the training up {call:.2f} s; two cost {total - none:.2f} s of {none:.1f} s"
        )
    facts = {"device": platform.processor() or platform.machine(), "cores": os.cpu_count(), "rounds": rounds}
    a.json.parent.mkdir(exist_ok=True)
    a.json.write_text(json.dumps({"passport": facts, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
