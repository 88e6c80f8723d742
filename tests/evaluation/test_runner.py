"""A sweep of objects, without a config or a trained net: what is recorded is not drawn again, in whatever words it is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from lightning_diff.config.registry import plugins_entry
from lightning_diff.config.schema import Evaluation
from lightning_diff.data.dataset import PictureBatch
from lightning_diff.data.shards import digest
from lightning_diff.diffusion.guiders.cfg import CFG
from lightning_diff.diffusion.path import Path as DiffusionPath
from lightning_diff.diffusion.samplers.runge_kutta import Euler
from lightning_diff.evaluation.results import SEEN, study_rows
from lightning_diff.evaluation.runner import run_sweep
from lightning_diff.evaluation.setup import Combination, EvaluationSetup, Passport, picture_key
from lightning_diff.evaluation.sweep import ROWS, Judges
from lightning_diff.tracking.record import Record
from tests.evaluation.test_sweep import CAPTIONS, N, judges

__all__ = ["judges"]  # the fixture


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
    setup = EvaluationSetup("test", asked, judges, {"tower": "t", "fid_features": "judge t"}, 0)
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


def test_rows_in_old_words_stay_and_are_not_drawn_again(combination: Combination, tmp_path: Path) -> None:
    record = Record(tmp_path)
    first = run_sweep([combination], tmp_path, record)
    assert first is not None and Model.asked == [(ROWS, 1, 3)] and [r["scale"] for r in first.rows] == [1.0, 3.0]
    rows = record.read("sweep")
    lines = [json.loads(line) for line in record.path.read_text().splitlines()]
    for row, line in zip(rows, lines, strict=False):
        now, old = row["passport"], in_words_of_version_1(row["passport"])
        line["passport"] = old
        place = tmp_path / SEEN / picture_key(old)
        shutil.move(tmp_path / SEEN / picture_key(now), place)
        (place / f"{digest(now)}.safetensors").rename(place / f"{digest(old)}.safetensors")
    record.path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    again = run_sweep([combination], tmp_path, record)
    assert again is not None and again.rows == first.rows and len(record.read("sweep")) == 2
    more = replace(combination, guider=CFG(scales=[1.0, 2.0]))
    wider = run_sweep([more], tmp_path, record)
    assert wider is not None and [r["scale"] for r in wider.rows] == [1.0, 2.0]
    assert Model.asked == [(ROWS, 1, 3), (ROWS, 2)]
    assert [r["scale"] for r in study_rows(tmp_path)[0]] == [1.0, 2.0, 3.0]


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
