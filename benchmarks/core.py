"""Speed of a training step and of guided sampling in 20 steps, here and in diffusers, with the same architecture and weights.

python benchmarks/core.py            # everything, about an hour on two cores; half of it is torch.compile
python benchmarks/core.py --quick    # one or two minutes: one round, nothing compiled
python benchmarks/core.py --size sd15-32 --batches 16,32,64     # on a GPU

Each measurement is a separate process. This project ("here") and diffusers ("peer") take turns, and the median of the rounds
counts. Modes: eager (float32), bf16 (bf16 autocast here and in training, bf16 weights in the peer's pipeline; channels_last,
fused optimizer, foreach EMA), compile (bf16 and torch.compile of the net). The pictures of both sides are compared in eager
mode.
Writes benchmarks/results/core-DEVICE-SIZE.json and .md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
JOBS = Path(__file__).with_name("core_jobs.py")
RESULTS = ROOT / "benchmarks" / "results"
console = Console()
FORMS = {
    "here": ".3f",
    "peer": ".3f",
    "ratio": ".2f",
    "here_memory": ".0f",
    "peer_memory": ".0f",
}
Runs = dict[tuple[str, str, str, int], list[dict[str, float]]]


def measure(side: str, job: str, mode: str, size: str, batch: int, count: int, *more: str) -> dict[str, Any]:
    """Run one measurement in a process. If it runs out of memory or dies, the result holds the reason instead of numbers."""
    words = [side, job, mode, size, str(batch), str(count), *more]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, JOBS, *words], capture_output=True, text=True, env=environment)
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["killed"])[-1][:200]}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def difference(size: str, batch: int) -> float:
    """The largest difference between a pixel of the two sides' pictures; pixels are in [0, 1]."""
    import torch

    with tempfile.TemporaryDirectory() as folder:
        pictures = []
        for side in ("here", "peer"):
            place = f"{folder}/{side}.pt"
            measure(side, "sample", "eager", size, batch, 1, place)
            pictures.append(torch.load(place, weights_only=True))
        return float((pictures[0] - pictures[1]).abs().max())


def rounds(size: str, batches: list[int], modes: list[str], count: int, steps: int) -> Runs:
    """Run all jobs in turns, so that other work on the machine affects both sides equally."""
    runs: Runs = {}
    cases = [(job, mode) for job in ("train", "sample", "interval") for mode in modes]
    for n in range(count):
        for batch in batches:
            for job, mode in cases:
                for side in ("here", "peer") if job != "interval" else ("here",):
                    found = measure(side, job, mode, size, batch, steps if job == "train" else 1)
                    runs.setdefault((job, mode, side, batch), []).append(found)
                    said = found.get("error") or f"{found['seconds']:.3f} s, {found['memory']:.0f} MiB"
                    console.print(
                        f"round {n + 1}: {job} {mode} {side} batch {batch or 'default'}: {said}", highlight=False
                    )
    return runs


def rows_of(runs: Runs) -> list[dict[str, Any]]:
    """A row for each job, mode and batch. A ratio is the peer's median time divided by ours."""
    rows = []
    for job, mode, side, batch in runs:
        if side != "here":
            continue

        def of(side: str, key: str, job: str = job, mode: str = mode, batch: int = batch) -> float | None:
            values = [r[key] for r in runs.get((job, mode, side, batch), []) if key in r]
            return statistics.median(values) if values else None

        case = f"{job}, {mode}, batch {batch or 'default'}"
        row: dict[str, Any] = {
            "case": case,
            "unit": "s",
            "peer_name": "diffusers",
            "job": job,
            "mode": mode,
            "batch": batch,
        }
        for s in ("here", "peer"):
            row[s], row[f"{s}_memory"] = of(s, "seconds"), of(s, "memory")
        if row["here"] and row["peer"]:
            row["ratio"] = row["peer"] / row["here"]
        rows.append(row)
    return rows


def best(rows: list[dict[str, Any]], job: str, side: str) -> float:
    return min((r[side] for r in rows if r["job"] == job and r[side]), default=float("nan"))


def eager(rows: list[dict[str, Any]], job: str) -> float:
    return next((r["peer"] or float("nan") for r in rows if r["job"] == job and r["mode"] == "eager"), 0.0)


def markdown(rows: list[dict[str, Any]], facts: dict[str, Any], profile: str) -> str:
    lines = [f"`python benchmarks/core.py`: {facts['device']}, torch {facts['torch']}, diffusers {facts['diffusers']},"]
    lines += [f"size {facts['size']}, medians of {facts['rounds']} processes a side, in turns.", ""]
    lines += ["| job | mode | batch | here, s | diffusers, s | ratio | here, MiB | diffusers, MiB |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for r in rows:
        cells = [r["job"], r["mode"], str(r["batch"] or "default")]
        for key, form in FORMS.items():
            value = r.get(key)
            cells.append(format(value, form) if value else "")
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", *facts["summary"], "", "Where a training step's time goes (here, bf16; self time):", "", "```"]
    return "\n".join([*lines, profile, "```", ""])


def summary(rows: list[dict[str, Any]], floor: dict[str, float]) -> list[str]:
    said = []
    for job in ("train", "sample"):
        ours = best(rows, job, "here")
        said.append(
            f"- {job}: best here {ours:.3f} s; diffusers eager {eager(rows, job) / ours:.2f} times as long, "
            f"at its best {best(rows, job, 'peer') / ours:.2f} times."
        )
    for mode in ("eager", "bf16"):
        full, part = (
            next((r["here"] for r in rows if (r["job"], r["mode"]) == (job, mode)), None)
            for job in ("sample", "interval")
        )
        if full and part:
            said.append(
                f"- guidance in an interval (10 of 20 steps), {mode}: {full / part:.2f} times as fast as at every step."
            )
    step = best(rows, "train", "here")
    said.append(
        f"- floor of the training step: {floor['flops'] / 1e9:.0f} GFLOP at the measured matrix product's "
        f"{floor['matmul'] / 1e9:.0f} GFLOP/s are {floor['flops'] / floor['matmul']:.3f} s "
        f"({100 * floor['flops'] / floor['matmul'] / step:.0f} % of the step); the optimizer, clipping and average move "
        f"{floor['bytes'] / 1e9:.2f} GB, at the measured {floor['copy'] / 1e9:.1f} GB/s {floor['bytes'] / floor['copy']:.3f} s."
    )
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--size", default="small")
    parser.add_argument("--batches", default="0", help="numbers with commas; 0 is the size's own")
    parser.add_argument("--modes", default="eager,bf16,compile")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    a = parser.parse_args()
    modes = [m for m in a.modes.split(",") if not (a.quick and m == "compile")]
    batches = [int(b) for b in a.batches.split(",")]
    count = 1 if a.quick else a.rounds
    same = difference(a.size, batches[0])
    console.print(f"largest difference of the two sides' pictures in float32: {same:.1e} of 1")
    runs = rounds(a.size, batches, modes, count, 3 if a.quick else 5)
    facts = measure("here", "floor", "bf16", a.size, batches[0], 1)
    rows = rows_of(runs)
    floor, profile = facts.pop("floor"), facts.pop("profile")
    facts |= {
        "size": a.size,
        "rounds": count,
        "largest_difference": same,
        "floor": floor,
        "summary": summary(rows, floor),
    }
    table = Table("job", "mode", "batch", "here s", "diffusers s", "ratio")
    for r in rows:
        numbers = [f"{r[k]:.3f}" if r.get(k) else "" for k in ("here", "peer", "ratio")]
        table.add_row(r["job"], r["mode"], str(r["batch"] or "default"), *numbers)
    console.print(table)
    for line in facts["summary"]:
        console.print(line, highlight=False)
    text = json.dumps({"passport": facts, "rows": rows, "profile": profile.splitlines()}, indent=1)
    if a.json:
        a.json.write_text(text)
    if not a.quick:
        RESULTS.mkdir(exist_ok=True)
        place = RESULTS / f"core-{'gpu' if 'NVIDIA' in facts['device'] else 'cpu'}-{a.size}.json"
        place.write_text(text)
        place.with_suffix(".md").write_text(markdown(rows, facts, profile))
        console.print(f"{place}")


if __name__ == "__main__":
    main()
