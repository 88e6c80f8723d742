"""What a W&B server that fails costs a training: python benchmarks/wandb_faults.py [--quick] [--json FILE]

The same training with tracking=online and a server that refuses, hangs, answers 429 or 500, or works, beside
tracking=disabled, by turns, several rounds: the median time of a step of each over that of tracking=disabled. Writes
benchmarks/results/wandb_faults.json.
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
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from lightning_diff.tracking.record import Record  # noqa: E402
from tests.faults.wandb_server import FAULTS, Server  # noqa: E402

BATCH = 32
WARM = 10  # steps that do not count


def step_times(place: Path, name: str, steps: int, tracking: str, environment: dict[str, str]) -> list[float]:
    """Milliseconds, from the record of a training in a process of its own."""
    words = [
        f"training.steps={steps}",
        f"training.batch={BATCH}",
        "training.log_every=1",
        "data.train=256",
        "data.test=64",
    ]
    words += ["evaluation=none", f"tracking={tracking}", f"outputs={place}", f"cache={place}/cache", f"name={name}"]
    with (place / f"{name}.log").open("w") as said:
        command = [sys.executable, "train.py", "experiment=base", *words]
        subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=True, stdout=said, stderr=said)
    rows = Record(place / name).read("train")
    assert [row["step"] for row in rows] == list(range(1, steps + 1))
    return [1000 * BATCH / row["images_per_second"] for row in rows[WARM:]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of few steps: does it run?")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "wandb_faults.json")
    a = parser.parse_args()
    rounds, steps = (1, 20) if a.quick else (3, 150)
    times: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            times["disabled"] += step_times(Path(folder), f"disabled-{number}", steps, "disabled", {})
            for fault in (None, *FAULTS):
                with Server(fault) as server:
                    case = fault or "works"
                    times[case] += step_times(Path(folder), f"{case}-{number}", steps, "online", server.environment)
    medians = {case: statistics.median(values) for case, values in times.items()}
    base = medians.pop("disabled")
    rows = [
        {
            "case": case,
            "unit": "ms a step",
            "here": ms,
            "peer": base,
            "peer_name": "tracking=disabled",
            "ratio": base / ms,
        }
        for case, ms in medians.items()
    ]
    print(f"tracking=disabled: {base:.1f} ms a step, median of {len(times['disabled'])}")
    for row in rows:
        print(f"server {row['case']:8} {row['here']:7.1f} ms a step, ratio {row['ratio']:.3f}")
    facts = {
        "device": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "rounds": rounds,
        "steps": steps,
    }
    a.json.parent.mkdir(exist_ok=True)
    a.json.write_text(json.dumps({"passport": facts, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
