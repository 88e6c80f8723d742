"""The mirrors beside W&B, each read back by its own reader, after a kill too; and what becomes of a run when one dies."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import mlflow
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightning_diff.config import installed
from lightning_diff.config.compose import compose_config
from lightning_diff.config.errors import ConfigError
from lightning_diff.config.installed import check_installed
from lightning_diff.config.registry import choices, named
from lightning_diff.config.schema import Config, Tracking
from lightning_diff.pipeline import run as run_room
from lightning_diff.pipeline.run import Run
from lightning_diff.pipeline.tracked import tags
from lightning_diff.tracking.mirrors import Mirrors
from lightning_diff.tracking.record import Record
from tests.tracking.sweeps import made_sweep, open_mirrors


def tracker(name: str, **keys: Any) -> Any:
    return named("tracker", name)(**keys)


def only(*names: str, **more: Any) -> Config:
    return Config(tracking=Tracking(wandb="disabled", also=[tracker(name) for name in names], **more))


def to_server(uri: str, *more: str) -> Config:
    return Config(tracking=Tracking(wandb="disabled", also=[tracker("mlflow", uri=uri), *map(tracker, more)]))


def train(mirrors: Mirrors, folder: Path, steps: range, loss: float) -> None:
    for step in steps:
        Record(folder).write("train", step, loss=loss)
        mirrors.train(step, {"loss": loss})


def seen(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    return accumulator.Reload()


def test_tensorboard_shows_each_step_once_after_a_kill(tmp_path: Path) -> None:
    killed = open_mirrors(only("tensorboard"), tmp_path)
    train(killed, tmp_path, range(1, 8), 0.5)  # killed here, its last checkpoint being step 4's; nothing is closed
    assert [e.step for e in seen(tmp_path / "tensorboard").Scalars("train/loss")] == list(range(1, 8))
    again = open_mirrors(only("tensorboard"), tmp_path)
    train(again, tmp_path, range(5, 10), 0.25)
    again.finish()
    points = [(e.step, e.value) for e in seen(tmp_path / "tensorboard").Scalars("train/loss")]
    assert points == [(s, 0.5) for s in range(1, 5)] + [(s, 0.25) for s in range(5, 10)]


def test_tensorboard_has_a_line_for_each_guider_and_the_pictures_of_the_last_sweep(tmp_path: Path) -> None:
    for scales in ((3.0, 1.0), (2.0, 1.5, 4.0)):
        mirrors = open_mirrors(only("tensorboard"), tmp_path)
        mirrors.sweep(made_sweep(tmp_path, "cfg", "apg+interval", scales=scales))
        mirrors.finish()
    for line in ("cfg", "apg+interval"):
        points = [(e.step, e.value) for e in seen(tmp_path / "tensorboard" / "sweep" / line).Scalars("sweep/fid")]
        assert points == [(1500, 2.5), (2000, 3.0), (4000, 5.0)]
    images = seen(tmp_path / "tensorboard" / "pictures")
    assert images.Tags()["images"] == ["pictures/grid-w1"] and len(images.Images("pictures/grid-w1")) == 1


def test_the_csv_has_every_column_and_each_step_once(tmp_path: Path) -> None:
    train(open_mirrors(only("csv"), tmp_path), tmp_path, range(1, 4), 0.5)
    assert not (tmp_path / "metrics.csv").exists()  # killed
    again = open_mirrors(only("csv"), tmp_path)
    train(again, tmp_path, range(3, 5), 0.25)
    Record(tmp_path).write("quick", 4, fid=2.0, n=8, seconds=1.5, passport={"weights": "abc"})
    again.finish()
    with (tmp_path / "metrics.csv").open() as f:
        rows = list(csv.DictReader(f))
    assert [(r["step"], r["loss"]) for r in rows] == [("1", "0.5"), ("2", "0.5"), ("3", "0.25"), ("4", "0.25")]
    assert [r["quick_fid"] for r in rows] == ["", "", "", "2.0"] and "quick_passport" not in rows[0]


def test_mlflow_is_one_run_a_folder_with_each_step_once(tmp_path: Path) -> None:
    killed = open_mirrors(only("mlflow", tags=["mine"]), tmp_path)
    train(killed, tmp_path, range(1, 8), 0.5)
    again = open_mirrors(only("mlflow"), tmp_path)
    train(again, tmp_path, range(5, 10), 0.25)
    sweep = made_sweep(tmp_path, "cfg", "apg+interval")
    again.sweep(sweep)
    again.finish()
    measured = only("mlflow")
    measured.guidance = named("guidance", "cfg")(scale=7.0)  # MLflow refuses to change a param
    evaluated = open_mirrors(measured, tmp_path, "evaluate")
    evaluated.sweep(made_sweep(tmp_path, "cfg", scales=(1.0, 2.0)))
    evaluated.finish()

    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow/mlflow.db")
    name = (tmp_path / "mlflow_id").read_text()
    run = client.get_run(name)
    losses = [(m.step, m.value) for m in client.get_metric_history(name, "train/loss")]
    assert sorted(losses) == [(s, 0.5) for s in range(1, 8)] + [(s, 0.25) for s in (8, 9)]
    fids = [(m.step, m.value) for m in client.get_metric_history(name, "sweep/cfg/fid")]
    assert sorted(fids) == [(1000, 2.0), (2000, 3.0), (3000, 4.0)]
    assert client.get_metric_history(name, "sweep/apg.interval/fid")
    assert run.info.status == "FINISHED" and run.info.run_name == tmp_path.name
    assert run.data.params["guidance.scale"] == "3.0" and len(run.data.params) > 100
    assert run.data.metrics["best/fid"] == 2.0
    assert (run.data.tags["job_type"], run.data.tags["best"]) == ("train", "cfg, w = 1")
    assert run.data.tags["tags"] == "mine,diffusion,still_life,flow,cfg"
    kept = {a.path for a in client.list_artifacts(name)}
    assert kept == {"figures", "report.html", "sweep.csv", "sweep.json"}
    assert [a.path for a in client.list_artifacts(name, "figures")] == ["figures/grid-w1.png"]


def test_several_runs_share_a_database(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/all/mlflow.db"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        mirrors = open_mirrors(to_server(uri), tmp_path / name)
        mirrors.train(1, {"loss": 0.5})
        mirrors.finish()
    client = mlflow.MlflowClient(tracking_uri=uri)
    names = {client.get_run((tmp_path / name / "mlflow_id").read_text()).info.run_name for name in ("one", "two")}
    assert names == {"one", "two"} and not (tmp_path / "one" / "mlflow").exists()
    moved = open_mirrors(only("mlflow"), tmp_path / "one")  # a database that has never heard of this run: a new one
    moved.train(1, {"loss": 0.5})
    assert list(moved.open) == ["MLflow"]


@pytest.mark.parametrize("name", ["what?", "50%25 #1", "a?b=c#d%41", "%3F"])
def test_a_run_of_mlflow_may_have_any_name(tmp_path: Path, name: str) -> None:
    """Nothing is written beside its folder, and a second start finds it again."""
    folder = tmp_path / name
    folder.mkdir()
    for step in (1, 2):
        mirrors = open_mirrors(only("mlflow"), folder)
        mirrors.train(step, {"loss": 0.5})
        mirrors.sweep(made_sweep(folder, "cfg"))
        assert list(mirrors.open) == ["MLflow"]
        client = mirrors.open["MLflow"].client  # type: ignore[attr-defined]
        run = client.get_run((folder / "mlflow_id").read_text())
        losses = client.get_metric_history(run.info.run_id, "train/loss")
        assert sorted(m.step for m in losses) == [1, 2][:step]
        assert {a.path for a in client.list_artifacts(run.info.run_id)} >= {"report.html", "sweep.csv"}
        mirrors.finish()
    assert run.info.run_name == name and list(tmp_path.iterdir()) == [folder]
    assert list((folder / "mlflow").rglob("report.html"))


def test_scales_that_differ_by_four_thousandths_are_two_points(tmp_path: Path) -> None:
    mirrors = open_mirrors(only("tensorboard", "mlflow"), tmp_path)
    mirrors.sweep(made_sweep(tmp_path, "cfg", scales=(3.0, 3.004)))
    client = mirrors.open["MLflow"].client  # type: ignore[attr-defined]
    points = client.get_metric_history((tmp_path / "mlflow_id").read_text(), "sweep/cfg/fid")
    assert sorted((m.step, m.value) for m in points) == [(3000, 4.0), (3004, 4.004)]
    mirrors.finish()
    shown = seen(tmp_path / "tensorboard" / "sweep" / "cfg").Scalars("sweep/fid")
    assert [(e.step, round(e.value, 4)) for e in shown] == [(3000, 4.0), (3004, 4.004)]


class Dead:
    def __getattr__(self, name: str) -> Any:
        raise ConnectionResetError("Connection lost")


def kill(kind: str, mirror: Any, folder: Path) -> None:
    if kind == "metrics.csv":
        (folder / "metrics.csv").mkdir()
    else:
        setattr(mirror, {"W&B": "run", "TensorBoard": "writer", "MLflow": "client"}[kind], Dead())


@pytest.mark.parametrize("kind", ["W&B", "TensorBoard", "metrics.csv", "MLflow"])
def test_a_dying_mirror_leaves_the_others_alive(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mirrors = open_mirrors(
        Config(tracking=Tracking(also=[tracker(name) for name in ("tensorboard", "csv", "mlflow")])), tmp_path
    )
    assert set(mirrors.open) == {"W&B", "TensorBoard", "metrics.csv", "MLflow"}
    train(mirrors, tmp_path, range(1, 2), 0.5)
    kill(kind, mirrors.open[kind], tmp_path)
    train(mirrors, tmp_path, range(2, 4), 0.5)
    mirrors.finish()
    said = [r.getMessage() for r in caplog.records if "is lost" in r.getMessage()]
    error = "IsADirectoryError" if kind == "metrics.csv" else "ConnectionResetError"
    assert said == [f"{kind} is lost ({error}): the run goes on without it; its record is whole"]
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow/mlflow.db")
    steps = {
        "TensorBoard": [e.step for e in seen(tmp_path / "tensorboard").Scalars("train/loss")],
        "MLflow": [m.step for m in client.get_metric_history((tmp_path / "mlflow_id").read_text(), "train/loss")],
    }
    assert steps == {name: [1] if name == kind else [1, 2, 3] for name in steps}
    assert (tmp_path / "metrics.csv").is_file() == (kind != "metrics.csv")


def test_a_mirror_that_cannot_be_opened_is_done_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    uri = "http://127.0.0.1:9"  # the port of no service
    mirrors = open_mirrors(to_server(uri, "csv"), tmp_path)
    assert list(mirrors.open) == ["metrics.csv"]
    said = [r.getMessage() for r in caplog.records if "mirror at all" in r.getMessage()]
    assert said == ["no MLflow mirror at all (MlflowException): the run's own record is whole"]


@pytest.mark.parametrize("first, names", [(True, []), (False, ["csv", "tensorboard"])])
def test_no_mirrors_write_nothing(
    first: bool, names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without trackers, and of every rank but the first."""
    monkeypatch.setattr(run_room, "first_rank", lambda: first)
    if not first:
        monkeypatch.setenv("RANK", "1")
    run = Run(only(*names), tmp_path)
    before = sorted(tmp_path.iterdir())
    with run:
        run.mirror.train(1, {"loss": 0.5})
    assert run.mirror.open == {} and sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "words, error",
    [
        (["tracking.also=[tensorbord]"], r"tracking.also\[0\]=tensorbord: no such choice; did you mean 'tensorboard'?"),
        (["tracking.also=[csv,csv]"], "tracking.also=.*: a tracker is named twice"),
        (["tracking.also=[wandb]"], r"tracking.also=\[wandb\]: .* twice \(tracking.wandb=offline is one\)"),
        (["tracking.also=[{kind:mlflow,url:x}]"], r"tracking.also\[0\].url: no key of tracker=mlflow; .*'uri'?"),
        (["tracking.also=[{kind:csv,uri:x}]"], r"tracking.also\[0\].uri: no key of tracker=csv; tracker=mlflow has it"),
        (["tracking.also=[{kind:mlflow,uri:nonsense}]"], "tracking.also: mlflow with uri=nonsense: name a server"),
        (["tracking.also=[{kind:mlflow,uri:nope://x}]"], "tracking.also: mlflow with uri=nope://x: name a server"),
        (["tracking.also=[{uri:http://x}]"], r"tracking.also\[0\].kind: say which choice of tracker"),
        (["tracking=disabled", "tracking.also=[{kind:wandb,mode:on}]"], r"tracking.also\[0\].mode=on: must be one of"),
        (
            ["tracking=disabled", "tracking.also=[wandb]", "tracking.project=a/b"],
            "tracking.project=a/b: W&B takes names",
        ),
        (["tracking.mlflow_uri=http://here"], "tracking.mlflow_uri: no such key"),
    ],
)
def test_what_may_not_be_asked_for(words: list[str], error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        compose_config(words)


def test_a_tracker_that_is_not_installed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "find_spec", lambda name: None)

    def also(*trackers: Any) -> Config:
        return Config(tracking=Tracking(wandb="disabled", also=list(trackers)))

    check_installed(also(tracker("csv")))
    with pytest.raises(ConfigError, match=r"tracker=mlflow: mlflow, sqlalchemy, alembic not installed; pip install -e"):
        check_installed(also(tracker("csv"), tracker("mlflow")))
    with pytest.raises(ConfigError, match=r"tracker=mlflow: mlflow not installed; pip install -e"):
        check_installed(also(tracker("mlflow", uri="http://here")))


def test_tags_are_what_a_run_is_filtered_by() -> None:
    assert tags(compose_config(["objective=v", "guidance=apg", "tracking.tags=[mine]"])) == [
        *["mine", "diffusion", "still_life", "v", "apg"]
    ]
    assert tags(compose_config(["experiment=judge"])) == ["contrastive", "still_life"]


def test_every_tracker_is_in_the_docs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "tracking.md").read_text()
    assert all(f"| `{name}` |" in text for name in choices("tracker"))
