"""W&B as a mirror of the run folder. Nothing hangs or ends because it is not reachable (law 6)."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..config import Tracking

log = logging.getLogger(__name__)


def run_id(folder: Path) -> str:
    """One W&B run per run folder, kept over restarts."""
    path = folder / "wandb_id"
    if not path.is_file():
        path.write_text(uuid.uuid4().hex[:12])
    return path.read_text().strip()


class Mirror:
    """A W&B run, or nothing when disabled or when this is not the first rank."""

    def __init__(
        self, tracking: Tracking, folder: Path, config: Mapping[str, Any], job_type: str, first_rank: bool = True
    ) -> None:
        self.run: Any = None
        self.folder = folder
        if tracking.wandb == "disabled" or not first_rank:
            return
        import wandb

        settings = wandb.Settings(init_timeout=20, finish_timeout=60, silent=True, console="off")
        arguments: dict[str, Any] = {
            "project": tracking.project,
            "entity": tracking.entity,
            "tags": tracking.tags or None,
            "id": run_id(folder),
            "name": folder.name,
            "dir": str(folder),
            "config": dict(config),
            "job_type": job_type,
            "resume": "allow",
            "settings": settings,
        }
        try:
            self.run = wandb.init(**{**arguments, "mode": tracking.wandb})
        except Exception as e:
            log.warning(
                "W&B is not reachable (%s): this run is kept offline, `wandb sync` sends it later", type(e).__name__
            )
            try:
                self.run = wandb.init(**{**arguments, "mode": "offline"})
            except Exception as again:
                log.warning("no W&B mirror at all (%s): the run's own record is whole", type(again).__name__)
                return
        self.run.define_metric("step")
        self.run.define_metric("train/*", step_metric="step")

    def train(self, step: int, values: Mapping[str, float]) -> None:
        self._try(lambda: self.run.log({"step": step, **{f"train/{k}": v for k, v in values.items()}}))

    def sweep(self, rows: Sequence[Mapping[str, Any]], figures: Sequence[Path], best: Mapping[str, Any]) -> None:
        """The table, the curves over w, the pictures, and the best row as the summary."""
        self._try(lambda: self._sweep(rows, figures, best))

    def finish(self) -> None:
        self._try(lambda: self.run.finish())
        self.run = None

    def _try(self, work: Callable[[], None]) -> None:
        """W&B's own process can die, or be killed; the run goes on without the mirror, and says so once."""
        if self.run is None:
            return
        try:
            work()
        except Exception as e:
            log.warning("W&B is lost (%s): the run goes on without it; its record is whole", type(e).__name__)
            self.run = None

    def _sweep(self, rows: Sequence[Mapping[str, Any]], figures: Sequence[Path], best: Mapping[str, Any]) -> None:
        import wandb

        columns = [c for c in rows[0] if c != "passport"]
        table = wandb.Table(
            columns=[*columns, "passport"], data=[[r[c] for c in columns] + [json.dumps(r["passport"])] for r in rows]
        )
        values: dict[str, Any] = {"sweep/table": table}
        for column in columns:
            if column not in ("guider", "ema", "scale", "n") and not column.endswith(("_low", "_high", "_std")):
                values[f"sweep/{column}"] = wandb.plot.line(
                    table, "scale", column, title=f"{column} over guidance scale"
                )
        values["sweep/fid_over_clip"] = wandb.plot.scatter(table, "clip_score", "fid", title="FID against CLIP score")
        for path in figures:
            if path.suffix == ".html":
                values["report"] = wandb.Html(path.read_text("utf-8"), inject=False)
                continue
            values[f"pictures/{path.stem}"] = wandb.Image(str(path))
        self.run.log(values)
        weights = wandb.Artifact(f"weights-{run_id(self.folder)}", "model", metadata={"best_scale": best["scale"]})
        weights.add_reference((self.folder / "weights.safetensors").resolve().as_uri(), checksum=False)
        self.run.log_artifact(weights)
        self.run.summary.update({f"best/{k}": v for k, v in best.items() if k != "passport"})
