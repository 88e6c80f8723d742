"""The study of guidance, from nothing to its tables: python experiments/guidance/study.py [seeds=0,1,2] [outputs=DIR] [--quick]

It trains `experiment=base` with each seed, measures each guider at some of its scales, and prints one table: means and standard
deviations over the trainings, the effective scale of each row, and what cfg gives at that scale, on straight lines between
cfg's own rows. Every row has 256 held-out captions, the same noise, and 40 evaluations of the net a picture. Each step is a
command that continues itself, so the same command goes on where it was stopped. It takes about two hours of CPU time. --quick
shows that it runs.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import lightning_diff as ld  # noqa: E402
from lightning_diff.config.compose import compose_config  # noqa: E402
from lightning_diff.config.schema import Config  # noqa: E402
from lightning_diff.data.synthetic.still_life import sample  # noqa: E402
from lightning_diff.evaluation.results import study_rows  # noqa: E402
from lightning_diff.models.load import load_net  # noqa: E402

NFE = 40
PICTURES = 8  # for the effective scale
WORSE = "ema:0.05@200"  # autoguidance's worse net: the same training at step 200
GUIDERS: dict[str, tuple[list[str], list[float]]] = {  # name: the words of a command, scales
    "cfg": (["guidance=cfg"], [1, 1.5, 2, 3, 4, 6, 8]),
    "interval": (["guidance=interval"], [2, 4, 8]),
    "apg": (["guidance=apg"], [2, 4, 8]),
    "rescale": (["guidance=rescale"], [4, 8]),
    "cfg_zero": (["guidance=cfg_zero"], [4, 8]),
    "growing": (["guidance=growing"], [4, 8]),
    "cfg++": (["guidance=cfgpp", "sampler=ddim"], [0.4, 0.6, 0.8]),
    "autoguidance": (["guidance=auto", f"guidance.guide={WORSE}"], [1.5, 2, 3]),
}
COLUMNS = {"fid": ".2f", "clip_score": ".2f", "accuracy": ".3f", "precision": ".3f"}
BESIDE = ("fid", "clip_score", "accuracy")
QUICK = ["training.steps=200", "training.batch=8", "data.train=96", "data.test=64", "net=tiny", "evaluation.samples=8"]


def run(*words: str) -> None:
    print("python", *words, flush=True)
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True)


def scales_of(scales: list[float]) -> list[str]:
    return [f"guidance.scale={scales[0]:g}", f"guidance.scales=[{','.join(f'{w:g}' for w in scales)}]"]


def measure(seed: str, outputs: Path, more: list[str]) -> Path:
    """Train one seed and measure all guiders. Returns the run folder."""
    name = f"seed{seed}"
    words = [f"seed={seed}", f"name={name}", f"outputs={outputs}", "training.ema_every=100", f"sampler.nfe={NFE}"]
    run("train.py", "experiment=base", *words, *more, *scales_of(GUIDERS["cfg"][1]))
    for guider, scales in list(GUIDERS.values())[1:]:
        run("evaluate.py", f"run={outputs / name}", *guider, f"sampler.nfe={NFE}", *scales_of(scales))
    return outputs / name


def as_composed(name: str) -> Config:
    words, scales = GUIDERS[name]
    return compose_config(
        ["experiment=base", "training.ema_every=100", *words, f"sampler.nfe={NFE}", *scales_of(scales)]
    )


def effective(folder: Path, name: str, scale: float) -> tuple[float, float, float]:
    """The effective scale of a row (mean and standard deviation over pictures), and the orthogonal share of its updates."""
    config = as_composed(name)
    model = ld.load(folder, sampler=replace(config.sampler, precision="float32"), guider=config.guidance)
    if name == "autoguidance":
        model.worse = load_net(folder, WORSE, str(model.device))
    captions = [sample("test", 0, i).caption for i in range(PICTURES)]
    found = model.effective_scale(captions, range(PICTURES), scale)
    return float(found.scale.mean()), float(found.scale.std()), float(found.orthogonal.mean())


def rows_of(folder: Path) -> dict[tuple[str, float], dict[str, Any]]:
    """The rows of a run by guider and scale."""
    names = {as_composed(name).guidance.name: name for name in GUIDERS}
    return {(names[row["guider"]], float(row["scale"])): row for row in study_rows(folder)[0]}


def main() -> None:
    given = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    quick = QUICK if "--quick" in sys.argv else []
    outputs = Path(given.get("outputs", "outputs/guidance-quick" if quick else "outputs/guidance")).absolute()
    folders = [measure(seed, outputs, quick) for seed in given.get("seeds", "0" if quick else "0,1,2").split(",")]
    run("-m", "lightning_diff", *([f"report={','.join(f.name for f in folders)}", f"outputs={outputs}"]))
    found = [rows_of(folder) for folder in folders]
    curve = {c: [statistics.mean(r["cfg", w][c] for r in found) for w in GUIDERS["cfg"][1]] for c in BESIDE}
    titles = ["guider", "w", "FID", "CLIP score", "obeyed", "precision", "effective scale", "orthogonal"]
    titles += [f"{column} of cfg there" for column in titles[2:5]]
    print(f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|")
    for name, (_, scales) in GUIDERS.items():
        for w in scales:
            cells = []
            for column, form in COLUMNS.items():
                values = [rows[name, float(w)][column] for rows in found]
                spread = f" ± {statistics.stdev(values):{form}}" if len(values) > 1 else ""
                cells.append(f"{statistics.mean(values):{form}}{spread}")
            scale, deviation, across = effective(folders[0], name, w)
            there = [f"{np.interp(scale, GUIDERS['cfg'][1], curve[c]):{COLUMNS[c]}}" for c in BESIDE]
            cells += [f"{scale:.2f} ± {deviation:.2f}", f"{across:.0%}", *there]
            print(f"| {name} | {w:g} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
