"""alignDRAW, pixel diffusion and latent diffusion on the same captions at equal training time.

python experiments/from_captions_to_pictures/compare.py            # 3 models, 3 seeds; the same command continues it
python experiments/from_captions_to_pictures/compare.py --quick    # one seed and a few steps: whether it runs

What they share is made first. Each model is trained for the same number of core-seconds, in one process of one thread, and as
many trainings run at once as there are cores. A short training of each model first measures what its step costs; the number of
steps follows from it. Every training is a run folder, so a killed command continues where it was. Then each model draws captions
whose contents were seen in training and captions whose contents were held out, and a classifier reads the pictures. FID and CLIP
score are those of the run's own sweep, on held-out captions.

--digits FOLDER   the four files of MNIST; without it the small digits are used that come along
--seconds N       core-seconds of each training (540)      --seeds 0,1,2      --models aligndraw,pixels,latent      --outputs DIR
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from lightning_diff.cluster.processes import cores  # noqa: E402
from lightning_diff.config.compose import load_config  # noqa: E402
from lightning_diff.config.paths import PARTS, WEIGHTS  # noqa: E402
from lightning_diff.data.dataset import pictures  # noqa: E402
from lightning_diff.evaluation.component_metrics import correct  # noqa: E402
from lightning_diff.files import write_text  # noqa: E402
from lightning_diff.models.build import load_part  # noqa: E402
from lightning_diff.pipeline.objects import generator_of  # noqa: E402
from lightning_diff.tracking.figures import save_grid  # noqa: E402
from lightning_diff.tracking.record import Record  # noqa: E402

# the net and the times of the recorded table; for these captions net=uvit is no better
BEFORE = ("net=small", "objective.shift=1", "objective.shift_end=null", "text.layer=1", "net.pooled=true")
DIFFUSION = ("experiment=digits", *BEFORE, "training=muon", "validation.every=0", "guidance.scales=[1,3]")
MODELS: dict[str, tuple[str, ...]] = {
    "aligndraw": ("experiment=aligndraw", "data.image_size=64"),
    "pixels": (*DIFFUSION, "autoencoder=identity"),
    "latent": DIFFUSION,
}
SCALES = {"aligndraw": (1.0,), "pixels": (1.0, 3.0), "latent": (1.0, 3.0)}
PROBE = 40  # steps of the training that measures the cost of a step
SHOWN = 8  # captions of each kind that are shown side by side
BATCH = 32


@dataclass(frozen=True)
class Study:
    """What the command line asks for. `seconds` are core-seconds of a training, `count` is the number of captions of a kind."""

    outputs: Path
    digits: str | None
    seconds: float
    seeds: tuple[int, ...]
    models: tuple[str, ...]
    count: int
    quick: bool

    def words(self, model: str, seed: int, steps: int) -> list[str]:
        """The words of train.py for a training of this model."""
        found = [
            *MODELS[model],
            *(f"seed={seed}", f"outputs={self.outputs}", f"cache={self.outputs}/cache", "tracking=disabled"),
            *("training.accelerator=cpu", f"training.steps={steps}", "training.log_every=4"),
            *(f"training.checkpoint_every={max(1, steps // 10)}", f"evaluation.samples={self.count}"),
        ]
        found += [f"data.digits={self.digits}"] if self.digits else []
        if self.quick:
            found += ["data.train=512", "data.test=128", "part_steps=0.002", "evaluation.grid=4", "training.warmup=2"]
            found += ["sampler.steps=2"] if model != "aligndraw" else []
        return found


def prepare(study: Study, model: str) -> None:
    """Make what the trainings share (pictures, frozen parts, features), with all cores. Raises CalledProcessError if it fails."""
    subprocess.run([sys.executable, "prepare.py", *study.words(model, 0, PROBE)], cwd=ROOT, check=True)


def run(study: Study, model: str, seed: int, steps: int, name: str, *more: str) -> Path:
    """Train, or continue, a run on one thread. Returns its folder. Raises CalledProcessError if it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [*study.words(model, seed, steps), "training.devices=1", f"name={name}", *more]
    subprocess.run([sys.executable, "train.py", *words], cwd=ROOT, env=environment, check=True)
    return study.outputs / name


def core_seconds(folder: Path) -> float:
    """The core-seconds of a training."""
    return sum(row["core_seconds"] for row in Record(folder).curve())


def steps_of(study: Study, model: str) -> int:
    """How many steps of a model fit into the core-seconds. It is measured once and kept, so that a continued study goes on with
    the same number."""
    kept = study.outputs / f"steps-{model}.json"
    if not kept.is_file():
        probe = 8 if study.quick else PROBE
        curve = Record(run(study, model, 0, probe, f"probe-{model}", "evaluation.enabled=false")).curve()
        costs = [(row["core_seconds"] / (row["step"] - before["step"])) for before, row in pairwise(curve)]
        cost = min(costs)  # a neighbour makes core-seconds longer; the first interval, which warms up, does not count
        steps = 8 if study.quick else max(1, round(study.seconds / cost))
        write_text(kept, json.dumps({"core_seconds_of_a_step": cost, "steps": steps}))
    return int(json.loads(kept.read_text())["steps"])


def drawn_and_read(
    study: Study, folder: Path, scale: float
) -> tuple[dict[str, float], dict[str, tuple[list[str], Tensor]]]:
    """(the shares of pictures that a classifier reads as asked; for each split the first captions and their pictures)."""
    config = load_config(folder / "config.yaml")
    classifier, model = load_part(folder / PARTS / "attributes.safetensors"), generator_of(config, folder)
    shares: dict[str, float] = {}
    shown: dict[str, tuple[list[str], Tensor]] = {}
    for split, said in (("train", "seen"), ("test", "unseen")):
        known = pictures(config.data, Path(config.cache), split, tuple(config.data.attributes))
        assert known is not None
        some = known.range(0, study.count)
        parts = [some.captions[at : at + BATCH] for at in range(0, len(some.captions), BATCH)]
        made = torch.cat([model.generate(p, range(BATCH * i, BATCH * i + len(p)), scale) for i, p in enumerate(parts)])
        single = some.labels["count"] == 0
        right, real = (correct(classifier, images, some.labels).float() for images in (made, some.images))
        shares |= {said: float(right.mean()), f"{said}_real": float(real.mean())}
        shares |= {f"{said}_single": float(right[single].mean()), f"{said}_pairs": float(right[~single].mean())}
        shown[said] = (some.captions[:SHOWN], made[:SHOWN])
    return shares, shown


def swept(folder: Path) -> Mapping[float, Mapping[str, str]]:
    """scale -> the row of the run's sweep."""
    with (folder / "sweep.csv").open() as f:
        return {float(row["scale"]): row for row in csv.DictReader(f)}


def measured(study: Study, model: str, seed: int, folder: Path) -> list[dict[str, Any]]:
    """One row for each scale of a finished run. It is kept in the run's folder."""
    kept = folder / f"compared-{study.count}.json"
    if not kept.is_file():
        rows = []
        for scale in SCALES[model]:
            shares, shown = drawn_and_read(study, folder, scale)
            row = swept(folder)[scale]
            for said, (captions, images) in shown.items():
                save_grid(images.numpy(), captions, folder / f"{said}-w{scale:g}.png")
            rows.append({"model": model, "seed": seed, "scale": scale, "core_seconds": core_seconds(folder), **shares,
                         **{name: float(row[name]) for name in ("fid", "clip_score") if row.get(name)}})  # fmt: skip
        write_text(kept, json.dumps(rows, indent=1))
    found: list[dict[str, Any]] = json.loads(kept.read_text())
    return found


def spread(values: Sequence[float]) -> str:
    """The mean of the seeds, and their standard deviation."""
    return f"{statistics.mean(values):.3g}" + (f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else "")


COLUMNS = (
    "core_seconds",
    "fid",
    "clip_score",
    "seen",
    "unseen",
    "seen_single",
    "unseen_single",
    "seen_pairs",
    "unseen_pairs",
)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table: a row for each model and scale, the mean and the standard deviation over the seeds."""
    lines = [f"| model | w | {' | '.join(c.replace('_', ' ') for c in COLUMNS)} |", "|" + "---|" * (len(COLUMNS) + 2)]
    for model, scale in dict.fromkeys((row["model"], row["scale"]) for row in rows):
        these = [row for row in rows if (row["model"], row["scale"]) == (model, scale)]
        cells = [spread([r[c] for r in these]) if all(c in r for r in these) else "" for c in COLUMNS]
        lines.append(f"| {model} | {scale:g} | {' | '.join(cells)} |")
    return "\n".join(lines)


def frozen(outputs: Path) -> str:
    """What the frozen parts cost, in core-seconds. All models and seeds share them."""
    folders = sorted(p for p in (outputs / PARTS).glob("*") if (p / WEIGHTS).is_file())
    return ", ".join(f"{p.name.partition('-')[0]} {core_seconds(p):.0f}" for p in folders)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--digits")
    parser.add_argument("--seconds", type=float, default=540)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--outputs", type=Path, default=Path("outputs/from_captions_to_pictures"))
    a = parser.parse_args()
    outputs = (a.outputs / "quick" if a.quick else a.outputs).absolute()
    seeds = (0,) if a.quick else tuple(int(seed) for seed in a.seeds.split(","))
    study = Study(outputs, a.digits, a.seconds, seeds, tuple(a.models.split(",")), 64 if a.quick else 256, a.quick)
    outputs.mkdir(parents=True, exist_ok=True)
    for model in study.models:
        prepare(study, model)
    steps = {model: steps_of(study, model) for model in study.models}  # of all first: on the same machine at one time
    kinds = [(model, seed) for seed in seeds for model in study.models]
    with ThreadPoolExecutor(cores()) as pool:
        folders = list(pool.map(lambda k: run(study, k[0], k[1], steps[k[0]], f"{k[0]}-{k[1]}"), kinds))
    rows = [row for (model, s), folder in zip(kinds, folders, strict=True) for row in measured(study, model, s, folder)]
    said = f"{table(rows)}\n\nfrozen parts, core-seconds: {frozen(outputs)}\n"
    write_text(outputs / "table.md", said)
    write_text(outputs / "rows.json", json.dumps(rows, indent=1))
    print(said)


if __name__ == "__main__":
    main()
