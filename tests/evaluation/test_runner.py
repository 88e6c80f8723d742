"""A sweep of objects, without a config or a trained net: what is recorded is not drawn again, in whatever words it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lightning_diff.config.registry import plugins_entry
from lightning_diff.config.schema import Evaluation
from lightning_diff.data.dataset import PictureBatch
from lightning_diff.data.shards import digest
from lightning_diff.diffusion.guiders.cfg import CFG
from lightning_diff.diffusion.path import Path as DiffusionPath
from lightning_diff.diffusion.samplers.runge_kutta import Euler
from lightning_diff.evaluation import provenance
from lightning_diff.evaluation.metrics.base import MetricChoice
from lightning_diff.evaluation.metrics.fid import FID
from lightning_diff.evaluation.provenance import drawing_code, net_code
from lightning_diff.evaluation.results import SEEN, STUDIED, study_rows
from lightning_diff.evaluation.runner import run_sweep
from lightning_diff.evaluation.setup import Combination, EvaluationSetup, Passport, picture_key
from lightning_diff.evaluation.sweep import ROWS, Judges, unlike
from lightning_diff.nets.autoencoder import Autoencoder
from lightning_diff.nets.unet import UNet
from lightning_diff.tracking.record import STEPS, Record
from tests.evaluation.conftest import CAPTIONS, N


class Model:
    """A picture is a function of its seed and its scale. What is asked for is noted."""

    asked: ClassVar[list[tuple[int, ...]]] = []

    def at_scales(self, captions: Sequence[str], seeds: Sequence[int], scales: Sequence[float], apart: bool) -> Tensor:
        self.asked.append((len(captions), *map(int, scales)))
        draws = [[torch.Generator().manual_seed(int(100 * w) + s) for s in seeds] for w in scales]
        rows = [[torch.randint(0, 256, (3, 16, 16), generator=g, dtype=torch.uint8) for g in row] for row in draws]
        return torch.stack([torch.stack(row) for row in rows])


@pytest.fixture
def combination(judges: Judges) -> Combination:
    Model.asked.clear()
    pictures = torch.randint(0, 256, (N, 3, 16, 16), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    asked = PictureBatch(pictures, CAPTIONS, torch.arange(N), {}, [""] * N)
    setup = EvaluationSetup("test", asked, judges, {"tower": "t", "fid_features": "judge t", "code": "c"}, 0)
    load: Any = lambda ema: Model()  # noqa: E731
    return Combination(
        guider=CFG(scales=[1.0, 3.0]),
        sampler=Euler(steps=2, precision="float32"),
        path=DiffusionPath("flow", "flow"),
        load=load,
        weights="w",
        decay=0.999,
        plugins={},
        settings=Evaluation(samples=8, batch=16, grid=4),
        setup=setup,
    )


def in_words_of_version_1(passport: Passport) -> Passport:
    sampler, guidance = passport["sampler"], passport["guidance"]
    old = {
        "sampler": {"name": sampler["kind"], **{k: v for k, v in sampler.items() if k != "kind"}, "eta": 0.0},
        "guidance": guidance | {"apg_eta": 0.0, "apg_norm": 0.0, "apg_momentum": 0.0, "guide": None},
    }
    return {k: old.get(k, v) for k, v in passport.items() if k != "metrics"}


def without_sums(record: Record, lines: Sequence[dict[str, Any]]) -> None:
    """The record of these lines, and the stored arrays, as older versions wrote them: without sums and names."""
    for line in lines:
        line.pop("sum", None)
    record.path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for file in (record.path.parent / SEEN).rglob("*.safetensors"):
        arrays = {name: t.clone() for name, t in load_file(file).items()}  # what is read is mapped from the file
        save_file(arrays, file)


def as_older(record: Record, older: Callable[[Passport], Passport]) -> None:
    """Write the sweep's rows and their files anew, with older passports, and without sums."""
    lines = [json.loads(line) for line in record.path.read_text().splitlines()]
    seen = record.path.parent / SEEN
    for row, line in zip(record.read("sweep"), lines, strict=False):
        now, old = row["passport"], older(row["passport"])
        line["passport"] = old
        del line["sum"]  # those lines had none
        place = seen / picture_key(old)
        shutil.move(seen / picture_key(now), place)
        (place / f"{digest(now)}.safetensors").rename(place / f"{digest(old)}.safetensors")
    without_sums(record, lines)


@pytest.fixture
def metrics_without_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics as version 1 knew them: it did not name their code."""
    monkeypatch.setattr(MetricChoice, "passport", {})


def test_the_table_is_of_what_was_asked_for_last_also_if_all_of_it_was_known(
    combination: Combination, tmp_path: Path
) -> None:
    record, few = Record(tmp_path), replace(combination, settings=replace(combination.settings, samples=4))
    first = run_sweep([combination], tmp_path, record)
    fewer = run_sweep([few], tmp_path, record)
    assert first is not None and fewer is not None and {row["n"] for row in fewer.rows} == {4}
    again = run_sweep([combination], tmp_path, record)
    assert again is not None and again.rows == first.rows and study_rows(tmp_path)[0] == first.rows
    lines = len(record.read("sweep"))
    assert run_sweep([combination], tmp_path, record) is not None and len(record.read("sweep")) == lines


def test_rows_of_weights_that_are_no_more_are_not_in_the_table(combination: Combination, tmp_path: Path) -> None:
    """Those of an earlier end of the training are: the record says so."""
    record = Record(tmp_path)
    for weights in ("a", "b"):
        assert run_sweep([replace(combination, weights=weights)], tmp_path, record) is not None
    assert {row["passport"]["weights"] for row in study_rows(tmp_path)[0]} == {"b"}
    record.write(STEPS, 3, weights="a", old=3, new=4)
    rows = study_rows(tmp_path)[0]
    assert {row["passport"]["weights"]: row["steps"] for row in rows} == {"a": 3, "b": 4}


@pytest.mark.usefixtures("metrics_without_code")
def test_rows_in_old_words_stay_and_are_not_drawn_again(combination: Combination, tmp_path: Path) -> None:
    """As long as they name the code that drew them."""
    record = Record(tmp_path)
    first = run_sweep([combination], tmp_path, record)
    assert first is not None and Model.asked == [(ROWS, 1, 3)] and [r["scale"] for r in first.rows] == [1.0, 3.0]
    as_older(record, in_words_of_version_1)

    again = run_sweep([combination], tmp_path, record)
    assert again is not None and again.rows == first.rows and len(record.read("sweep")) == 2
    more = replace(combination, guider=CFG(scales=[1.0, 2.0]))
    wider = run_sweep([more], tmp_path, record)
    assert wider is not None and [r["scale"] for r in wider.rows] == [1.0, 2.0]
    assert Model.asked == [(ROWS, 1, 3), (ROWS, 2)]
    assert [r["scale"] for r in study_rows(tmp_path)[0]] == [1.0, 2.0, 3.0]


def without_code(passport: Passport) -> Passport:
    """A passport as it was before it said which code drew and scored."""
    judge = {k: v for k, v in passport["judge"].items() if k not in ("code", "precision")}
    return {k: v for k, v in passport.items() if k != "drawing"} | {"judge": judge}


def test_rows_of_unknown_code_stay_and_are_not_compared(
    combination: Combination, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = Record(tmp_path)
    run_sweep([combination], tmp_path, record)
    as_older(record, without_code)
    assert [r["scale"] for r in study_rows(tmp_path)[0]] == [1.0, 3.0]  # among themselves they still are
    assert study_rows(tmp_path)[0][0]["passport"]["drawing"]["shared"] == "not recorded"

    capsys.readouterr()
    again = run_sweep([replace(combination, guider=CFG(scales=[1.0, 2.0]))], tmp_path, record)
    assert again is not None and len(record.read("sweep")) == 4
    assert [r["scale"] for r in study_rows(tmp_path)[0]] == [1.0, 2.0]
    assert Model.asked == [(ROWS, 1, 3), (ROWS, 1, 2)]
    assert "2 older rows of the record are not in the table" in capsys.readouterr().out


def test_an_edited_sampler_draws_again_and_an_edited_metric_scores_again(
    combination: Combination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Record(tmp_path)
    run_sweep([combination], tmp_path, record)

    class Edited(Euler):
        k: ClassVar[float] = 1.5

    other = replace(combination, sampler=Edited(steps=2, precision="float32"))
    run_sweep([other], tmp_path, record)
    assert Model.asked == [(ROWS, 1, 3)] * 2 and len(record.read("sweep")) == 4 and len(study_rows(tmp_path)[0]) == 2

    class EditedFID(FID):
        columns: ClassVar = {"fid": False}

        def compare(self, real: Any, made: Tensor) -> dict[str, Any]:
            return {"fid": 2 * real.distance(made), "mine": 1.0}

    metrics = [EditedFID() if m.kind == "fid" else m for m in other.setup.judges.metrics]
    setup = replace(other.setup, judges=replace(other.setup.judges, metrics=metrics))
    few = replace(other, guider=CFG(scales=[1.0]), setup=setup)
    found = run_sweep([few], tmp_path, record)
    assert found is not None and Model.asked == [(ROWS, 1, 3)] * 2  # nothing is drawn again
    rows, _ = study_rows(tmp_path)
    assert [(r["scale"], r["mine"]) for r in rows] == [(1.0, 1.0), (3.0, 1.0)]  # the row that was not asked for as well
    assert rows[0]["fid"] == 2 * record.read("sweep")[2]["fid"] and len(record.read("sweep")) == 6


def test_a_sweep_goes_on_until_it_is_decided_and_its_rows_say_so(
    combination: Combination, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """These pictures are noise at both scales, so no picture of these captions decides."""
    decided = replace(combination, settings=replace(combination.settings, until="decided"))
    found = run_sweep([decided], tmp_path, Record(tmp_path))
    assert found is not None and Model.asked == [(ROWS, 1, 3)] * 2  # the second call is for the captions 8 to 19
    for row in found.rows:
        assert (row["n"], row["drawn"]) == (8, N)
        assert row["passport"]["until"] == {"decided": [8, N], "error": 0.05}
    assert "After 40 pictures it cannot be told which scale is best." in " ".join(capsys.readouterr().out.split())
    again = run_sweep([decided], tmp_path, Record(tmp_path))
    assert again is not None and again.rows == found.rows and len(Model.asked) == 2
    run_sweep([combination], tmp_path, Record(tmp_path))  # its pictures are a part of those
    assert len(Model.asked) == 2 and len(study_rows(tmp_path)[0]) == 4


def test_rows_of_one_name_say_in_which_setting_their_samplers_differ(combination: Combination, tmp_path: Path) -> None:
    """A run that was measured on two machines had two rows "cfg, euler2" at each scale."""
    run_sweep([combination], tmp_path, Record(tmp_path))
    assert {row["sampler"] for row in study_rows(tmp_path)[0]} == {"euler2"}
    for sampler in (Euler(steps=2, precision="bf16"), Euler(steps=2, precision="float32", grid="shifted")):
        run_sweep([replace(combination, sampler=sampler)], tmp_path, Record(tmp_path))
    names = {row["sampler"] for row in study_rows(tmp_path)[0]}
    assert names == {"euler2-uniform-float32", "euler2-uniform-bf16", "euler2-shifted-float32"}


def without_nets(passport: Passport) -> Passport:
    """A passport as it was before it said which code the nets have."""
    return passport | {"drawing": {k: v for k, v in passport["drawing"].items() if k != "nets"}}


def test_pictures_of_nets_with_other_code_are_drawn_again(
    combination: Combination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of unknown code stay; they are like each other, and never compared with new ones."""
    nets = [UNet, torch.nn.Linear]
    codes = drawing_code(combination.sampler, combination.guider, nets)["nets"]
    assert codes == {"UNet": net_code(UNet), "Linear": f"torch {version('torch')}"}
    assert net_code(UNet) != net_code(Autoencoder) and len(net_code(UNet)) == 12
    mine, record = replace(combination, nets=nets), Record(tmp_path)
    run_sweep([mine], tmp_path, record)
    as_older(record, without_nets)
    old = study_rows(tmp_path)[0]
    assert [r["scale"] for r in old] == [1.0, 3.0] and old[0]["passport"]["drawing"]["nets"] == "not recorded"
    new = mine.passport(8, 1.0, 0.0) | {"drawn": 8}
    assert unlike([old[0]["passport"], new], STUDIED) == ["drawing"]

    run_sweep([mine], tmp_path, record)
    assert Model.asked == [(ROWS, 1, 3)] * 2 and len(study_rows(tmp_path)[0]) == 2 and len(record.read("sweep")) == 4
    monkeypatch.setattr(provenance, "net_code", lambda net: "edited")
    assert picture_key(mine.passport(8, 1.0, 0.0)) != picture_key(new)


def test_other_metrics_are_computed_of_the_same_pictures(combination: Combination, tmp_path: Path) -> None:
    record = Record(tmp_path)
    run_sweep([combination], tmp_path, record)
    few = [m for m in combination.setup.judges.metrics if m.kind in ("fid", "clip_score")]
    other = replace(
        combination, setup=replace(combination.setup, judges=replace(combination.setup.judges, metrics=few))
    )
    found = run_sweep([other], tmp_path, record)
    assert found is not None and Model.asked == [(ROWS, 1, 3)] and len(record.read("sweep")) == 4
    assert "kid" not in found.rows[0] and found.rows[0]["fid"] == record.read("sweep")[0]["fid"]


def test_a_plugin_is_in_the_passport(combination: Combination) -> None:
    class Mine(CFG):
        plugin: ClassVar[str] = "0123456789ab"

    assert "plugins" not in combination.passport(8, 1.0, 0.0)
    mine = replace(combination, guider=Mine(), plugins=plugins_entry([Mine(), combination.sampler]))
    passport = mine.passport(8, 1.0, 0.0)
    assert passport["plugins"] == {"guidance=cfg": "0123456789ab"}
    changed = passport | {"plugins": {"guidance=cfg": "ba9876543210"}}
    scored = passport | {"plugins": passport["plugins"] | {"metric=mine": "0"}}
    assert picture_key(changed) != picture_key(passport) == picture_key(scored)
