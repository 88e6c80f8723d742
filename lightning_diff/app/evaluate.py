"""evaluate.py, and the end of train.py: the guidance sweep of a run, in its folder and in its mirror."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track
from rich.table import Table
from torch import Tensor

from ..config import Config, ConfigError
from ..data.dataset import PictureBatch
from ..data.shards import digest
from ..data.worlds import WORLDS, get_world
from ..evaluation.features import Extractor, dinov2_features, features_of, inception_features, judge_features
from ..evaluation.passport import environment, tensor_hash, text_hash
from ..evaluation.sweep import Case, Judges, Row, Store, against_the_best, best_row, blocks, draw, score, see
from ..generation.text_to_image import TextToImage, guider_of
from ..nets.weights import file_hash, read_arrays, save_arrays
from ..tracking.figures import plot_loss, plot_sweep, save_grid, save_table
from ..training.trainer import on_gpu
from .compose import WEIGHTS
from .diffusion import load_model
from .nets import load_part
from .parts import PARTS, place_part
from .report import SEEN, keep_for_report, make_report
from .run import Run, console, rank_of, say, take_own_gpu
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
    """Blocks that were seen already, in this sweep or in another one of the run, are not drawn again."""
    config, folder, e = run.config, run.folder, run.config.evaluation
    take_own_gpu()
    split, batch = _prompts(config)
    captions, labels = batch.captions[: e.samples], {k: v[: e.samples] for k, v in batch.labels.items()}
    if len(captions) < e.samples:
        say(f"evaluation: {len(captions)} {split} captions, fewer than evaluation.samples={e.samples}: all are used")
    seeds = [e.seed * 2**32 + i for i in range(len(captions))]
    judges, judged_by = _judges(config, folder, batch.images)
    common = _common(config, file_hash(folder / WEIGHTS), judged_by, split, batch.images, captions, seeds)
    guider = guider_of(config.guidance).name
    cases = [Case(guider, ema, scale) for ema in e.ema for scale in config.guidance.scales]
    papers = {case: {**common, **_guided(config, case.scale, case.ema)} for case in cases}
    keys = {case: digest(papers[case]) for case in cases}
    store = Store(folder / SEEN)
    many = len(config.guidance.scales)
    size = max(1, e.batch // many)
    rank, ranks = rank_of()
    for ema in e.ema:
        model = load_model(config, folder, ema)
        mine = {keys[case]: case for case in cases if case.ema == ema}
        name = f"pictures of {many} scales" + (f", EMA {ema:g}" if ema else "")

        def generate(some: Sequence[Case], first: int, stop: int, model: TextToImage = model) -> Tensor:
            return model.generate(captions[first:stop], seeds[first:stop], *(case.scale for case in some))

        work = draw(mine, captions, labels, generate, judges, store, size, e.grid, rank, ranks)
        shown = (
            track(work, name, len(blocks(len(captions), size)), console=console, transient=True) if rank == 0 else work
        )
        for _ in shown:
            pass
    if rank:
        return
    rows, values, pictures_of = [], [], {}
    for case in cases:
        seen = store.read(keys[case], blocks(len(captions), size))
        row, each = score(seen, labels, judges)
        rows.append({**case._asdict(), **row, "passport": papers[case]})
        values.append(each)
        pictures_of[case] = seen["pictures"][: e.grid].numpy()
    against_the_best(rows, values)
    known = {digest(r["passport"]) for r in run.record.read("sweep")}
    for case, row in zip(cases, rows, strict=True):
        save_grid(pictures_of[case], captions[: len(pictures_of[case])], _grid_path(folder, case))
        if keys[case] not in known:
            run.record.write("sweep", **row)
    best = best_row(rows)
    if best["ema"] != e.ema[-1]:
        model = load_model(config, folder, best["ema"])
    keep_for_report(run, model, captions, float(best["scale"]), split)
    _publish(run, cases, rows, best, pictures_of, captions)


def _common(
    config: Config,
    weights: str,
    judge: Any,
    split: str,
    reference: Tensor,
    captions: Sequence[str],
    seeds: Sequence[int],
) -> dict[str, Any]:
    """The passport's fields that all rows of a sweep share."""
    return {
        "weights": weights,
        "judge": judge,
        "resize": f"none, {config.data.image_size} px",
        "rounding": "nearest",
        "reference": {"split": split, "n": len(reference), "sha256": tensor_hash(reference)},
        "prompts": {"split": split, "n": len(captions), "sha256": text_hash(captions)},
        "seeds": f"{seeds[0]}..{seeds[-1]}",
        "sampler": asdict(config.sampler),
        "environment": environment(),
    }


def _guided(config: Config, scale: float, ema: float) -> dict[str, Any]:
    """The passport's fields of one row."""
    rest = {k: v for k, v in asdict(config.guidance).items() if k not in ("scale", "scales")}
    guide = rest["guide"]
    if guide and Path(guide).is_file():
        rest["guide"] = file_hash(Path(guide))
    return {
        "guidance": {"scale": scale, **rest, "convention": "uncond + w (cond - uncond)"},
        "ema": f"post-hoc {ema:g}" if ema else config.training.ema,
    }


def quick_measure(config: Config, folder: Path, model: TextToImage) -> Callable[[Any], Row]:
    """What measures a net while it is trained: evaluation.quick pictures at guidance.scale, the rest being the model's."""
    split, batch = _prompts(config)
    n = min(config.evaluation.quick, len(batch.captions))
    captions, labels = batch.captions[:n], {k: v[:n] for k, v in batch.labels.items()}
    seeds = [config.evaluation.seed * 2**32 + i for i in range(n)]
    judges, judge = _judges(config, folder, batch.images)
    common = _common(config, "the average at this step", judge, split, batch.images, captions, seeds)
    papers = {**common, **_guided(config, config.guidance.scale, 0.0)}

    def measure(net: Any) -> Row:
        model.net = net
        images = model.batches(captions, seeds, config.guidance.scale, config.evaluation.batch)
        row, _ = score(see(images, captions, labels, judges), labels, judges)
        return {**row, "passport": papers}

    return measure


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
    own = f"judge {file_hash(path)}"
    embedding = _reference(reference, judge_features(tower), own, Path(config.cache))
    extract, features, seen = None, own, embedding
    if config.evaluation.features != "judge":
        weights, name = Path(str(config.evaluation.features_weights)), config.evaluation.features_model
        inception = config.evaluation.features == "inception"
        where = tower.device
        extract = inception_features(weights, where) if inception else dinov2_features(name, weights, where)
        features = f"{'inception' if inception else name} {file_hash(weights)}"
        seen = _reference(reference, extract, features, Path(config.cache))
    classifier, papers = None, {"tower": file_hash(path), "fid_features": features, "clip_score": "100 cos"}
    if config.data.kind in WORLDS:
        attributes = place_part("attributes", config, folder)
        classifier = load_part(attributes).to(device)
        papers["attributes"] = file_hash(attributes)
    return Judges(tower, extract, classifier, seen, embedding), papers


def _reference(images: Tensor, extract: Extractor, name: str, cache: Path) -> Tensor:
    """Features of the reference pictures, kept by what they are of and what saw them."""
    path = cache / "reference" / f"{digest({'images': tensor_hash(images), 'extractor': name})}.safetensors"
    if not path.is_file():
        save_arrays(path, {"features": features_of(images, extract)})
    return read_arrays(path)["features"]


def _publish(
    run: Run, cases: list[Case], rows: list[Row], best: Row, shown: Mapping[Case, np.ndarray], captions: list[str]
) -> None:
    folder, figures = run.folder, run.folder / "figures"
    _write_csv(folder / "sweep.csv", rows)
    made = [plot_sweep(rows, figures / "sweep.png", folder.name), plot_loss(run.record.curve(), figures / "loss.png")]
    count = min(8, *(len(images) for images in shown.values()))
    made.append(save_table({c.label: i[:8] for c, i in shown.items()}, captions[:count], figures / "guidance.png"))
    made += [_grid_path(folder, c) for c in cases]
    run.record.write("best", scale=best["scale"], fid=best["fid"], clip_score=best["clip_score"])
    _print(rows, best)
    level = [r["scale"] for r in rows if r is not best and r["behind_high"] >= 0]
    if level:
        scales = ", ".join(f"{w:g}" for w in level)
        say(f"best: w = {best['scale']:g}; no difference to it in these {best['n']} pictures: w = {scales}")
    report = make_report([folder], folder / "report.html")
    run.mirror.sweep(rows, [*made, report], best)
    say(f"table {folder / 'sweep.csv'}, figures {figures}, report {report}")


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
        cells = [_cell(row, c) for c in columns]
        table.add_row(*cells, style="bold" if row is best else None)
    console.print(table)


def _cell(row: Row, column: str) -> str:
    """The number, with half of its 95 % interval where it has one."""
    value = row[column]
    if not isinstance(value, float):
        return str(value)
    half = None
    if f"{column}_low" in row:
        half = (row[f"{column}_high"] - row[f"{column}_low"]) / 2
    elif f"{column}_std" in row:
        half = 1.96 * row[f"{column}_std"]
    return f"{value:.4g}" + (f" ± {half:.2g}" if half else "")
