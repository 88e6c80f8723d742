"""The trials of this study, and their table: python experiments/recipe/recipe.py

Each trial is one training of 28,800 pictures (450 steps of 64) with the frozen parts, data and noise of experiment=base, and 512
held-out captions at w = 3, drawn by the averaged weights. Each is a run folder, so a killed command continues where it was, and
finished trials are not trained again. A trial takes 5 to 9 core-minutes and 1 to 2 for its pictures; all of them 5 hours on two
cores.

--only "NAME;NAME"   these trials alone      --seeds 0,1,2     --outputs DIR     --quick: a few steps: does it run?
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def shift(start: float, end: str = "null") -> tuple[str, str]:
    """The shift of the times at the start of a training, and where it goes while the learning rate falls (null: it stays)."""
    return f"objective.shift={start:g}", f"objective.shift_end={end}"


OLDER = ("text.layer=1", "net.pooled=true")  # as in experiment=base then
BEFORE = ("net=small", *shift(1))  # the net and the times of experiment=base before this study
FALLS = shift(4, "0.7")  # the times of experiment=base now
NOW = (*FALLS, "training.warmup=15")
PLAIN = ("net.rotary=false",)  # attention without norms and positions of its own
UVIT = ("net.depth=4", "net.after=0", *PLAIN)  # and net=uvit without the residual block behind the transformer
SMALL, FOLDED, DIT = ("net=small",), ("net=folded",), ("net=dit",)
WIDE = ("net.widths=[128,192]", "net.attention=[true,true]")
NARROW = ("net.widths=[96,128]", "net.attention=[true,true]")


def rates(muon: str, adamw: str = "3e-3") -> tuple[str, ...]:
    return f"training.muon_rate={muon}", f"training.learning_rate={adamw}"


HALF = ("training.batch=32", "training.steps=900", "training.warmup=100")
QUARTER = ("training.batch=16", "training.steps=1800", "training.warmup=200")
TRIALS: dict[str, tuple[str, ...]] = {
    "before": BEFORE,
    "before, AdamW": (*BEFORE, "training=diffusion", "training.schedule=linear", "training.learning_rate=3e-3"),
    "before, rate 4e-3": (*BEFORE, *rates("4e-3")),
    "before, rate 5.6e-3": (*BEFORE, *rates("5.6e-3")),
    "before, rate 16e-3": (*BEFORE, *rates("16e-3")),
    "before, AdamW's rate 6e-3": (*BEFORE, *rates("8e-3", "6e-3")),
    "before, batch 32": (*BEFORE, *HALF),
    "before, batch 32, rate 5.6e-3": (*BEFORE, *HALF, *rates("5.6e-3", "2.1e-3")),
    "before, batch 16, rate 4e-3": (*BEFORE, *QUARTER, *rates("4e-3", "1.5e-3")),
    "before, stratified times": (*BEFORE, "objective.stratified=true"),
    "before, caption dropout .05": (*BEFORE, "objective.caption_dropout=0.05"),
    "before, weight decay .1": (*BEFORE, "training.weight_decay=0.1"),
    "before, uncertainty": (*BEFORE, "objective.uncertainty=true"),
    "before, falls in the last half": (*BEFORE, "training.schedule=wsd", "training.decay=0.5"),
    "before, attention at both": (*BEFORE, "net.attention=[true,true]"),
    "before, shift 1.5": ("net=small", *shift(1.5)),
    "before, shift 2": ("net=small", *shift(2)),
    "before, shift 3": SMALL,
    "before, shift 4": ("net=small", *shift(4)),
    "before, shift 6": ("net=small", *shift(6)),
    "before, shift 3, std 1.5": (*SMALL, "objective.times_std=1.5"),
    "before, shift 3, uniform": (*SMALL, "objective.times=uniform"),
    "before, shift 3, AdamW": (*SMALL, "training=diffusion", "training.schedule=linear", "training.learning_rate=3e-3"),
    "before, shift 3, rate 5.6e-3": (*SMALL, *rates("5.6e-3")),
    "before, shift 3, rate 12e-3": (*SMALL, *rates("12e-3")),
    "before, shift 3, batch 32": (*SMALL, *HALF),
    "before, shift 3, batch 16, rate 4e-3": (*SMALL, *QUARTER, *rates("4e-3", "1.5e-3")),
    "before, shift 3, two blocks": (*SMALL, "net.blocks=2"),
    "folded 128, 192": (*FOLDED, *WIDE, *shift(1)),
    "folded 128, 192, shift 3": (*FOLDED, *WIDE),
    "folded 96, 128, shift 3": (*FOLDED, *NARROW),
    "folded 96, 128, shift 3, batch 32": (*FOLDED, *NARROW, *HALF),
    "dit": (*DIT, *shift(1)),
    "dit, shift 2": (*DIT, *shift(2)),
    "dit, shift 3": DIT,
    "dit, shift 4": (*DIT, *shift(4)),
    "dit, shift 3, rate 5.6e-3": (*DIT, *rates("5.6e-3")),
    "dit, shift 3, rate 11e-3": (*DIT, *rates("11e-3")),
    "dit, shift 3, batch 32": (*DIT, *HALF),
    "dit, shift 3, 4 blocks": (*DIT, "net.depth=4"),
    "uvit": UVIT,
    "uvit, shift 2": (*UVIT, *shift(2)),
    "uvit, rate 4e-3": (*UVIT, *rates("4e-3")),
    "uvit, rate 5.6e-3": (*UVIT, *rates("5.6e-3")),
    "uvit, rate 11e-3": (*UVIT, *rates("11e-3")),
    "uvit, widths 64, 192": (*UVIT, "net.widths=[64,192]"),
    "uvit, widths 64, 192, batch 32": (*UVIT, "net.widths=[64,192]", *HALF),
    "uvit, widths 64, 160, 5 blocks": ("net.widths=[64,160]", "net.depth=5", "net.after=0", *PLAIN),
    "uvit, widths 32, 192, 5 blocks": ("net.widths=[32,192]", "net.depth=5", "net.after=0", *PLAIN),
    "uvit, falls": (*UVIT, *FALLS),
    "uvit, falls, a block behind": (*PLAIN, *FALLS),
    "now": NOW,
    "now, rate 4e-3": (*NOW, *rates("4e-3")),
    "now, rate 5.6e-3": (*NOW, *rates("5.6e-3")),
    "now, rate 11e-3": (*NOW, *rates("11e-3")),
    "now, rate 16e-3": (*NOW, *rates("16e-3")),
}
COLUMNS = ("accuracy", "single_object_accuracy", "fid", "clip_score")


def train(name: str, seed: int, outputs: Path, quick: bool) -> dict[str, str]:
    """The row of one trial's sweep; it is trained first, or continued. Raises CalledProcessError if that fails."""
    folder = f"{name}-{seed}".replace(", ", "_").replace(" ", "-").replace("'", "")
    words = [
        *("experiment=base", "plugins=[experiments/recipe/nets.py]", "training=muon", "training.steps=450"),
        *("training.warmup=50", f"seed={seed}", "validation.every=0", "guidance.scales=[3]", "evaluation.samples=512"),
        *("data.train=16384", "sampler=euler", "sampler.steps=20", *shift(3), *OLDER),
        *TRIALS[name],
        *("tracking=disabled", f"name={folder}", f"outputs={outputs}", f"cache={outputs}/cache"),
    ]
    if quick:
        words += ["training.steps=3", "training.warmup=1", "evaluation.samples=16", "sampler.steps=2"]
    last = {word.partition("=")[0]: word for word in words}  # of two words for one key the later one
    subprocess.run([sys.executable, "train.py", *last.values()], cwd=ROOT, check=True)
    with (outputs / folder / "sweep.csv").open() as file:
        return next(iter(csv.DictReader(file)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--outputs", type=Path, default=Path("outputs/recipe"))
    parser.add_argument("--quick", action="store_true")
    a = parser.parse_args()
    names = [n for n in TRIALS if not a.only or n in a.only.split(";")]
    outputs = (a.outputs / "quick" if a.quick else a.outputs).absolute()
    lines = ["| trial | seed | all right | single objects | FID | CLIP score |", "|---|---|---|---|---|---|"]
    for name in names:
        for seed in a.seeds.split(","):
            row = train(name, int(seed), outputs, a.quick)
            lines.append(f"| {name} | {seed} | " + " | ".join(f"{float(row[column]):.3g}" for column in COLUMNS) + " |")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
