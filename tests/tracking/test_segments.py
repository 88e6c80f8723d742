"""The segments of a W&B run are in the order in which they began, whatever the clock says; they hold what a home may lose."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import wandb

from lightning_diff.config.schema import Config, Tracking
from lightning_diff.tracking.segments import begin_segment, file_of, id_of, segments_in
from lightning_diff.tracking.sending import Sender
from lightning_diff.tracking.trackers import wandb as tracker
from lightning_diff.tracking.trackers.wandb import run_id
from tests.tracking.sweeps import made_sweep, open_mirrors
from tests.tracking.test_weights_and_biases import read_back


def segment(folder: Path, name: str, run: str, noted: bool = True) -> Path:
    place = folder / "wandb" / name
    place.mkdir(parents=True)
    (place / f"run-{run}.wandb").touch()
    if noted:
        begin_segment(folder, place)
    return place


def test_the_order_is_that_of_the_beginnings(tmp_path: Path) -> None:
    """The clock is set back by a year; before that, an older version began two segments without a note."""
    names = [f"offline-run-{time}-abc" for time in ("20250101_000000", "20250202_000000", "20261126_120000")]
    old = [segment(tmp_path, name, "abc", noted=False) for name in names[:2]]
    late = segment(tmp_path, names[2], "abc")
    (tmp_path / "wandb" / "segments").open("a").write("offline-run-2026")  # killed while it was noted
    back = segment(tmp_path, "offline-run-20251126_120000-other-1", "other")
    again = segment(tmp_path, "offline-run-20250101_000000-abc-1", "abc")  # two of the same second
    assert segments_in(tmp_path) == [*old, late, back, again]
    assert [id_of(one) for one in segments_in(tmp_path)] == ["abc", "abc", "abc", "other", "abc"]
    assert run_id(tmp_path) == "abc"  # of the last one, though its name is the oldest


def test_what_is_not_sent_is_sent_in_that_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sender, "_send", lambda self: None)
    late, early = (segment(tmp_path, f"offline-run-{time}-a", "a") for time in ("20261126_1", "20251126_1"))
    now = segment(tmp_path, "offline-run-20240101_1-a", "a")
    sender = Sender(tmp_path, now)
    assert sender.jobs == [[str(file_of(late))], [str(file_of(early))], ["--live", str(now)]]
    (late / "run-a.wandb.synced").touch()
    assert Sender(tmp_path, now).jobs == [[str(file_of(early))], ["--live", str(now)]]


def test_a_run_notes_its_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for step, zone in ((1, "UTC"), (2, "America/Los_Angeles")):
        monkeypatch.setenv("TZ", zone)
        mirrors = open_mirrors(Config(), tmp_path)
        mirrors.train(step, {"loss": 1.0})
        mirrors.finish()
    first, second = segments_in(tmp_path)
    noted = (tmp_path / "wandb" / "segments").read_text().split()
    assert noted == [first.name, second.name] and file_of(first) != file_of(second)


def test_the_id_is_the_one_that_wandb_agent_gave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder has a run already: the sweep has drawn the same values a second time."""
    first = run_id(tmp_path)
    asked = []

    def init(**arguments: object) -> object:
        asked.append(arguments["id"])
        place = tmp_path / "wandb" / "offline-run-20261126_1-given"
        (place / "files").mkdir(parents=True)
        nothing = SimpleNamespace(id="given", dir=str(place / "files"), define_metric=lambda *_, **__: None)
        return nothing

    monkeypatch.setattr(wandb, "init", init)
    assert list(open_mirrors(Config(), tmp_path).open) == ["W&B"]
    assert asked == [first] and (tmp_path / "wandb_id").read_text() == "given" == run_id(tmp_path)


@pytest.mark.parametrize("home", ["writable", "missing"])
def test_files_that_wait_to_be_sent_are_in_the_run_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    """Also those of the second run of a process; and a home that cannot be written loses nothing."""
    sender = SimpleNamespace(finish=lambda: None)
    monkeypatch.setattr(tracker, "Sender", lambda *_: sender)
    monkeypatch.setattr(tracker, "KEPT_BESIDE", set())
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path) if home == "writable" else "/proc/none")
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        mirrors = open_mirrors(Config(tracking=Tracking(wandb="online")), folder)
        mirrors.train(1, {"loss": 1.0})
        mirrors.sweep(made_sweep(folder, "cfg"))
        assert list(mirrors.open) == ["W&B"]  # nothing made it fail
        mirrors.finish()
        read = read_back(folder)
        artifacts = [r["artifact"] for r in read if r["type"] == "artifact"]
        entries = [one for a in artifacts if a["name"].startswith("sweep-") for one in a["manifest"]["contents"]]
        places = [Path(next(v for k, v in one.items() if k.lower().replace("_", "") == "localpath")) for one in entries]
        assert places and all(folder in place.parents and place.is_file() for place in places)
        assert any("train/loss" in json.dumps(r) for r in read)
    assert ("WANDB_CACHE_DIR" in os.environ) == (home == "missing")
