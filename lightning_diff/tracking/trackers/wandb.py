"""The Weights & Biases tracker: one W&B run per run folder."""

from __future__ import annotations

import json
import logging
import os
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from ...config.fields import one_of
from ...config.registry import choice
from ...files import write_text
from ..base import Mirror, Sweep, TrackedRun, Tracker, line_of, tables
from ..segments import ID, begin_segment, id_of, segments_in
from ..sending import Sender

log = logging.getLogger(__name__)

PROJECT = "lightning-diff"  # of a config that says no other
PICTURES = 4  # in each row
KEPT_BESIDE: set[str] = set()  # W&B's variables that an earlier run of this process has set
SUMMARIES = {"train/quick_fid": "min", "train/quick_clip_score": "max"}  # other values: the last one


@choice("tracker", "wandb")
class WandB(Tracker):
    """Weights & Biases (https://wandb.ai). It writes files in RUN/wandb; with `mode` online they are sent to its server while
    they grow. tracking.wandb=offline and tracking.wandb=online are short forms."""

    mode: str = one_of("offline", "offline", "online")

    title: ClassVar[str] = "W&B"
    install: ClassVar[str] = "wandb"
    remedy: ClassVar[str] = "tracking=offline, and wandb sync RUN/wandb/offline-* from a machine that reaches it"

    @property
    def packages(self) -> list[str]:
        return ["wandb"]

    @property
    def server(self) -> str:
        return os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai") if self.mode == "online" else ""

    def conflicts(self, tracking: Any) -> Iterator[str]:
        if any(not 1 <= len(tag) <= 64 for tag in tracking.tags):
            yield f"tracking.tags={tracking.tags}: W&B takes tags of 1 to 64 characters"
        for name in ("project", "group", "entity"):
            value = getattr(tracking, name)
            if value is not None and (
                not 1 <= len(value) <= 128 or (name == "project" and bool(set(value) & set("/\\#?%:")))
            ):
                yield (
                    f"tracking.{name}={value}: W&B takes names of 1 to 128 characters, a project's without / \\ # ? % :"
                )

    def open(self, run: TrackedRun) -> Mirror:
        if os.environ.get("WANDB_MODE") == "disabled" or os.environ.get("WANDB_DISABLED", "").lower() in ("true", "1"):
            log.warning("no W&B mirror: WANDB_MODE or WANDB_DISABLED turns it off")
            return Nothing()
        return WandBRun(run, self.mode == "online")


class Nothing:
    """A mirror that the user has turned off."""

    def train(self, step: int, values: Mapping[str, float]) -> None: ...

    def sweep(self, sweep: Sweep) -> None: ...

    def finish(self) -> None: ...


def run_id(folder: Path) -> str:
    """The id of the run folder's W&B run, which stays the same after restarts: that in RUN/wandb_id. If this file is damaged or
    gone, that of the last W&B run in the folder; else WANDB_RUN_ID, which `wandb agent` sets, or a new one."""
    path = folder / "wandb_id"
    with suppress(OSError, UnicodeDecodeError):
        if re.fullmatch(ID, found := path.read_text("ascii").strip()):
            return found
    segments, given = segments_in(folder), os.environ.get("WANDB_RUN_ID", "")
    found = id_of(segments[-1]) if segments else given if re.fullmatch(ID, given) else uuid.uuid4().hex[:12]
    write_text(path, found)
    return found


def keep_beside(folder: Path) -> None:
    """Let W&B keep in RUN/wandb what it would keep in the user's home: the files of artifacts that are to be sent, and, where the
    home cannot be written, its cache and settings. What the user has set stays."""
    home = os.access(os.path.expanduser("~"), os.W_OK)
    for name in ("WANDB_DATA_DIR", *(() if home else ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"))):
        if name in KEPT_BESIDE or name not in os.environ:
            os.environ[name] = str((folder / "wandb").absolute())
            KEPT_BESIDE.add(name)


def from_environment(run: TrackedRun) -> dict[str, Any]:
    """The project, entity, name and tags of a run. What the config does not say is taken from W&B's own variables."""
    said = {name: os.environ.get(f"WANDB_{name.upper()}") for name in ("project", "entity", "name", "tags")}
    tags = [tag.strip() for tag in (said["tags"] or "").split(",") if tag.strip()]
    return {
        "project": said["project"] if said["project"] and run.project == PROJECT else run.project,
        "entity": run.entity or said["entity"],
        "name": said["name"] or run.name,
        "tags": list(dict.fromkeys([*run.tags, *tags])),
    }


class WandBRun:
    """A run in W&B. It is always written to files first; online, it is sent from there. So the run never waits for a server that
    is slow or absent.

    What comes after a training (evaluate, explore) continues its W&B run, which keeps its job type and tags. Only a W&B run that
    such a job starts has its type. A run of somebody else that is open in this process is left alone."""

    def __init__(self, run: TrackedRun, online: bool) -> None:
        import wandb

        self.folder = folder = run.folder
        adds = run.job != "train" and (folder / "wandb_id").is_file()
        settings = wandb.Settings(silent=True, console="off")
        arguments: dict[str, Any] = {
            **(said := from_environment(run)),
            "group": run.group,
            "id": run_id(folder),
            "dir": str(folder),
            "config": dict(run.config),
            "job_type": None if adds else run.job,
            "tags": None if adds else said["tags"],
            "resume": "allow",
            "reinit": "create_new",  # else W&B returns the run that is open, and ours would be written into it
            "settings": settings,
        }
        keep_beside(folder)
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # else wandb waits for the server when it ends
        self.run = wandb.init(**arguments, mode="offline")
        segment = Path(self.run.dir).parent
        begin_segment(folder, segment)
        if self.run.id != run_id(folder):  # `wandb agent` says which run this is, whatever we ask for
            write_text(folder / "wandb_id", self.run.id)
        self.sender = Sender(folder, segment) if online else None
        self.run.define_metric("step")
        self.run.define_metric("train/*", step_metric="step")
        for name, summary in SUMMARIES.items():
            self.run.define_metric(name, step_metric="step", summary=summary)

    def train(self, step: int, values: Mapping[str, float]) -> None:
        self.run.log({"step": step, **{f"train/{k}": v for k, v in values.items()}})

    def sweep(self, sweep: Sweep) -> None:
        """Log the table, the curves over w, the pictures, the report, the weights, and the best row as the summary."""
        import wandb

        pictures = {f"pictures/{path.stem}": wandb.Image(str(path)) for path in sweep.figures}
        page = wandb.Html(sweep.report.read_text("utf-8"), inject=False)
        self.run.log({"sweep/table": _table(sweep), **_curves(sweep), **pictures, "report": page})
        weights = {"sha256": sweep.best["passport"].get("weights"), "best_scale": sweep.best["scale"]}
        self._refer("weights", "model", [self.folder / "weights.safetensors"], weights)
        self._refer("sweep", "table", tables(self.folder), weights)
        self.run.summary.update({f"best/{k}": v for k, v in sweep.best.items() if k != "passport"})

    def page(self, name: str, path: Path) -> None:
        import wandb

        self.run.log({name: wandb.Html(path.read_text("utf-8"), inject=False)})

    def finish(self) -> None:
        self.run.finish()
        if self.sender is not None:
            self.sender.finish()

    def _refer(self, name: str, kind: str, paths: list[Path], metadata: dict[str, Any]) -> None:
        """Log an artifact of files in the run folder. Online they are sent to the server; offline it refers to them, so that they
        are not copied."""
        import wandb

        artifact = wandb.Artifact(f"{name}-{run_id(self.folder)}", kind, metadata=metadata)
        for path in paths:
            if self.sender is None:
                artifact.add_reference(path.resolve().as_uri(), checksum=False)
            else:  # a table may change with the next sweep, so it is copied; weights are large, and stay as they are
                artifact.add_file(str(path), path.name, policy="immutable" if kind == "model" else "mutable")
        self.run.log_artifact(artifact)


def _table(sweep: Sweep) -> Any:
    """A table with one row per case: its checkpoint, guider, EMA length, scale and seed, all numbers, and the first pictures."""
    import numpy as np
    import wandb

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
    """W&B's own plots, with a line for each guider. Their table has only numbers, because every plot contains a copy of it."""
    import wandb

    rows = [[line_of(row), row["scale"], *(row[c] for c in sweep.measured)] for row in sweep.rows]
    numbers = wandb.Table(columns=["line", "scale", *sweep.measured], data=rows)
    stroke = "line" if len({row[0] for row in rows}) > 1 else None
    curves = {
        f"sweep/{name}": wandb.plot.line(numbers, "scale", name, stroke, title=f"{name} over guidance scale")
        for name in sweep.measured
    }
    scatter = wandb.plot.scatter(numbers, "clip_score", "fid", title="FID against CLIP score")
    return {**curves, "sweep/fid_over_clip": scatter}
