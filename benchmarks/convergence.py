"""Convergence of each sampler on data whose probability flow is known: python benchmarks/convergence.py

It measures the root mean square error of the end point against network evaluations, for each path on a suitable grid. Writes
benchmarks/results/convergence.png; --json FILE writes the numbers, --quick uses fewer steps.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import matplotlib
import torch

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from lightning_diff.diffusion.path import Path as DiffusionPath  # noqa: E402
from tests.diffusion.mixture import EVALUATIONS, draw, flow_end  # noqa: E402

CASES = {"flow": "uniform", "cosine": "uniform", "scaled_linear": "karras", "edm": "karras"}
NAMES = ("euler", "heun", "heun_karras", "midpoint", "dpmpp_2m", "unipc")
PEER = "heun_karras"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    budgets = (8, 16) if arguments.quick else (8, 12, 16, 24, 32, 48, 64, 96)
    seeds = torch.arange(64)
    figure, axes = plt.subplots(1, len(CASES), figsize=(4 * len(CASES), 4), sharey=True)
    errors: dict[str, dict[str, list[float]]] = {}
    for ax, (schedule, kind) in zip(axes, CASES.items(), strict=True):
        path = DiffusionPath(schedule, "v")
        end = flow_end(path, seeds)
        for name in NAMES:
            if name == PEER and path.ends_in_noise:
                continue
            cost = EVALUATIONS.get(name, 1)
            line = [
                float((draw(name, path, n // cost, seeds, kind=kind) - end).square().mean().sqrt()) for n in budgets
            ]
            errors.setdefault(schedule, {})[name] = line
            ax.loglog(budgets, line, "o-", label=name, markersize=3, color=f"C{NAMES.index(name)}")
            print(f"{schedule:14} {kind:8} {name:12} " + " ".join(f"{e:8.1e}" for e in line))
        ax.set(title=f"{schedule}, {kind} grid", xlabel="network evaluations")
        ax.grid(alpha=0.3)
    axes[0].set(ylabel="RMS error of the end point")
    axes[-1].legend()
    figure.tight_layout()
    out = ROOT / "benchmarks" / "results" / "convergence.png"
    out.parent.mkdir(exist_ok=True)
    if not arguments.quick:
        figure.savefig(out, dpi=110)
        print(out)
    if arguments.json:
        rows = [
            {"case": f"{s}, {n} evaluations", "unit": "RMS error", "here": e["heun"][i], "peer": e[PEER][i],
             "peer_name": PEER, "ratio": e[PEER][i] / e["heun"][i]}
            for s, e in errors.items() if PEER in e for i, n in enumerate(budgets)
        ]  # fmt: skip
        passport = {"torch": torch.__version__, "seeds": len(seeds), "grids": CASES}
        arguments.json.write_text(json.dumps({"passport": passport, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
