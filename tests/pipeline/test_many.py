"""Many runs are told apart by the keys that differ between them, and averaged over their seeds alone."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from pyarrow import parquet

from lightning_diff.config.compose import compose_config
from lightning_diff.config.convert import plain, yaml_text
from lightning_diff.evaluation.results import spread, write_tables
from lightning_diff.pipeline.many.differences import all_values, differing, labels_of, seeds_of
from lightning_diff.pipeline.report import report_place, title_of


def made(folder: Path, *words: str) -> Path:
    """The folder of a run of this config, which has not begun."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml_text(plain(compose_config(["experiment=base", *words]))))
    return folder


def four(root: Path) -> list[Path]:
    return [made(root / f"{o}{s}", f"objective={o}", f"seed={s}") for o in ("eps", "v") for s in (0, 1)]


def row(scale: float, fid: float, **passport: Any) -> dict[str, Any]:
    found = {"guider": "cfg", "sampler": "euler4", "ema": 0.0, "scale": scale, "nfe": 8, "n": 8, "fid": fid}
    return found | {"clip_score": 1.0, "passport": {"scale": scale, **passport}}


def test_runs_are_told_apart_by_what_differs_and_by_nothing_else(tmp_path: Path) -> None:
    runs = four(tmp_path)
    assert list(labels_of(runs).values()) == [f"prediction={o}, seed={s}" for o in ("eps", "v") for s in (0, 1)]
    assert title_of(runs) == "base: 4 runs by prediction and seed"
    elsewhere = made(tmp_path / "elsewhere", "objective=v", "seed=1", "training.devices=2", "tracking=disabled")
    assert labels_of([runs[3], elsewhere]) == {runs[3]: "v1", elsewhere: "elsewhere"}
    assert labels_of(runs[:1]) == {runs[0]: "eps0"}


def test_keys_of_one_training_that_move_together_are_all_shown(tmp_path: Path) -> None:
    runs = [made(tmp_path / str(b), f"training.batch={b}", f"training.learning_rate={b / 1e5}") for b in (32, 64)]
    assert differing([all_values(run) for run in runs]) == ["training.batch", "training.learning_rate"]


def test_means_are_over_seeds_alone(tmp_path: Path) -> None:
    runs = [*four(tmp_path), made(tmp_path / "steps", "objective=v", "training.steps=7")]
    groups = {label: sorted(seeds) for label, seeds in seeds_of(runs).items()}
    assert groups == {
        "prediction=eps, steps=1500": [0, 1],
        "prediction=v, steps=1500": [0, 1],
        "prediction=v, steps=7": [0],
    }
    assert sum(len(folders) for seeds in seeds_of([*runs, runs[0]]).values() for folders in seeds.values()) == 6


def test_the_mean_of_a_case_is_over_the_seeds_that_have_it() -> None:
    seeds = {0: [row(1.0, 2.0, weights="a"), row(3.0, 5.0, weights="a")], 1: [row(1.0, 4.0, weights="b")]}
    means = {r["scale"]: (r["fid"], round(r["fid_std"], 6), r["trainings"]) for r in spread(seeds)}
    assert means == {1.0: (3.0, 1.414214, 2), 3.0: (5.0, 0.0, 1)}


def test_tables_have_what_differs_and_parquet_has_all_keys(tmp_path: Path) -> None:
    runs = four(tmp_path)[1:3]
    configs = {run.name: all_values(run) for run in runs}
    keys = differing(list(configs.values()))
    write_tables(tmp_path / "lr=0.001", {run.name: [row(1.0, 2.0)] for run in runs}, configs, keys)
    with (tmp_path / "lr=0.001.csv").open() as f:
        found = [(r["run"], r["objective.prediction"], r["seed"], r["fid"]) for r in csv.DictReader(f)]
    assert found == [("eps1", "eps", "1", "2.0"), ("v0", "v", "0", "2.0")]
    table = parquet.read_table(tmp_path / "lr=0.001.parquet").to_pylist()
    assert [r["config.objective.prediction"] for r in table] == ["eps", "v"]
    assert {f"config.{key}" for key in configs["v0"]} <= table[0].keys()


def test_reports_of_other_runs_are_other_files(tmp_path: Path) -> None:
    groups = [
        ["a-b", "c"],
        ["a", "b-c"],
        ["a", "x/c"],
        ["r" * 50 + "1", "r" * 50 + "2"],
        ["r" * 50 + "1", "r" * 50 + "3"],
    ]
    for name in {name for names in groups for name in names}:
        made(tmp_path / name)
    places = [report_place([tmp_path / name for name in names]) for names in groups]
    assert len(set(places)) == len(groups) and all(place.parent == tmp_path for place in places)
    assert report_place([tmp_path / "c", tmp_path / "a-b"]).name.endswith(places[0].name[-11:])
