"""Core-seconds of training until the pictures obey their captions: python benchmarks/time_to_quality.py

It trains the recipe that experiment=base had (AdamW, cosine), the one that it has, and diffusers' text_to_image recipe with a
UNet of diffusers (AdamW, eps, four learning rates), with the same frozen parts and the same cached features. Ten times in a
training the averaged net draws 512 held-out captions at w = 3 (ten steps of Euler: up to w = 4 they give the numbers of twenty).
The first seed chooses diffusers' rate, the others repeat it. A training's core-seconds are its steps times the core-seconds of a
step: what short trainings of the sides take of one thread's CPU between their steps, in turns, medians. So where the steps are
trained does not matter.
The same command continues where it was killed: each training is a run folder.

--accelerator gpu: train on a GPU, in bf16   --curves FILE: write there what the trainings found, or take it from there
--no-costs: train alone   --quick: one seed, few steps, 64 captions
--sides before,now   --seeds 0,1,2   --outputs DIR   --json FILE
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

OLDER = ("text.layer=1",)  # as in the recipe of before, and in diffusers'
SIDES: dict[str, tuple[int, *tuple[str, ...]]] = {  # steps, and the words
    # AdamW 1.5e-3, a warm-up of 200 steps, a cosine to 0
    "before": (1500, "net=small", "objective.shift=1", "objective.shift_end=null", "training=diffusion", *OLDER),
    "now": (520,),  # experiment=base as it is, but for the number of pictures
}
RATES = ("6e-4", "1.2e-3", "2.4e-3", "4.8e-3")
PEER = (
    1500,
    "plugins=[benchmarks/peer_net.py]",
    "net=peer",
    "objective=stable_diffusion",
    "training=diffusion",
    *OLDER,
)
SIDES |= {f"diffusers-{rate}": (*PEER, f"training.learning_rate={rate}") for rate in RATES}
MEASUREMENTS = 10  # in a training
GOALS = {"single objects right": ("single_object_accuracy", 0.85), "all attributes right": ("accuracy", 0.65)}
Curve = list[tuple[int, Mapping[str, Any]]]  # (steps, the scores then)


def run(side: str, name: str, steps: int, outputs: Path, *more: str) -> Path:
    """Train, or continue, one run on one thread or a GPU. Returns its folder. Raises CalledProcessError if it fails."""
    words = [
        *("experiment=base", *SIDES[side][1:], f"training.steps={steps}", f"name={name}"),
        *(f"outputs={outputs}", f"cache={outputs}/cache", "tracking=disabled", "training.devices=1"),
        *("data.train=16384", "validation.every=0"),  # as many pictures as base had when this was measured
        *more,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "train.py", *words], cwd=ROOT, env=environment, check=True)
    return outputs / name


def train(side: str, seed: int, outputs: Path, quick: bool, accelerator: str) -> Path:
    """`run` with a seed and its measurements."""
    steps = 15 if quick else SIDES[side][0]
    every = max(1, steps // MEASUREMENTS)
    more = [
        *(f"training.accelerator={accelerator}", f"seed={seed}", f"evaluation.every={every}"),
        *(f"evaluation.quick={64 if quick else 512}", "guidance.scale=3", "sampler=euler", "sampler.steps=10"),
        *("evaluation.samples=256", "guidance.scales=[1,3]", f"training.checkpoint_every={every}"),
    ]
    if quick:
        more += ["training.warmup=2", "evaluation.samples=16", "sampler.steps=4"]  # the last of a name counts
    return run(side, f"{side}-{seed}", steps, outputs, *more)


def trained(kinds: list[tuple[str, int]], outputs: Path, quick: bool, accelerator: str) -> list[tuple[str, Curve]]:
    """Train these sides with these seeds, one on each core. Returns each side with its measurements, in the order asked for."""
    with ThreadPoolExecutor(cores()) as pool:
        folders = pool.map(lambda kind: train(*kind, outputs, quick, accelerator), kinds)
        return [(side, curve_of(folder)) for (side, _), folder in zip(kinds, folders, strict=True)]


def curve_of(folder: Path) -> Curve:
    """(the steps up to there, the scores) of each measurement of a run, in order."""
    columns = [*dict(GOALS.values()), "fid"]
    return [(row["step"], {c: row[c] for c in columns}) for row in Record(folder).curve("quick")]


def all_curves(sides: list[str], seeds: list[int], a: argparse.Namespace, outputs: Path) -> dict[str, list[Curve]]:
    """The measurements of each side, a training a seed; of diffusers' sides the best one's alone has all seeds."""
    at_first = trained([(side, seeds[0]) for side in sides], outputs, a.quick, a.accelerator)
    curves = {side: [curve] for side, curve in at_first}
    best = best_rate(curves)
    again = [(side, seed) for seed in seeds[1:] for side in sides if side == best or not side.startswith("diffusers")]
    for side, curve in trained(again, outputs, a.quick, a.accelerator):
        curves[side].append(curve)
    return curves


def best_rate(curves: Mapping[str, list[Curve]]) -> str | None:
    """diffusers' side that obeys most captions at the end, with the first seed."""
    rates = [side for side in curves if side.startswith("diffusers")]
    return max(rates, key=lambda side: curves[side][0][-1][1]["accuracy"], default=None)


def core_seconds(sides: list[str], outputs: Path, quick: bool) -> dict[str, float]:
    """What a step of each side takes of one thread, in seconds: medians of rows of a few steps, after the first row."""
    kinds = {kind_of(side): side for side in sides}  # one of diffusers' rates costs as much as another
    rows: dict[str, list[float]] = {kind: [] for kind in kinds}
    steps, every, turns = (4, 2, 1) if quick else (24, 4, 3)
    for turn in range(turns):
        for kind, side in kinds.items():
            plain = ("training.accelerator=cpu", "evaluation.enabled=false", "training.warmup=2")
            folder = run(side, f"cost-{kind}-{turn}", steps, outputs, *plain, f"training.log_every={every}")
            rows[kind] += [row["core_seconds"] / every for row in Record(folder).curve()[1:]]
    return {side: statistics.median(rows[kind_of(side)]) for side in sides}


def kind_of(side: str) -> str:
    return side.partition("-")[0]


def arrival(curve: Curve, column: str, goal: float) -> float | None:
    """The steps at which the line through the measurements first reaches the goal; None if none does."""
    begun, reached = 0.0, 0.0
    for step, row in curve:
        if row[column] >= goal:
            return begun + (step - begun) * (goal - reached) / (row[column] - reached)
        begun, reached = step, row[column]
    return None


def compared(curves: Mapping[str, list[Curve]], costs: Mapping[str, float]) -> list[dict[str, Any]]:
    """Print when each side arrives, and return a row for each goal and each side that `now` is compared with."""
    against = {"the recipe before": "before", "diffusers at its best rate": best_rate(curves)}
    rows = []
    for goal, (column, least) in GOALS.items():
        found: dict[str, float | None] = {}
        for side, of_seeds in curves.items():
            steps = [arrival(curve, column, least) for curve in of_seeds]
            times = [None if n is None else n * costs[side] for n in steps]
            reached = [t for t in times if t is not None]
            found[side] = statistics.mean(reached) if len(reached) == len(times) else None
            last = ", ".join(f"{c[-1][1][column]:.3f} after {c[-1][0] * costs[side]:.0f}" for c in of_seeds)
            said = ", ".join("not reached" if t is None else f"{t:.0f}" for t in times)
            print(f"{goal} >= {least}: {side}: {said} core-seconds (at the end: {last})")
        here = found.get("now")
        for name, other in against.items():
            if not here or other not in curves:
                continue
            peer = found[other]
            # A side that never arrived is dearer than all that it spent.
            spent = peer or min(curve[-1][0] for curve in curves[other]) * costs[other]
            print(f"{goal}: {name} costs {'' if peer else '> '}{spent / here:.1f} times as much")
            case = {"case": f"{goal} >= {least} at w = 3", "unit": "core-seconds", "peer_name": name}
            rows.append({**case, "here": here, "peer": peer, "ratio": peer / here if peer else None})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--accelerator", default="cpu", choices=["cpu", "gpu"])
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--sides", default=",".join(SIDES))
    parser.add_argument("--no-costs", action="store_true")
    for name in ("--curves", "--json"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--outputs", type=Path, default=Path("outputs/time_to_quality"))
    a = parser.parse_args()
    seeds = [0] if a.quick else [int(seed) for seed in a.seeds.split(",")]
    outputs = (a.outputs / "quick" if a.quick else a.outputs).absolute()
    if a.curves and a.curves.exists():
        curves = json.loads(a.curves.read_text())
    else:
        curves = all_curves(a.sides.split(","), seeds, a, outputs)
        if a.curves:
            a.curves.write_text(json.dumps(curves))
    if a.no_costs:
        return
    costs = core_seconds(list(curves), outputs, a.quick)
    print("core-seconds a step: " + ", ".join(f"{side} {cost:.3f}" for side, cost in costs.items()))
    rows = compared(curves, costs)
    if a.json:
        passport = {
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "trainings": {side: len(of_seeds) for side, of_seeds in curves.items()},
            "sides": SIDES,
            "core_seconds_a_step": costs,
        }
        a.json.write_text(json.dumps({"passport": passport, "rows": rows, "curves": curves}, indent=1))


if __name__ == "__main__":
    main()
