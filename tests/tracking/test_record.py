"""The run folder's record outlives kills; W&B is one run a folder and never the reason to stop."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lightning_diff.config import Tracking
from lightning_diff.tracking.mirrors import Mirror, run_id
from lightning_diff.tracking.record import Record


def test_a_line_cut_short_is_passed_over_and_the_next_is_whole(tmp_path: Path) -> None:
    record = Record(tmp_path)
    record.write("train", 1, loss=0.5)
    with record.path.open("a") as f:
        f.write('{"event": "train", "st')
    again = Record(tmp_path)
    again.write("train", 2, loss=0.4)
    assert [(r["step"], r["loss"]) for r in again.curve()] == [(1, 0.5), (2, 0.4)]


def test_a_step_recorded_again_counts_as_recorded_last(tmp_path: Path) -> None:
    record = Record(tmp_path)
    for step, loss in ((1, 0.5), (2, 0.4), (1, 0.3)):
        record.write("train", step, loss=loss)
    assert [(r["step"], r["loss"]) for r in record.curve()] == [(1, 0.3), (2, 0.4)]


def test_one_wandb_run_a_folder(tmp_path: Path) -> None:
    first = run_id(tmp_path)
    assert run_id(tmp_path) == first


def read_back(file: Path) -> list[dict[str, Any]]:
    """The records of an offline run, by W&B's own reader."""
    words = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    lines = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def test_an_offline_run_holds_the_table_the_curve_the_pictures_and_the_best_row(tmp_path: Path) -> None:
    rows = [
        {"guider": "cfg", "ema": 0.0, "scale": w, "n": 4, "fid": 1.0 + w, "clip_score": 20.0, "passport": {"w": w}}
        for w in (1.0, 3.0)
    ]
    grid, report = tmp_path / "grid-w1.png", tmp_path / "report.html"
    Image.new("RGB", (8, 8)).save(grid)
    report.write_text("<p>report</p>")
    (tmp_path / "weights.safetensors").write_bytes(b"weights")
    for step in (1, 2):  # killed after the first step, and continued
        mirror = Mirror(Tracking(), tmp_path, {"seed": 0}, "diffusion")
        mirror.train(step, {"loss": 0.5})
        if step == 2:
            mirror.sweep(rows, [grid, report], rows[0])
        mirror.finish()
    files = sorted(tmp_path.rglob("run-*.wandb"))
    assert len(files) == 2 and {f.stem for f in files} == {f"run-{run_id(tmp_path)}"}  # one run, in two segments
    records = [json.dumps(r) for f in files for r in read_back(f)]
    for said in (
        "train/loss",
        "sweep/table",
        "sweep/fid",
        "sweep/fid_over_clip",
        "pictures/grid-w1",
        "report",
        "best/scale",
        f"weights-{run_id(tmp_path)}",
    ):
        assert any(said in r for r in records), said
    table = json.loads(next(tmp_path.rglob("*.table.json")).read_text())
    assert table["columns"][:3] == ["guider", "ema", "scale"] and [r[2] for r in table["data"]] == [1.0, 3.0]


def test_a_disabled_mirror_writes_nothing(tmp_path: Path) -> None:
    silent = Mirror(Tracking(wandb="disabled"), tmp_path / "other", {}, "diffusion")
    silent.train(1, {"loss": 0.5})
    silent.finish()
    assert not (tmp_path / "other").exists()


def test_the_run_goes_on_when_wandb_dies(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Dead:
        def log(self, values: object) -> None:
            raise ConnectionResetError("Connection lost")

    mirror = Mirror(Tracking(wandb="disabled"), tmp_path, {}, "diffusion")
    mirror.run = Dead()
    mirror.train(1, {"loss": 0.5})
    mirror.train(2, {"loss": 0.5})
    mirror.finish()
    assert mirror.run is None
    assert [r.getMessage() for r in caplog.records if "W&B is lost" in r.getMessage()] == [
        "W&B is lost (ConnectionResetError): the run goes on without it; its record is whole"
    ]
