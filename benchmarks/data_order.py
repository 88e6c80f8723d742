"""The order of a large set: python benchmarks/data_order.py [--quick] [--json FILE]

The seconds until a step in the middle of a run is known (a fresh object), those of each further batch of 256, and the memory
of the process. `blocks` needs the counts of the shards alone; `full` permutes all samples of an epoch, and is measured on a
set that fits into the memory. CPU seconds are those of the process, so that others on the machine do not count; the wall's
are beside them. Medians of five. Writes benchmarks/results/data_order.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

BATCH, REPEATS, FURTHER = 256, 5, 2000
SIZES = {
    "1e9 samples in 1e5 shards": (10**9, 10**5, 1),
    "1e9, nine buckets": (10**9, 10**5, 9),
    "1e7 in 1e3": (10**7, 10**3, 1),
}
FULL = {"1e7 samples": 10**7}


def memory() -> float:
    """MiB that the process has at the peak."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return float("nan")


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """(CPU, wall) seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def in_blocks(samples: int, shards: int, buckets: int) -> dict[str, Any]:
    from lightning_diff.data.ordering.blocks import BlockOrder

    shares = np.ones(shards * buckets) / (shards * buckets)
    counts = np.random.default_rng(0).multinomial(samples, shares).reshape(shards, buckets)
    step, before = samples // BATCH + samples // BATCH // 3, memory()
    seeks = [timed(lambda: BlockOrder(counts, BATCH, 0).at(step)) for _ in range(REPEATS)]
    order = BlockOrder(counts, BATCH, 0)
    order.at(step)
    further = [timed(lambda: [order.at(step + i) for i in range(FURTHER)]) for _ in range(REPEATS)]
    return {**times(seeks, further), "memory_mib": memory() - before}


def in_full(samples: int) -> dict[str, Any]:
    from lightning_diff.data.order import FullOrder, epoch_order

    order, before = FullOrder(samples, BATCH, 0), memory()
    step, seeks = samples // BATCH + samples // BATCH // 3, []
    for _ in range(REPEATS):
        epoch_order.cache_clear()
        seeks.append(timed(lambda: order.places(step)))
    further = [timed(lambda: [order.places(step + i) for i in range(FURTHER)]) for _ in range(REPEATS)]
    return {**times(seeks, further), "memory_mib": memory() - before}


def times(seeks: list[tuple[float, float]], further: list[tuple[float, float]]) -> dict[str, float]:
    """Milliseconds."""
    seek, batch = zip(*seeks, strict=True), zip(*further, strict=True)
    found = dict(zip(("seek_ms", "seek_wall_ms"), (1e3 * statistics.median(s) for s in seek), strict=True))
    each = (1e3 * statistics.median(s) / FURTHER for s in batch)
    return found | dict(zip(("batch_ms", "batch_wall_ms"), each, strict=True))


def measured(case: str) -> dict[str, Any]:
    """A case in a process of its own, so that its memory is its own."""
    words = [sys.executable, __file__, "--case", case]
    return json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "data_order.json")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        kind, _, case = given.case.partition(":")
        print(json.dumps(in_blocks(*SIZES[case]) if kind == "blocks" else in_full(FULL[case])))
        return
    load = os.getloadavg()[0]
    cases = [f"blocks:{case}" for case in SIZES] + [f"full:{case}" for case in FULL]
    rows = []
    print(f"{'':34}{'seek':>22}{'batch of 256':>22}{'memory':>10}")
    for case in cases[-2:] if given.quick else cases:
        found = measured(case)
        rows.append({"case": case, **found})
        print(
            f"{case:34}{found['seek_ms']:8.1f} ({found['seek_wall_ms']:8.1f}) ms{found['batch_ms']:8.3f} "
            f"({found['batch_wall_ms']:7.3f}) ms{found['memory_mib']:6.0f} MiB",
            flush=True,
        )
    facts = {"python": platform.python_version(), "numpy": np.__version__, "machine": platform.processor() or "cpu"}
    passport = {**facts, "cores": os.cpu_count(), "load before": load, "load after": os.getloadavg()[0]}
    given.json.write_text(json.dumps({"passport": passport, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
