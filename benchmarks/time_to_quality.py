"""Core-seconds of training until the pictures obey their captions: python benchmarks/time_to_quality.py

It trains the recipe that experiment=base had (AdamW, cosine), the one that it has, and diffusers' text_to_image recipe with a
UNet of diffusers (AdamW, eps, four learning rates), with the same frozen parts and the same cached features, each in one process
with one thread, as many at once as cores. Ten times in a training the averaged net draws 512 held-out captions at w = 3 (ten
steps of Euler: up to w = 4 they give the numbers of twenty). The first seed chooses diffusers' rate, the others repeat it.
The core-seconds are the process's time on the CPU between the steps; the pictures' time does not count. The same command
continues where it was killed: each training is a run folder.

--quick: one seed, few steps, 64 captions. --sides before,now   --seeds 0,1,2   --outputs DIR   --json FILE
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from lightning_diff.cluster.processes import cores  # noqa: E402
from lightning_diff.tracking.record import Record  # noqa: E402

SIDES: dict[str, tuple[int, *tuple[str, ...]]] = {  # steps, and the words
    # AdamW 1.5e-3, a warm-up of 200 steps, a cosine to 0
    "before": (1500, "net=small", "objective.shift=1", "objective.shift_end=null", "training=diffusion"),
    "now": (540,),  # experiment=base as it is
}
RATES = ("3e-4", "6e-4", "1.2e-3", "2.4e-3")
PEER = (
    900,
    "plugins=[benchmarks/peer_net.py]",
    "net=peer",
    "objective=stable_diffusion",
    "training=diffusion",
)
SIDES |= {f"diffusers-{rate}": (*PEER, f"training.learning_rate={rate}") for rate in RATES}
MEASUREMENTS = 10  # in a training
GOALS = {"single objects right": ("single_object_accuracy", 0.85), "all attributes right": ("accuracy", 0.65)}
Curve = list[tuple[float, Mapping[str, Any]]]


def train(side: str, seed: int, outputs: Path, quick: bool) -> Path:
    """Train, or continue, one run on one thread. Returns its folder. Raises CalledProcessError if it fails."""
    name, (steps, *own) = f"{side}-{seed}", SIDES[side]
    steps = 15 if quick else steps
    every = max(1, steps // MEASUREMENTS)
    words = [
        *(
            "experiment=base",
            *own,
            f"training.steps={steps}",
            f"seed={seed}",
            f"name={name}",
            f"outputs={outputs}",
            f"cache={outputs}/cache",
        ),
        *("tracking=disabled", "training.devices=1", "training.accelerator=cpu", "validation.every=0"),
        *(f"evaluation.every={every}", f"evaluation.quick={64 if quick else 512}", "guidance.scale=3"),
        *("sampler=euler", "sampler.steps=10", "evaluation.samples=256", "guidance.scales=[1,3]"),
        *(f"training.log_every={every}", f"training.checkpoint_every={every}"),
    ]
    if quick:
        words += ["training.warmup=2", "evaluation.samples=16", "sampler.steps=4"]  # the last of a name counts
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "train.py", *words], cwd=ROOT, env=environment, check=True)
    return outputs / name


def trained(kinds: list[tuple[str, int]], outputs: Path, quick: bool) -> list[tuple[str, Curve]]:
    """Train these sides with these seeds, one on each core. Returns each side with its measurements, in the order asked for."""
    with ThreadPoolExecutor(cores()) as pool:
        folders = pool.map(lambda kind: train(kind[0], kind[1], outputs, quick), kinds)
        return [(side, curve_of(folder)) for (side, _), folder in zip(kinds, folders, strict=True)]


def curve_of(folder: Path) -> Curve:
    """(core-seconds of training up to there, the scores) of each measurement of a run, in order."""
    record, spent, at = Record(folder), 0.0, {}
    for row in record.curve():
        spent += row["core_seconds"]
        at[row["step"]] = spent
    return [(at[row["step"]], row) for row in record.curve("quick") if row["step"] in at]


def arrival(curve: Curve, column: str, goal: float) -> float | None:
    """The core-seconds at which the line through the measurements first reaches the goal; None if none does."""
    begun, reached = 0.0, 0.0
    for spent, row in curve:
        if row[column] >= goal:
            return begun + (spent - begun) * (goal - reached) / (row[column] - reached)
        begun, reached = spent, row[column]
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--sides", default=",".join(SIDES))
    parser.add_argument("--outputs", type=Path, default=Path("outputs/time_to_quality"))
    parser.add_argument("--json", type=Path)
    a = parser.parse_args()
    seeds = [0] if a.quick else [int(seed) for seed in a.seeds.split(",")]
    outputs = (a.outputs / "quick" if a.quick else a.outputs).absolute()
    sides = a.sides.split(",")
    curves = {side: [curve] for side, curve in trained([(side, seeds[0]) for side in sides], outputs, a.quick)}
    rates = [side for side in sides if side.startswith("diffusers")]
    best = max(rates, key=lambda side: curves[side][0][-1][1]["accuracy"], default=None)
    again = [(side, seed) for seed in seeds[1:] for side in sides if side == best or side not in rates]
    for side, curve in trained(again, outputs, a.quick):
        curves[side].append(curve)
    against: dict[str, str | None] = {"the recipe before": "before", "diffusers at its best rate": best}
    rows = []
    for goal, (column, least) in GOALS.items():
        found: dict[str, float | None] = {}
        for side, of_seeds in curves.items():
            times = [arrival(curve, column, least) for curve in of_seeds]
            reached = [t for t in times if t is not None]
            found[side] = statistics.mean(reached) if len(reached) == len(times) else None
            last = ", ".join(f"{curve[-1][1][column]:.3f} after {curve[-1][0]:.0f}" for curve in of_seeds)
            said = ", ".join("not reached" if t is None else f"{t:.0f}" for t in times)
            print(f"{goal} >= {least}: {side}: {said} core-seconds (at the end: {last})")
        here = found.get("now")
        for name, other in against.items():
            peer = found.get(other) if other else None
            ratio = peer / here if here and peer else None
            case = {"case": f"{goal} >= {least} at w = 3", "unit": "core-seconds"}
            rows.append({**case, "here": here, "peer": peer, "peer_name": name, "ratio": ratio})
            if here and other in curves:  # a side that never arrived is dearer than all that it spent
                spent = peer or min(curve[-1][0] for curve in curves[other])
                print(f"{goal}: {name} costs {'' if peer else '> '}{spent / here:.1f} times as much")
    if a.json:
        passport = {
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "seeds": seeds,
            "sides": SIDES,
            "measurements": MEASUREMENTS,
        }
        a.json.write_text(json.dumps({"passport": passport, "rows": rows, "curves": curves}, indent=1, default=str))


if __name__ == "__main__":
    main()
