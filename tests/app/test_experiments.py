"""Every experiment of conf/ runs from its first step to its last, shortened; the main job ends in a sweep."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from lightning_diff.app.compose import CONF, compose_config, load_config
from lightning_diff.app.evaluate import evaluate
from lightning_diff.app.prepare import prepare_data
from lightning_diff.app.sample import sample
from lightning_diff.app.train import train
from lightning_diff.config import ConfigError
from lightning_diff.tracking.record import Record
from tests.conftest import SHORT

EXPERIMENTS = sorted(p.stem for p in (CONF / "experiment").glob("*.yaml"))


def short(experiment: str, root: Path, *more: str) -> list[str]:
    return [f"experiment={experiment}", *SHORT, f"outputs={root}", f"cache={root}/cache", *more]


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_runs(experiment: str, tmp_path: Path, pictures_folder: Path) -> None:
    more = [f"data.source={pictures_folder}", "data.test=0"] if experiment == "folder" else []
    config = compose_config(short(experiment, tmp_path, *more))
    folder = tmp_path / experiment
    train(config, folder)
    assert (folder / "weights.safetensors").is_file()
    steps = [row["step"] for row in Record(folder).curve()]
    assert steps == [1, 2, 3]
    if config.task != "diffusion":
        assert Record(folder).read("weights")
        return
    with (folder / "sweep.csv").open() as f:
        rows = list(csv.DictReader(f))
    assert [float(r["scale"]) for r in rows] == [1.0, 3.0]
    passports = json.loads((folder / "sweep.json").read_text())
    assert {r["passport"] for r in rows} == set(passports)
    for figure in ("sweep.png", "loss.png", "grid-w1.png", "grid-w3.png", "guidance.png"):
        assert (folder / "figures" / figure).stat().st_size > 0


def test_a_finished_run_is_evaluated_and_sampled_again(tmp_path: Path) -> None:
    folder = tmp_path / "base"
    train(compose_config(short("base", tmp_path)), folder)
    before = Record(folder).read("sweep")
    evaluate(load_config(folder / "config.yaml", ["guidance.scales=[1,2]"]), folder)
    after = Record(folder).read("sweep")
    assert [r["scale"] for r in after] == [1.0, 3.0, 2.0]  # w = 1 was known by its passport and not computed again
    assert after[: len(before)] == before
    prompts = ['a "green" avocado, on [a] table', "уличный кот {x} ${y}"]
    sample(load_config(folder / "config.yaml"), folder, prompts, 2, tmp_path / "samples")
    assert len(list((tmp_path / "samples").glob("*.png"))) == 5
    with pytest.raises(ConfigError, match="another name"):
        train(compose_config(short("base", tmp_path, "objective=v")), folder)
    with pytest.raises(ConfigError, match="scalez"):
        load_config(folder / "config.yaml", ["guidance.scalez=3"])


@pytest.mark.parametrize("objective", ["eps", "v", "x0"])
@pytest.mark.parametrize("sampler", ["ddpm", "heun"])
def test_every_objective_with_samplers(objective: str, sampler: str, tmp_path: Path) -> None:
    more = [
        f"objective={objective}",
        f"sampler={sampler}",
        "sampler.steps=2",
        "guidance.scales=[2]",
        "training.steps=1",
    ]
    folder = tmp_path / "run"
    train(compose_config(short("base", tmp_path, *more)), folder)
    assert (folder / "sweep.csv").read_text().count("\n") == 2


def test_prepare_makes_shards_once(tmp_path: Path, pictures_folder: Path) -> None:
    config = compose_config(["data=folder", f"data.source={pictures_folder}", "data.test=4", f"cache={tmp_path}/cache"])
    prepare_data(config)
    shards = sorted((tmp_path / "cache").rglob("*.tar"))
    stamps = [s.stat().st_mtime_ns for s in shards]
    prepare_data(config)
    assert [s.name for s in shards] == ["test-000000.tar", "train-000000.tar"]
    assert [s.stat().st_mtime_ns for s in shards] == stamps
