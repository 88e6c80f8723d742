"""W&B: one run for a run folder."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import wandb

from ..config.schema import Config
from .base import Sweep, line_of, tables, tags
from .sending import Sender

PICTURES = 4  # of each row
SUMMARIES = {"train/quick_fid": "min", "train/quick_clip_score": "max"}  # else the last value


def run_id(folder: Path) -> str:
    """One W&B run per run folder, kept over restarts."""
    path = folder / "wandb_id"
    if not path.is_file():
        path.write_text(uuid.uuid4().hex[:12])
    return path.read_text().strip()


class WeightsAndBiases:
    """Always written to files first, and sent from there if it is to be online: a server that is slow, or is not there, is
    never waited for.

    An evaluation adds to its training's run, whose type and tags stay: only a run that it begins is called evaluate."""

    def __init__(self, config: Config, folder: Path, job: str) -> None:
        self.folder = folder
        t = config.tracking
        adds = job == "evaluate" and (folder / "wandb_id").is_file()
        settings = wandb.Settings(silent=True, console="off")
        arguments: dict[str, Any] = {
            "project": t.project,
            "entity": t.entity,
            "group": t.group,
            "id": run_id(folder),
            "name": folder.name,
            "dir": str(folder),
            "config": asdict(config),
            "job_type": None if adds else job,
            "tags": None if adds else tags(config),
            "resume": "allow",
            "settings": settings,
        }
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # its end would wait for the server
        self.run = wandb.init(**arguments, mode="offline")
        self.sender = Sender(folder, Path(self.run.dir).parent) if t.wandb == "online" else None
        self.run.define_metric("step")
        self.run.define_metric("train/*", step_metric="step")
        for name, summary in SUMMARIES.items():
            self.run.define_metric(name, step_metric="step", summary=summary)

    def train(self, step: int, values: Mapping[str, float]) -> None:
        self.run.log({"step": step, **{f"train/{k}": v for k, v in values.items()}})

    def sweep(self, sweep: Sweep) -> None:
        """The table, the curves over w, the pictures, the report, the weights, and the best row as the summary."""
        pictures = {f"pictures/{path.stem}": wandb.Image(str(path)) for path in sweep.figures}
        page = wandb.Html(sweep.report.read_text("utf-8"), inject=False)
        self.run.log({"sweep/table": _table(sweep), **_curves(sweep), **pictures, "report": page})
        weights = {"sha256": sweep.best["passport"].get("weights"), "best_scale": sweep.best["scale"]}
        self._refer("weights", "model", [self.folder / "weights.safetensors"], weights)
        self._refer("sweep", "table", tables(self.folder), weights)
        self.run.summary.update({f"best/{k}": v for k, v in sweep.best.items() if k != "passport"})

    def finish(self) -> None:
        self.run.finish()
        if self.sender is not None:
            self.sender.finish()

    def _refer(self, name: str, kind: str, paths: list[Path], metadata: dict[str, Any]) -> None:
        """An artifact that says where the files lie: the run folder has them."""
        artifact = wandb.Artifact(f"{name}-{run_id(self.folder)}", kind, metadata=metadata)
        for path in paths:
            artifact.add_reference(path.resolve().as_uri(), checksum=False)
        self.run.log_artifact(artifact)


def _table(sweep: Sweep) -> Any:
    """A row a case, found by its checkpoint, guider, average, scale and seed, with all numbers and its first pictures."""
    numbers = [c for c in sweep.columns if c not in sweep.case]
    count = min([PICTURES, *(len(pictures) for pictures in sweep.pictures)])
    shown = [f"picture {i + 1}" for i in range(count)]
    table: Any = wandb.Table(columns=["checkpoint", *sweep.case, "seed", *shown, *numbers, "passport"])
    for row, pictures in zip(sweep.rows, sweep.pictures, strict=True):
        images = [
            wandb.Image(np.ascontiguousarray(pixels.transpose(1, 2, 0)), caption=caption)
            for pixels, caption in zip(pictures[:count], sweep.captions[:count], strict=True)
        ]
        case = [row["passport"].get("weights"), *(row[c] for c in sweep.case), sweep.seed]
        table.add_data(*case, *images, *(row[c] for c in numbers), json.dumps(row["passport"]))
    return table


def _curves(sweep: Sweep) -> dict[str, Any]:
    """W&B's own plots, a line for each guider. Their table is of numbers alone: every plot carries a copy of it."""
    rows = [[line_of(row), row["scale"], *(row[c] for c in sweep.measured)] for row in sweep.rows]
    numbers = wandb.Table(columns=["line", "scale", *sweep.measured], data=rows)
    stroke = "line" if len({row[0] for row in rows}) > 1 else None
    curves = {
        f"sweep/{name}": wandb.plot.line(numbers, "scale", name, stroke, title=f"{name} over guidance scale")
        for name in sweep.measured
    }
    scatter = wandb.plot.scatter(numbers, "clip_score", "fid", title="FID against CLIP score")
    return {**curves, "sweep/fid_over_clip": scatter}
