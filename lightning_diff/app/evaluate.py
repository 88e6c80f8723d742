"""evaluate.py, and the end of train.py: the guidance sweep of a run, in its folder and in its mirror."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table
from torch import Tensor

from ..config import Config, ConfigError
from ..data.dataset import PictureBatch
from ..data.shards import digest
from ..data.worlds import WORLDS, get_world
from ..evaluation.passport import environment, tensor_hash, text_hash
from ..evaluation.statistics import features_of, inception_features, judge_features
from ..evaluation.sweep import Case, Judges, Row, best_row, sweep
from ..generation.text_to_image import guider_of
from ..nets.weights import file_hash
from ..tracking.figures import plot_loss, plot_sweep, save_grid, save_table
from ..training.trainer import on_gpu
from .compose import WEIGHTS
from .diffusion import load_model
from .nets import load_part
from .parts import PARTS, place_part
from .run import Run, console, say
from .train import pictures

MOST_REFERENCES = 4096


def evaluate(config: Config, folder: Path) -> None:
    """The sweep of a finished run, with the overrides of the command."""
    run = Run(config, folder)
    try:
        sweep_run(run)
    finally:
        run.finish()


def sweep_run(run: Run) -> None:
    """Rows whose passport is in the record already are taken from there."""
    config, folder, e = run.config, run.folder, run.config.evaluation
    split, batch = _prompts(config)
    captions, labels = batch.captions[: e.samples], {k: v[: e.samples] for k, v in batch.labels.items()}
    if len(captions) < e.samples:
        say(f"evaluation: {len(captions)} {split} captions, fewer than evaluation.samples={e.samples}: all are used")
    seeds = [e.seed * 2**32 + i for i in range(len(captions))]
    models = {ema: load_model(config, folder, ema) for ema in e.ema}
    judges, judged_by = _judges(config, folder, batch.images)
    common = {
        "weights": file_hash(folder / WEIGHTS),
        "judge": judged_by,
        "resize": f"none, {config.data.image_size} px",
        "rounding": "nearest",
        "reference": {"split": split, "n": len(batch.images), "sha256": tensor_hash(batch.images)},
        "prompts": {"split": split, "n": len(captions), "sha256": text_hash(captions)},
        "seeds": f"{seeds[0]}..{seeds[-1]}",
        "sampler": asdict(config.sampler),
        "environment": environment(),
    }
    done = {digest(r["passport"]): r for r in run.record.read("sweep")}
    guider = guider_of(config.guidance).name
    cases = [Case(guider, ema, scale) for ema in e.ema for scale in config.guidance.scales]
    shown: dict[Case, np.ndarray] = {}
    rows: list[Row] = []

    def passport(case: Case) -> dict[str, Any]:
        rest = {k: v for k, v in asdict(config.guidance).items() if k not in ("scale", "scales")}
        guide = rest["guide"]
        if guide and Path(guide).is_file():
            rest["guide"] = file_hash(Path(guide))
        return {
            **common,
            "guidance": {"scale": case.scale, **rest, "convention": "uncond + w (cond - uncond)"},
            "ema": f"post-hoc {case.ema:g}" if case.ema else config.training.ema,
        }

    def known(case: Case, papers: dict[str, Any]) -> Row | None:
        row = done.get(digest(papers))
        whole = row and _grid_path(folder, case).is_file()
        return {k: v for k, v in row.items() if k not in ("event", "time")} if row and whole else None

    def generate(case: Case) -> Tensor:
        def told(n: int) -> None:
            if n == len(captions):
                say(f"sampled {n} pictures: {case.label}")

        return models[case.ema].batches(captions, seeds, case.scale, e.batch, told)

    for case, row, images in sweep(cases, generate, captions, labels, judges, passport, known):
        rows.append(row)
        if images is not None:
            shown[case] = images[: e.grid].numpy()
            save_grid(shown[case], captions[: e.grid], _grid_path(folder, case))
            run.record.write("sweep", **row)
    _publish(run, cases, rows, shown, captions)


def _grid_path(folder: Path, case: Case) -> Path:
    return folder / "figures" / f"grid-{case.label}.png"


def _prompts(config: Config) -> tuple[str, PictureBatch]:
    """Test captions and the reference pictures, or those of the training set where nothing is kept for testing."""
    world = config.data.kind in WORLDS
    heads = tuple(get_world(config.data.kind).attributes) if world else ()
    for split in ("test", "train"):
        found = pictures(config, split, heads)
        if found is not None:
            return split, found.range(0, min(len(found), MOST_REFERENCES))
    raise ConfigError("no pictures to compare with")


def _judges(config: Config, folder: Path, reference: Tensor) -> tuple[Judges, dict[str, Any]]:
    path = place_part("judge", config, folder)
    if file_hash(path) == file_hash(folder / PARTS / "text.safetensors"):
        raise ConfigError(f"{path}: the tower that conditions cannot be its own judge; give another tower")
    device = "cuda" if on_gpu(config.training) else "cpu"
    tower = load_part(path).to(device)
    extract, features = judge_features(tower), f"judge {file_hash(path)}"
    if config.evaluation.features == "inception":
        weights = Path(str(config.evaluation.inception_weights))
        extract, features = inception_features(weights), f"inception {file_hash(weights)}"
    classifier, papers = None, {"tower": file_hash(path), "fid_features": features, "clip_score": "100 cos"}
    if config.data.kind in WORLDS:
        attributes = place_part("attributes", config, folder)
        classifier = load_part(attributes).to(device)
        papers["attributes"] = file_hash(attributes)
    return Judges(tower, extract, features_of(reference, extract), classifier), papers


def _publish(
    run: Run, cases: list[Case], rows: list[Row], shown: Mapping[Case, np.ndarray], captions: list[str]
) -> None:
    folder, best = run.folder, best_row(rows)
    figures = folder / "figures"
    _write_csv(folder / "sweep.csv", rows)
    made = [plot_sweep(rows, figures / "sweep.png", folder.name), plot_loss(run.record.curve(), figures / "loss.png")]
    if len(shown) == len(rows):
        count = min(8, run.config.evaluation.grid, len(captions))
        table = {c.label: i[:8] for c, i in shown.items()}
        made.append(save_table(table, captions[:count], figures / "guidance.png"))
    made += [_grid_path(folder, c) for c in cases]
    run.mirror.sweep(rows, made, best)
    run.record.write("best", scale=best["scale"], fid=best["fid"], clip_score=best["clip_score"])
    _print(rows, best)
    say(f"table {folder / 'sweep.csv'}, figures {figures}")


def _write_csv(path: Path, rows: list[Row]) -> None:
    """sweep.csv with the digest of each row's passport; the passports themselves in sweep.json."""
    columns = [c for c in rows[0] if c != "passport"] + ["passport"]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        rounded = {k: round(v, 5) if isinstance(v, float) else v for k, v in row.items()}
        writer.writerow({**rounded, "passport": digest(row["passport"])})
    papers = {digest(r["passport"]): r["passport"] for r in rows}
    for target, content in ((path, text.getvalue()), (path.with_suffix(".json"), json.dumps(papers, indent=1))):
        partial = target.with_name(target.name + ".partial")
        partial.write_text(content)
        partial.replace(target)


def _print(rows: list[Row], best: Row) -> None:
    columns = [
        *[c for c in ("guider", "ema") if len({r[c] for r in rows}) > 1],
        "scale",
        "n",
        "fid",
        "clip_score",
        *[c for c in ("accuracy", "single_object_accuracy", "accuracy_setting") if c in rows[0]],
    ]
    table = Table(*[c.replace("_", " ") for c in columns])
    for row in rows:
        cells = [f"{row[c]:.4g}" if isinstance(row[c], float) else str(row[c]) for c in columns]
        table.add_row(*cells, style="bold" if row is best else None)
    console.print(table)
