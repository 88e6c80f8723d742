"""Many runs are told apart by the keys that differ between them, and averaged over their seeds alone."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet
from rich.console import Console

from lightning_diff import __version__
from lightning_diff.cli.arguments import product_of
from lightning_diff.config.compose import compose_config
from lightning_diff.config.convert import plain, yaml_text
from lightning_diff.config.errors import ConfigError
from lightning_diff.config.paths import PACKAGE_FOLDER, WEIGHTS
from lightning_diff.evaluation.results import write_tables
from lightning_diff.evaluation.statistics.seeds import spread
from lightning_diff.locks import Held
from lightning_diff.pipeline.component_training import metrics_words
from lightning_diff.pipeline.continuing.same import keep_config, refuse_another
from lightning_diff.pipeline.many import listing
from lightning_diff.pipeline.many.comparable import refuse_unlike
from lightning_diff.pipeline.many.differences import all_values, config_of, differing, labels_of, seeds_of
from lightning_diff.pipeline.many.listing import runs_table
from lightning_diff.pipeline.many.named import folders_of, one_folder
from lightning_diff.pipeline.naming import run_folder, run_name, swept_keys
from lightning_diff.pipeline.origin import origin
from lightning_diff.pipeline.reports.page import _cautions, report_place, title_of
from lightning_diff.pipeline.run import Run
from lightning_diff.tracking.record import Record

STEPS = compose_config(["experiment=base"]).training.steps


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


def test_runs_that_differ_in_much_are_told_apart_by_their_names(tmp_path: Path) -> None:
    more = ("net=tiny", "sampler=heun", "training.batch=8", "training.steps=7", "seed=3")
    runs = [made(tmp_path / "one"), made(tmp_path / "other", *more)]
    assert list(labels_of(runs).values()) == ["one", "other"] and title_of(runs) == "base: 2 runs"


def test_keys_of_one_training_that_move_together_are_all_shown(tmp_path: Path) -> None:
    runs = [made(tmp_path / str(b), f"training.batch={b}", f"training.learning_rate={b / 1e5}") for b in (32, 64)]
    assert differing([all_values(run) for run in runs]) == ["training.batch", "training.learning_rate"]


def test_runs_that_were_measured_otherwise_are_refused_with_the_key_and_what_to_do() -> None:
    def measured(n: int, seed: int = 0) -> list[dict[str, Any]]:
        prompts, seeds = {"split": "test", "n": n, "sha256": str(n)}, {"first": seed, "n": n}
        return [row(1.0, 2.0, prompts=prompts, seeds=seeds, sampler={"kind": f"of {n}"})]

    refuse_unlike({"a": measured(8), "b": measured(8)}, "report=a,b")
    with pytest.raises(ConfigError) as e:
        refuse_unlike(
            {"mine2": measured(32), "folder-a": measured(8), "folder-b": measured(8)}, "report=mine2,folder-*"
        )
    assert str(e.value) == (
        "report=mine2,folder-*: their numbers differ in evaluation.samples (32 in mine2, 8 in folder-a) and cannot stand on "
        "one axis; measure them alike: python evaluate.py 'run=mine2,folder-*' evaluation.samples=32"
    )
    with pytest.raises(ConfigError, match=r"^their numbers differ in evaluation.seed \(0 in a, 1 in b\) .*py run=a,b$"):
        refuse_unlike({"a": measured(8), "b": measured(8, 1)})
    with pytest.raises(ConfigError, match=r"differ in the packages' versions and"):
        refuse_unlike({"a": [row(1.0, 2.0, environment="1")], "b": [row(1.0, 2.0, environment="2")]})


def test_the_folder_that_run_names_gets_no_other_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made(tmp_path / "mine")
    config = compose_config(["experiment=base", "training.batch=8"])
    with pytest.raises(ConfigError, match=r"^training.batch=8: .*; leave it out: a run is measured as it was trained$"):
        refuse_another(folder, config, given=True)

    def held(*_: Any) -> Any:
        raise Held("process 1 on elsewhere")

    monkeypatch.setattr("lightning_diff.pipeline.run.lock", held)
    with pytest.raises(ConfigError) as e:
        Run(config_of(folder), folder, "evaluate", given=True)
    assert "in use by" in str(e.value) and "name=" not in str(e.value)


def test_a_component_says_its_numbers_in_words() -> None:
    said = metrics_words({"recall_at_1_of_57": 0.0351, "n": 57, "caption_over_contrast": 0.75})
    assert (
        said
        == "on 57 pictures: finds the own caption among 57 for 3.5% of the pictures, tells it from an almost right one for 75.0%"
    )
    assert metrics_words({"psnr": 24.56, "n": 1}) == "on 1 picture: PSNR 24.6 dB"


def test_means_are_over_seeds_alone(tmp_path: Path) -> None:
    runs = [*four(tmp_path), made(tmp_path / "steps", "objective=v", "training.steps=7")]
    groups = {label: sorted(seeds) for label, seeds in seeds_of(runs).items()}
    assert groups == {
        f"prediction=eps, steps={STEPS}": [0, 1],
        f"prediction=v, steps={STEPS}": [0, 1],
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


def test_the_list_says_how_many_pictures_where_that_differs_and_no_loss_of_unlike_objectives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, counts = four(tmp_path), {"eps0": 8, "eps1": 8, "v0": 32, "v1": 8}

    def numbers(folder: Path, stamp: int) -> tuple[int, float, dict[str, Any]]:
        return 10, 0.1234, row(1.0, 2.0) | {"n": counts[folder.name]}

    monkeypatch.setattr(listing, "_numbers", numbers)

    def shown(some: list[Path]) -> str:
        Console(width=100).print(runs_table(some, {}))
        return capsys.readouterr().out

    both = shown(runs)
    assert re.search(r"prediction\s+seed\s+state\s+w\s+n\s+FID", both) and " 32 " in both and "0.1234" not in both
    alike = shown(runs[:2])
    assert re.search(r"seed\s+state\s+w\s+FID", alike) and "0.1234" in alike


def test_keys_without_room_are_all_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ("objective=flow", "net=tiny", "training.batch=8", "training.steps=7", "seed=3", "data.train=1000")
    runs = [made(tmp_path / "one"), made(tmp_path / "other", *more)]
    table = runs_table(runs, {})
    left = [key for key in table.keys if key not in table._fitting(50)]
    Console(width=50, force_terminal=True, no_color=True, soft_wrap=True).print(table)
    said = " ".join(capsys.readouterr().out.partition("also different:")[2].split())
    assert len(", ".join(left)) > 20 and said == ", ".join(left[:6]) + (
        f" and {len(left) - 6} more" if left[6:] else ""
    )


def test_of_several_runs_the_report_says_whose_numbers_are_in_doubt(tmp_path: Path) -> None:
    found = {}
    for name, recall in (("a", 0.5), ("b", 0.02)):
        (tmp_path / name).mkdir()
        Record(tmp_path / name).write("best", 0, floor=1.0, recall=recall, among=128)
        found[tmp_path / name] = ([row(1.0, 5.0)], {})
    assert _cautions(found).startswith("Of 1 of these 2 runs the numbers are in doubt. The judge guesses: it finds 2 %")
    assert _cautions({tmp_path / "b": found[tmp_path / "b"]}).startswith("The judge guesses")
    assert _cautions({tmp_path / "a": found[tmp_path / "a"]}) == ""


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


def sweep(root: Path, *words: str) -> list[Path]:
    """The folders of a multirun's runs, which are made as if they had begun."""
    found = []
    for given in product_of([f"outputs={root}", "experiment=base", *words]):
        config = compose_config(given)
        folder = run_folder(config, given, swept_keys(words))
        keep_config(config, folder)
        found.append(folder)
    return found


def test_a_run_of_a_multirun_is_named_by_what_is_swept(tmp_path: Path) -> None:
    shared = ("data.train=1000", "training.learning_rate=1e-4")
    runs = sweep(tmp_path, *shared, "objective=eps,v", "seed=0,1")
    names = [f"base-objective={o}-seed={s}" for o in ("eps", "v") for s in (0, 1)]
    assert [run.name for run in runs] == names and sweep(tmp_path, *shared, "objective=eps,v", "seed=0,1") == runs
    assert sweep(tmp_path, "seed=range(0,2)", "objective=choice(eps,v)", *shared)[:2] == [runs[0], runs[2]]


def test_another_multirun_of_the_same_swept_keys_has_folders_of_its_own(tmp_path: Path) -> None:
    first, second = (sweep(tmp_path, f"training.steps={steps}", "seed=0,1") for steps in (5, 6))
    assert [run.name for run in first] == ["base-seed=0", "base-seed=1"]
    assert all(run.name.startswith(f"base-seed={s}-") for s, run in enumerate(second)) and len({*first, *second}) == 4
    for run in first:
        shutil.rmtree(run)
    assert sweep(tmp_path, "training.steps=6", "seed=0,1") == second
    assert sweep(tmp_path, "training.steps=5", "seed=0,1") == first
    assert (
        sweep(tmp_path, "training.steps=5", "evaluation.samples=8", "seed=0,1") == first
    )  # measured again, not trained


def test_a_multirun_finds_the_runs_of_an_older_version(tmp_path: Path) -> None:
    old = made(tmp_path / "base-objective=v-seed=1-training.steps=5", "objective=v", "seed=1", "training.steps=5")
    assert sweep(tmp_path, "training.steps=5", "objective=eps,v", "seed=0,1")[3] == old


def test_long_values_do_not_hide_the_keys_after_them(tmp_path: Path) -> None:
    config, long = compose_config(["experiment=base"]), f"/sets/{'x' * 200}"
    names = {
        run_name(config, ["experiment=base", f"init_from={long}/{end}", f"seed={s}"], ["init_from", "seed"])
        for end in ("a", "b")
        for s in (0, 1)
    }
    assert len(names) == 4 and all(len(name) < 100 and name[-1] in "01" for name in names)


def test_a_line_for_each_run_fits_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = four(tmp_path)
    Record(runs[0]).write("train", 400, loss=0.5)
    (runs[1] / WEIGHTS).write_bytes(b"")
    other = subprocess.Popen(
        [sys.executable, "-c", "import sys; from pathlib import Path; from lightning_diff.locks import lock; "
         "f = lock(Path(sys.argv[1]), False); print(1, flush=True); input()", str(runs[2] / "lock")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=PACKAGE_FOLDER,
    )  # fmt: skip
    assert other.stdout is not None and other.stdout.readline()
    for width in (40, 70, 120):
        Console(width=width, force_terminal=True, no_color=True).print(runs_table(runs, {}))
        lines = [line for line in capsys.readouterr().out.splitlines() if re.match(r"\W*(eps|v)[01]", line)]
        assert len(lines) == 4 and (f"stopped at 400 of {STEPS}" in lines[0]) and "trained, not measured" in lines[1]
        assert f"running, pid {other.pid} on " in lines[2] and "stopped before step 1" in lines[3]
        assert width == 40 or all(len(line) <= width for line in lines)
    other.communicate(b"\n")
    with pytest.raises(ConfigError, match=r"columns=seeed: no such column; did you mean 'seed'"):
        runs_table(runs, {}, ["run", "seeed"])
    Console(width=80).print(runs_table(runs, {}, ["seed", "training.batch"]))
    assert re.search(r"seed\s+training.batch", capsys.readouterr().out)


def test_runs_are_named_by_name_path_and_pattern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "outputs"
    runs = [made(root / f"base-seed={s}") for s in (0, 2, 10)]
    (root / "base-3-runs-abc.html").write_text("a report")
    monkeypatch.chdir(tmp_path)
    here = [run.relative_to(tmp_path) for run in runs]
    for text in ("base-*", "outputs/base-*", "base-seed=[0-9]*", "base-seed=0,base-seed=2,base-*"):
        assert folders_of(text) == here
    assert folders_of("base-*", root) == folders_of(f"{root}/base-*") == runs
    assert folders_of("base-seed=2") == [one_folder("outputs/base-seed=2")] == here[1:2]
    with pytest.raises(ConfigError, match=r"other-\*: no run has a name like this"):
        folders_of("other-*")
    with pytest.raises(ConfigError, match=r"run=base-\*: 3 runs \(base-seed=0, .*name one"):
        one_folder("base-*")


def test_a_report_says_the_commands_and_the_code_that_made_its_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = four(tmp_path)[:2]
    monkeypatch.setattr(sys, "argv", ["/somewhere/train.py", "experiment=base", "objective=eps", "init_from=a b"])
    for run in (*runs, runs[0]):
        with Run(config_of(run), run):
            pass
    (line,) = origin(runs)
    assert line.startswith(f"python train.py experiment=base objective=eps 'init_from=a b' (version {__version__}")
    assert re.search(r"(, commit [0-9a-f]{12}(-dirty)?)?, 20..-..-.. ..:..\)$", line)
    Record(runs[1]).write("command", command="python evaluate.py", version="9", commit="abc")
    assert [said.split(", 20")[0] for said in origin(runs)][1:] == ["python evaluate.py (version 9, commit abc"]
    assert origin([made(tmp_path / "old")]) == []


def test_a_record_that_is_gone_is_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = four(tmp_path)[0]
    with Run(config_of(run), run):
        assert capsys.readouterr().out == ""
    (run / "record.jsonl").unlink()
    (run / "checkpoints").mkdir()
    with Run(config_of(run), run):
        assert f"{run / 'record.jsonl'}: gone, and with it the losses" in capsys.readouterr().out.replace("\n", "")
