"""W&B's offline file, by W&B's own reader: one run a folder, found by what it is of, with one table of cases."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import wandb

from lightning_diff.config.registry import named
from lightning_diff.config.schema import Config, Tracking
from lightning_diff.tracking.base import TrackedRun
from lightning_diff.tracking.trackers.wandb import Nothing, WandB, from_environment, run_id
from tests.tracking.sweeps import made_sweep, open_mirrors


def read_back(folder: Path) -> list[dict[str, Any]]:
    """The records of a folder's offline runs, oldest first."""
    found = []
    for file in sorted(folder.rglob("run-*.wandb")):
        words = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
        lines = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
        found += [json.loads(line) for line in lines if line.startswith("{")]
    return found


def test_one_run_a_folder(tmp_path: Path) -> None:
    first = run_id(tmp_path)
    assert run_id(tmp_path) == first


def test_an_offline_run_holds_the_table_the_curves_the_pictures_and_the_best_row(tmp_path: Path) -> None:
    config = Config(tracking=Tracking(group="guiders", tags=["mine"]))
    for step, job in ((1, "train"), (2, "train"), (0, "evaluate")):  # killed, continued, measured again
        mirrors = open_mirrors(config, tmp_path, job)
        if step:
            mirrors.train(step, {"loss": 0.5, "quick_fid": 7.0})
        else:
            config.guidance = named("guidance", "apg")()
        if step != 1:
            mirrors.sweep(made_sweep(tmp_path, "cfg", "apg"))
        mirrors.finish()
    files = sorted(tmp_path.rglob("run-*.wandb"))
    assert len(files) == 3 and {f.stem for f in files} == {f"run-{run_id(tmp_path)}"}  # one run, in three segments
    read = read_back(tmp_path)
    begun = [r["run"] for r in read if r["type"] == "run"]
    train = ("guiders", "train", ["mine", "diffusion", "still_life", "flow", "cfg"])
    assert [(r["run_group"], r.get("job_type"), r.get("tags")) for r in begun] == [
        train,
        train,
        ("guiders", None, None),
    ]
    records = [json.dumps(r) for r in read]
    for said in (
        "train/loss",
        "sweep/table",
        "sweep/fid",
        "sweep/fid_over_clip",
        "pictures/grid-w1",
        "report",
        "best/scale",
        f"weights-{run_id(tmp_path)}",
        f"sweep-{run_id(tmp_path)}",
        "abc123",
        "sweep.csv",
    ):
        assert any(said in r for r in records), said
    assert not any("fid_std over" in r for r in records)
    lowest = [
        r["summary"]["update"]["train/quick_fid"] for r in read if "train/quick_fid" in json.dumps(r.get("summary"))
    ]
    assert lowest == [{"min": 7.0}, {"min": 7.0}]


def test_the_table_is_found_by_case_and_shows_its_pictures(tmp_path: Path) -> None:
    mirrors = open_mirrors(Config(), tmp_path)
    mirrors.sweep(made_sweep(tmp_path, "cfg", "apg"))
    mirrors.finish()
    tables = [json.loads(p.read_text()) for p in tmp_path.rglob("*.table.json")]
    (table,) = [t for t in tables if "checkpoint" in t["columns"]]
    shown = ["picture 1", "picture 2"]
    numbers = ["n", "fid", "fid_std", "clip_score", "passport"]
    assert table["columns"] == ["checkpoint", "guider", "ema", "scale", "seed", *shown, *numbers]
    assert [row[:5] for row in table["data"]] == [
        ["abc123", guider, 0.0, scale, 5] for guider in ("cfg", "apg") for scale in (3.0, 1.0)
    ]
    artifacts = [r["artifact"] for r in read_back(tmp_path) if r["type"] == "artifact"]
    (kept,) = [a["manifest"]["contents"] for a in artifacts if "sweeptable" in a["name"]]
    assert sum(c["path"].startswith("media/images/") for c in kept) == 8  # two pictures of each of four cases
    plotted = [t for t in tables if "line" in t["columns"]]
    assert plotted and all(t["columns"] == ["line", "scale", "fid", "clip_score"] for t in plotted)


@pytest.mark.parametrize("mode", ["offline", "online"])
def test_artifacts_are_sent_where_the_tracker_is_online(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """Offline they refer to the files of the run folder. Online the files themselves belong to them."""
    monkeypatch.setattr(
        "lightning_diff.tracking.trackers.wandb.Sender", lambda *_: SimpleNamespace(finish=lambda: None)
    )
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "staged"))
    (tmp_path / "run").mkdir()
    config = Config(tracking=Tracking(wandb=mode))
    mirrors = open_mirrors(config, tmp_path / "run")
    mirrors.sweep(made_sweep(tmp_path / "run", "cfg"))
    mirrors.finish()
    artifacts = [r["artifact"] for r in read_back(tmp_path / "run") if r["type"] == "artifact"]
    (entry,) = next(a for a in artifacts if a["type"] == "model")["manifest"]["contents"]
    found = [(a["name"].split("-")[0], one) for a in artifacts for one in a["manifest"]["contents"]]
    mine = [one for name, one in found if name in ("weights", "sweep")]
    assert len(mine) >= 2 and entry["path"] == "weights.safetensors"
    local = [next((v for k, v in one.items() if k.lower().replace("_", "") == "localpath"), "") for one in mine]
    assert all(local) if mode == "online" else not any(local)


class Started(Exception):
    """What wandb.init was asked for."""


def test_a_run_that_is_open_already_is_another_one(tmp_path: Path) -> None:
    """A notebook's own run, or one whose owner was stopped, is in the same process."""
    settings = wandb.Settings(silent=True, reinit="finish_previous")  # one that another test has left open
    theirs = wandb.init(project="theirs", dir=str(tmp_path), mode="offline", settings=settings)
    try:
        mirrors = open_mirrors(Config(), tmp_path / "ours", "train")
        mirrors.train(1, {"loss": 0.25})
        mirrors.finish()
        assert wandb.run is theirs
    finally:
        theirs.finish()
    (mine,) = (tmp_path / "ours").rglob("run-*.wandb")
    assert mine.stem == f"run-{run_id(tmp_path / 'ours')}" and theirs.id not in mine.stem
    assert any("train/loss" in json.dumps(r) for r in read_back(tmp_path / "ours"))


@pytest.mark.parametrize(
    "begun, job, said",
    [
        (0, "train", "train"),
        (0, "evaluate", "evaluate"),
        (1, "train", "train"),
        (1, "evaluate", None),
        (1, "explore", None),
    ],
)
def test_an_evaluation_leaves_the_type_of_its_trainings_run(
    begun: int, job: str, said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def init(**arguments: Any) -> None:
        asked.append(arguments)
        raise Started

    monkeypatch.setattr(wandb, "init", init)
    if begun:
        run_id(tmp_path)
    config = Config(tracking=Tracking(group="guiders"))
    assert open_mirrors(config, tmp_path, job).open == {}
    assert [(a["job_type"], a["group"], a["id"]) for a in asked] == [(said, "guiders", run_id(tmp_path))]


def test_the_id_of_a_run_outlives_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "from-agent")
    assert run_id(tmp_path) == "from-agent" and (tmp_path / "wandb_id").read_text() == "from-agent"
    monkeypatch.delenv("WANDB_RUN_ID")
    assert run_id(tmp_path) == "from-agent"
    (tmp_path / "wandb" / "offline-run-20261126_041500-abc123").mkdir(parents=True)
    for damage in (b"\xff\xfe\x00", b"", b"a/b"):
        (tmp_path / "wandb_id").write_bytes(damage)
        assert run_id(tmp_path) == "abc123" and (tmp_path / "wandb_id").read_text() == "abc123"


def test_wandbs_own_variables_count_where_the_config_says_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in (("PROJECT", "theirs"), ("ENTITY", "team"), ("TAGS", "a, b"), ("NAME", "")):
        monkeypatch.setenv(f"WANDB_{name}", value)
    run = TrackedRun(tmp_path / "r", "train", {}, "lightning-diff", None, None, ["b", "c"])
    assert from_environment(run) == {"project": "theirs", "entity": "team", "name": "r", "tags": ["b", "c", "a"]}
    own = TrackedRun(tmp_path / "r", "train", {}, "mine", "me")
    assert from_environment(own)["project"] == "mine" and from_environment(own)["entity"] == "me"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert isinstance(WandB().open(run), Nothing)
