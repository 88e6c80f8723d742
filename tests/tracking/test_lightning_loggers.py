"""Any logger of Lightning as a mirror, of a tracker that a user's own file registers."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import yaml
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightning_diff.config import registry
from lightning_diff.config.compose import compose_config
from lightning_diff.config.fields import one_of
from lightning_diff.config.registry import choice, choices
from lightning_diff.tracking.base import TrackedRun, Tracker
from lightning_diff.tracking.lightning import LightningLogger
from tests.tracking.sweeps import made_sweep, open_mirrors

STEPS = {1: 0.5, 2: 0.25}


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a user's own file has in it."""
    monkeypatch.setitem(registry._known, "tracker", dict(choices("tracker")))

    @choice("tracker", "lab")
    class Lab(Tracker):
        """The lab's own logger."""

        logger: str = one_of("csv", "csv", "tensorboard")

        def open(self, run: TrackedRun) -> LightningLogger:
            made: Any = {"csv": CSVLogger, "tensorboard": TensorBoardLogger}[self.logger]
            return LightningLogger(made(run.folder, name="lab", version=run.job), run.config)


def mirrored(folder: Path, *words: str) -> Path:
    """A training and its sweep, as the logger has them."""
    config = compose_config(["tracking=disabled", *words])
    mirrors = open_mirrors(config, folder)
    assert list(mirrors.open) == ["lab"]
    for step, loss in STEPS.items():
        mirrors.train(step, {"loss": loss})
    mirrors.sweep(made_sweep(folder, "cfg", "apg"))
    assert list(mirrors.open) == ["lab"]  # nothing failed
    mirrors.finish()
    return folder / "lab" / "train"


def test_lightnings_csv_logger(lab: None, tmp_path: Path) -> None:
    folder = mirrored(tmp_path, "tracking.also=[lab]")
    with (folder / "metrics.csv").open() as f:
        rows = list(csv.DictReader(f))
    assert {int(r["step"]): float(r["train/loss"]) for r in rows if r["train/loss"]} == STEPS
    for line in ("cfg", "apg"):
        fids = {int(r["step"]): float(r[f"sweep/{line}/fid"]) for r in rows if r[f"sweep/{line}/fid"]}
        assert fids == {1000: 2.0, 3000: 4.0}
    assert [float(r["best/fid"]) for r in rows if r["best/fid"]] == [2.0]
    said = yaml.safe_load((folder / "hparams.yaml").read_text())
    assert said["guidance"]["kind"] == "cfg" and said["tracking"]["also"] == [{"kind": "lab", "logger": "csv"}]


def test_what_was_logged_before_a_kill_is_kept(lab: None, tmp_path: Path) -> None:
    mirrors = open_mirrors(compose_config(["tracking=disabled", "tracking.also=[lab]"]), tmp_path)
    mirrors.train(1, {"loss": 0.5})  # killed here: nothing is finished
    assert "0.5" in (tmp_path / "lab" / "train" / "metrics.csv").read_text()


def test_lightnings_tensorboard_logger(lab: None, tmp_path: Path) -> None:
    folder = mirrored(tmp_path, "tracking.also=[{kind:lab,logger:tensorboard}]")
    seen = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    assert {e.step: e.value for e in seen.Scalars("train/loss")} == STEPS
    assert [(e.step, e.value) for e in seen.Scalars("sweep/apg/fid")] == [(1000, 2.0), (3000, 4.0)]
