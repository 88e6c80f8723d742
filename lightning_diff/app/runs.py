"""The runs of a folder with their best numbers, in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from ..config import ConfigError
from ..evaluation.sweep import best_row
from ..tracking.record import Record
from .compose import WEIGHTS
from .run import console
from .study import study_rows

COLUMNS = ("run", "state", "step", "loss", "best w", "FID", "CLIP score", "obeyed")


def list_runs(outputs: Path) -> None:
    """Newest last. Raises ConfigError when there are none."""
    folders = [p.parent for p in outputs.glob("*/config.yaml")]
    if not folders:
        raise ConfigError(f"outputs={outputs}: no runs in it; python train.py experiment=base makes one")
    table = Table(*COLUMNS)
    for folder in sorted(folders, key=lambda f: (f / "config.yaml").stat().st_mtime):
        table.add_row(*_cells(folder))
    console.print(table)
    console.print(
        "python -m lightning_diff open=NAME opens a report; report=NAME,NAME puts runs side by side", highlight=False
    )


def _cells(folder: Path) -> list[str]:
    record = Record(folder)
    curve, (rows, _) = record.curve(), study_rows(folder)
    last: Any = curve[-1] if curve else {}
    state = "measured" if rows else "trained" if (folder / WEIGHTS).is_file() else "unfinished"
    cells = [folder.name, state, str(last.get("step", "")), f"{last['loss']:.4f}" if "loss" in last else ""]
    if not rows:
        return [*cells, "", "", "", ""]
    best = best_row(rows)
    obeyed = f"{100 * best['accuracy']:.1f} %" if "accuracy" in best else ""
    return [*cells, f"{best['scale']:g}", f"{best['fid']:.3g}", f"{best['clip_score']:.4g}", obeyed]
