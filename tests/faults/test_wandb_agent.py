"""`wandb agent`, W&B's own, with a stand-in for its server: the sweep of docs/wandb_sweep.yaml makes runs of ours, under the ids
that the server gave."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lightning_diff.config.compose import compose_config
from lightning_diff.config.paths import PACKAGE_FOLDER
from tests.conftest import SHORT
from tests.faults.wandb_server import Server

SWEEP = PACKAGE_FOLDER / "docs" / "wandb_sweep.yaml"
CHOSEN = {"training.learning_rate": 0.002, "objective": "eps"}


def sweep() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(SWEEP.read_text())
    return found


def test_the_sweep_is_of_keys_that_there_are() -> None:
    words = [word for word in sweep()["command"] if not word.startswith("$")]
    assert set(sweep()["parameters"]) == set(CHOSEN)
    config = compose_config([*words, *(f"{key}={value}" for key, value in CHOSEN.items())])
    assert config.tracking.wandb == "online" and config.objective.prediction == "eps"
    assert sweep()["metric"]["name"] == "best/fid"  # as tests/tracking holds it


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("common_cache")
def test_a_sweep_of_wandb_works(tmp_path: Path) -> None:
    """Two runs with the same values, as a random sweep may draw them: they share a folder of ours."""
    asked = sweep()
    places = [f"outputs={tmp_path}", f"cache={tmp_path}/cache"]
    at = asked["command"].index("tracking=online")
    short = [word for word in SHORT if word != "tracking=disabled"]
    asked["command"] = [*asked["command"][: at + 1], *short, *places, *asked["command"][at + 1 :]]
    arguments = {key: {"value": value} for key, value in CHOSEN.items()}
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    environment |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path / "home")}
    (tmp_path / "home").mkdir()
    for run in ("sweeprun1", "sweeprun2"):
        with Server() as server:
            server.sweep = yaml.safe_dump(asked)
            server.commands = [
                {"type": "run", "run_id": run, "program": str(PACKAGE_FOLDER / "train.py"), "args": arguments}
            ]
            words = [sys.executable, "-m", "wandb", "agent", "--count", "1", "me/lightning-diff/sw1"]
            done = subprocess.run(
                words, cwd=tmp_path, env=environment | server.environment, capture_output=True, text=True, timeout=900
            )
            said = done.stdout + done.stderr
            assert done.returncode == 0 and "Traceback" not in said, said
            (folder,) = (path.parent for path in tmp_path.glob("*/wandb_id"))
            assert (folder / "wandb_id").read_text() == run, said
            rest = [sys.executable, "-m", "wandb", "beta", "sync", "--yes", "--skip-synced", str(folder / "wandb")]
            subprocess.run(rest, env=environment | server.environment, check=True, timeout=900, capture_output=True)
            assert any((one.get("name"), one.get("sweep")) == (run, "sw1") for one in server.upserts)
            steps = [row["step"] for row in server.history[run] if "train/loss" in row]
            assert steps == ([1, 2, 3] if run == "sweeprun1" else [])
            assert any("sweep/table" in row for row in server.history[run])
