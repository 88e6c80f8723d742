"""The cost of a failing W&B server for a training: python benchmarks/wandb_faults.py [--quick] [--json FILE]

For each fault (refuses, hangs, 429, 500) one training runs with tracking=online. Its server changes every few seconds between
working and failing, and the median step time of both states is measured in the same run. For comparison, trainings with a
server that always works and trainings with tracking=disabled take turns. Writes benchmarks/results/wandb_faults.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from lightning_diff.tracking.record import Record  # noqa: E402
from tests.faults.wandb_server import FAULTS, Server  # noqa: E402

BATCH = 32
WARM = 10  # steps that do not count
PERIOD = 5.0  # seconds in each state


def trained(place: Path, name: str, steps: int, server: Server | None, fault: str | None) -> list[tuple[float, bool]]:
    """(milliseconds, whether the server failed) for each step, from the record of a training in a separate process. A step in
    which the server changes is left out."""
    tracking = "online" if server else "disabled"
    words = [
        f"training.steps={steps}",
        f"training.batch={BATCH}",
        "training.log_every=1",
        "data.train=256",
        "data.test=64",
    ]
    words += ["evaluation=none", f"tracking={tracking}", f"outputs={place}", f"cache={place}/cache", f"name={name}"]
    changes = [(time.time(), False)]
    with (place / f"{name}.log").open("w") as said:
        environment = {**os.environ, **(server.environment if server else {})}
        process = subprocess.Popen(
            [sys.executable, "train.py", "experiment=base", *words], cwd=ROOT, env=environment, stdout=said, stderr=said
        )
        while process.poll() is None:
            time.sleep(0.02)
            if server and fault and time.time() - changes[-1][0] > PERIOD:
                fails = not changes[-1][1]
                server.turn(fault if fails else None)
                changes.append((time.time(), fails))
    assert process.returncode == 0
    rows = Record(place / name).read("train")
    assert [row["step"] for row in rows] == list(range(1, steps + 1))
    found = []
    for before, row in pairwise(rows[WARM:]):
        then, now = (
            next(i for i, (at, _) in reversed([*enumerate(changes)]) if at <= r["time"]) for r in (before, row)
        )
        if then == now:
            found.append((1000 * BATCH / row["images_per_second"], changes[now][1]))
    return found


def median(times: list[tuple[float, bool]], failed: bool) -> float:
    return statistics.median(ms for ms, kind in times if kind == failed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few steps: does it run?")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "wandb_faults.json")
    a = parser.parse_args()
    steps = 120 if a.quick else 600
    rows: list[dict[str, Any]] = []

    def told(case: str, here: float, peer: float, name: str) -> None:
        rows.append(
            {"case": case, "unit": "ms a step", "here": here, "peer": peer, "peer_name": name, "ratio": peer / here}
        )
        print(f"{case:8} {here:7.1f} ms a step, {name} {peer:7.1f}: {here / peer - 1:+.1%}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        trained(place, "warm", 20, None, None)
        off, on = [], []
        for turn in range(1 if a.quick else 3):  # these two cannot share a run
            off += trained(place, f"disabled{turn}", steps // 6, None, None)
            with Server() as server:
                on += trained(place, f"works{turn}", steps // 6, server, None)
        told("works", median(on, False), median(off, False), "tracking=disabled")
        for fault in FAULTS:
            with Server() as server:
                times = trained(place, fault, steps, server, fault)
            told(fault, median(times, True), median(times, False), "while it answers")
    facts = {"device": platform.processor() or platform.machine(), "cores": os.cpu_count(), "steps": steps}
    a.json.parent.mkdir(exist_ok=True)
    a.json.write_text(json.dumps({"passport": facts, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
